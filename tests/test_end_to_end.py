"""The real evaluator in a real search: killed, resumed, in one process and in two, on digits and on real images."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from small import section

from autoloss.candidate import State
from autoloss.store.run import FILE, Run

TASK = {"iterations": 4, "train_on": "train", "evaluate_on": "val"}
FAR = {"_delete_": True, "type": "Pretrained", "checkpoint": "http://127.0.0.1:9/r.pth"}
FROZEN = {"kind": "frozen", "iterations": 4, "pretrain": 10, "images": 30, "evaluate_on": "val"}


def search(**changes: Any) -> dict[str, Any]:
    """A search small enough to train every candidate in seconds."""
    evaluator = {
        "type": "detectors.evaluator:DetectorEvaluator",
        "detector": "configs/detectors/tiny_fcos.py",
        "data": {"type": "digits", "train": 40, "val": 8, "test": 8},
    }
    ladder = [
        {"name": "verify", "task": {**TASK, "train_on": "verify", "evaluate_on": "verify"}},
        {"name": "frozen", "task": FROZEN, "seeds": [5], "batch": 2},
        {"name": "proxy", "task": TASK, "seeds": [1]},
    ]
    return section(generations=1, births=2, evaluator=evaluator, ladder=ladder, finale=None, **changes)


def facts(directory: Path) -> list[Any]:
    with Run.open(directory) as run:
        return [run.candidates(), [(e.candidate, e.rung, e.seed, e.state, e.score) for e in run.evaluations()]]


def done(directory: Path) -> int:
    """Number of evaluations that have finished so far."""
    if not (directory / FILE).exists():
        return 0
    with sqlite3.connect(directory / FILE) as connection:
        count = connection.execute("SELECT count(*) FROM evaluation WHERE state = 'done'").fetchone()[0]
    connection.close()
    return int(count)


def command(folder: Path, content: dict[str, Any], run: str, workers: int) -> list[str]:
    config = folder / "config.py"
    config.write_text(f"search = {content!r}")
    arguments = ["search", str(config), str(folder / run), "--workers", str(workers)]
    return [sys.executable, "-m", "autoloss", *arguments]


def test_a_real_search_killed_and_resumed_with_other_workers_equals_the_uninterrupted(tmp_path: Path) -> None:
    environment = {**os.environ, "AUTOLOSS_CACHE": str(tmp_path / "cache")}
    whole = subprocess.run(
        command(tmp_path, search(), "whole", 1), env=environment, capture_output=True, text=True, check=False
    )
    assert whole.returncode == 0, whole.stderr
    killed = subprocess.Popen(
        command(tmp_path, search(), "killed", 2),
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 300
    while done(tmp_path / "killed") < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    before = done(tmp_path / "killed")
    resumed = subprocess.run(
        command(tmp_path, search(), "killed", 1), env=environment, capture_output=True, text=True, check=False
    )
    assert resumed.returncode == 0, resumed.stderr
    expected = facts(tmp_path / "whole")
    assert 3 <= before < len(expected[1])
    assert facts(tmp_path / "killed") == expected
    assert all(state is State.DONE for *_, state, _ in expected[1])


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(5))
def test_a_real_search_killed_at_random_moments_equals_the_uninterrupted(tmp_path: Path, seed: int) -> None:
    environment = {**os.environ, "AUTOLOSS_CACHE": str(tmp_path / "cache")}
    rng, kills = random.Random(seed), 0
    subprocess.run(command(tmp_path, search(), "whole", 1), env=environment, capture_output=True, text=True, check=True)
    while True:
        process = subprocess.Popen(
            command(tmp_path, search(), "killed", 2), env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        try:
            _, error = process.communicate(timeout=rng.uniform(4, 12) if kills < 5 else None)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            kills += 1
            continue
        assert process.returncode == 0, error
        break
    assert kills > 0
    assert facts(tmp_path / "killed") == facts(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_real_scores_are_the_same_in_this_process_in_four_and_on_a_cluster(tmp_path: Path) -> None:
    from ray.cluster_utils import Cluster

    environment = {**os.environ, "AUTOLOSS_CACHE": str(tmp_path / "cache")}

    def searched(run: str, workers: int, *options: str, **changes: Any) -> list[Any]:
        line = [*command(tmp_path, search(**changes), run, workers), *options]
        done = subprocess.run(line, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return facts(tmp_path / run)

    expected = searched("here", 1, isolate=False)
    assert searched("four", 4, isolate=True) == expected
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        cluster.add_node(num_cpus=1)
        environment["AUTOLOSS_CACHE"] = str(tmp_path / "another")  # so that what is shared is made on the nodes
        assert searched("cluster", 0, "--ray", cluster.address) == expected
    finally:
        cluster.shutdown()


REAL = [
    ("bccd/{split}.json", "bccd/images"),
    ("tiny_coco/annotations/instances_{split}2017.json", "tiny_coco/{split}2017"),
]


@pytest.mark.parametrize(("annotations", "images"), REAL)
def test_a_detector_is_trained_on_real_images_named_by_options(
    tmp_path: Path, data: Path, annotations: str, images: str
) -> None:
    line = [sys.executable, "-m", "autoloss", "train", "configs/detectors/tiny_fcos.py", "--json", "--seed", "1"]
    line += ["--loss-bbox", "neg(log(div(i, u)))", "--loss-cls", "quality_focal", "--work-dir", str(tmp_path / "work")]
    for prefix, split in (("--", "train"), ("--val-", "val")):
        line += [f"{prefix}data", str(data / annotations.format(split=split))]
        line += [f"{prefix}images", str(data / images.format(split=split))]
    small = ["train_cfg.max_epochs=1", "train_dataloader.num_workers=0", "train_dataloader.persistent_workers=False"]
    small += ["visualizer.vis_backends.0.type=TensorboardVisBackend"]
    small += ["val_dataloader.num_workers=0", "val_dataloader.persistent_workers=False"]
    done = subprocess.run([*line, "--cfg-options", *small], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert found["metrics"].keys() >= {"bbox_mAP", "bbox_mAP_50"} or found["mAP"] is None
    assert Path(found["checkpoint"]).is_file()
    assert list((tmp_path / "work").rglob("events.out.tfevents.*"))


@pytest.mark.parametrize(
    ("annotations", "images", "classes", "said"),
    [
        (*REAL[0], 3, "data.train: left out 1 boxes without width or height"),
        (*REAL[1], 80, "data.train: 31 of 80 classes have no boxes, first 'airplane'"),
    ],
)
def test_a_search_and_its_export_run_on_real_images_named_by_options(
    tmp_path: Path, data: Path, annotations: str, images: str, classes: int, said: str
) -> None:
    content = search(known=[])
    content["ladder"] = content["ladder"][:2]
    options = []
    for prefix, split in (("--", "train"), ("--val-", "val")):
        options += [f"{prefix}data", str(data / annotations.format(split=split))]
        options += [f"{prefix}images", str(data / images.format(split=split))]
    environment = {**os.environ, "AUTOLOSS_CACHE": str(tmp_path / "cache")}
    line = [*command(tmp_path, content, "run", 1), *options]
    finished = subprocess.run(line, env=environment, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    assert said in finished.stderr
    with Run.open(tmp_path / "run") as run:
        assert len(run.description["classes"]) == classes
        assert all(evaluation.state is State.DONE for evaluation in run.evaluations())
        found = max(candidate.number for candidate in run.candidates())
    other = subprocess.run(line[: -len(options)], env=environment, capture_output=True, text=True, check=False)
    assert other.returncode == 2  # the data belongs to what a run is
    assert "data" in other.stderr
    out = tmp_path / "export"
    line = [sys.executable, "-m", "autoloss", "export", str(tmp_path / "run"), "--candidate", str(found)]
    exported = subprocess.run([*line, "--out", str(out)], env=environment, capture_output=True, text=True, check=False)
    assert exported.returncode == 0, exported.stderr
    assert "the file equals the formula" in exported.stdout
    assert (out / "losses.py").is_file()


def test_a_real_search_is_estimated_and_leaves_nothing_but_prepared_data(tmp_path: Path) -> None:
    environment = {**os.environ, "AUTOLOSS_CACHE": str(tmp_path / "cache")}
    command(tmp_path, search(), "", 1)
    line = [sys.executable, "-m", "autoloss", "estimate", str(tmp_path / "config.py"), "--seconds", "0.2", "--json"]
    finished = subprocess.run(line, env=environment, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    found = json.loads(finished.stdout)
    stages = {stage["name"]: stage for stage in found["stages"]}
    # Own, two known and two found.
    assert {name: stages[name]["evaluations"] for name in ("verify", "frozen", "proxy")} == dict.fromkeys(
        ("verify", "frozen", "proxy"), 5
    )
    for name, cost in found["measured"]["costs"].items():
        assert cost["iterations"] == 4
        assert cost["one"]["iteration"] > 0, name
        assert cost["memory"] > 1e8
    frozen = found["measured"]["costs"]["frozen"]
    assert frozen["shared_iterations"] == 10
    assert min(frozen["shared"]["iteration"], frozen["load"], frozen["disk"]) > 0
    assert found["measured"]["bytes_data"] > 1e4
    assert sum(stage["share"] for stage in stages.values()) == pytest.approx(1)
    assert {path.name.split("-")[0] for path in (tmp_path / "cache").iterdir()} == {"digits", "verify"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "config.py"]


def test_a_finale_on_a_test_split_that_is_not_there_is_one_line(tmp_path: Path, data: Path) -> None:
    content = search(known=[])
    content["finale"] = {"rung": {"name": "full", "task": {**TASK, "evaluate_on": "test"}, "seeds": [2]}}
    train, val = (str(data / f"bccd/{split}.json") for split in ("train", "val"))
    options = ["--data", train, "--images", str(data / "bccd/images"), "--val-data", val]
    environment = {**os.environ, "AUTOLOSS_CACHE": str(tmp_path / "cache")}
    line = [*command(tmp_path, content, "run", 1), *options]
    finished = subprocess.run(line, env=environment, capture_output=True, text=True, check=False)
    assert finished.returncode == 2
    assert "choices: verify, val; the data has no test split: name one (--test-data" in finished.stderr
    assert done(tmp_path / "run") == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"detector": "none.py"}, "no detector config at 'none.py'"),
        ({"cfg_options": {"model.backbone.init_cfg": FAR}}, "cannot download http://127.0.0.1:9/r.pth (<urlopen error"),
        ({"data": {"type": "video"}}, "unknown data type 'video'; choices: digits, coco"),
        (
            {"cfg_options": {"model.bbox_head.type": "PAAHead"}},
            "'PAAHead'; known: FCOSHead, ATSSHead, RetinaHead, Shared2FCBBoxHead, Shared4Conv1FCBBoxHead, GFLHead",
        ),
        ({"data": {"type": "coco", "val": {"annotations": "a.json", "images": "i"}}}, "needs train, and may have val"),
    ],
)
def test_a_set_up_that_cannot_work_is_one_line(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    content = search()
    content["evaluator"] |= changes
    finished = subprocess.run(command(tmp_path, content, "run", 1), capture_output=True, text=True, check=False)
    assert finished.returncode == 2
    assert message in finished.stderr
    assert finished.stderr.count("\n") == 1


def test_a_wrong_task_of_the_last_rung_is_found_before_anything_is_trained(tmp_path: Path) -> None:
    content = search()
    content["finale"] = {"rung": {"name": "full", "task": {**TASK, "evaluate_on": "tset"}, "seeds": [2]}}
    finished = subprocess.run(command(tmp_path, content, "run", 1), capture_output=True, text=True, check=False)
    assert finished.returncode == 2
    assert "a rung's evaluate_on is 'tset'; choices: verify, val, test" in finished.stderr
    assert done(tmp_path / "run") == 0


def test_a_slot_or_grammar_that_does_not_fit_the_detector_is_one_line(tmp_path: Path) -> None:
    content = search(
        known=[], slots={"loss_cls": {"grammar": "softmax", "like": "cross_entropy"}}, controls=[{"loss_cls": 2.0}]
    )
    environment = {**os.environ, "AUTOLOSS_CACHE": str(tmp_path / "cache")}
    finished = subprocess.run(
        command(tmp_path, content, "run", 1), env=environment, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 2
    assert "FCOSHead classifies by sigmoid, so loss_cls needs grammar 'sigmoid'" in finished.stderr

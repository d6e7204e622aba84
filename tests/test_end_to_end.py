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

from autoloss.candidate import State
from autoloss.store.file import FILE
from autoloss.store.run import Run
from tests.helpers.command import autoloss, autoloss_process
from tests.helpers.small import section

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
    return ["search", str(config), str(folder / run), "--workers", str(workers)]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own."""
    monkeypatch.setenv("AUTOLOSS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def started(line: list[str], **options: Any) -> subprocess.Popen[bytes]:
    """The command in a process of its own, which is to be killed."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen([sys.executable, "-m", "autoloss", *line], **{**quiet, **options})


def test_a_real_search_killed_and_resumed_with_other_workers_equals_the_uninterrupted(tmp_path: Path) -> None:
    whole = autoloss(*command(tmp_path, search(isolate=False), "whole", 1))
    assert whole.returncode == 0, whole.stderr
    killed = started(command(tmp_path, search(), "killed", 2), start_new_session=True)
    while done(tmp_path / "killed") < 3:
        assert killed.poll() is None
        time.sleep(0.05)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    before = done(tmp_path / "killed")
    resumed = autoloss(*command(tmp_path, search(), "killed", 1))
    assert resumed.returncode == 0, resumed.stderr
    expected = facts(tmp_path / "whole")
    assert 3 <= before < len(expected[1])
    assert facts(tmp_path / "killed") == expected
    assert all(state is State.DONE for *_, state, _ in expected[1])


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(5))
def test_a_real_search_killed_at_random_moments_equals_the_uninterrupted(tmp_path: Path, seed: int) -> None:
    rng, kills = random.Random(seed), 0
    assert autoloss(*command(tmp_path, search(), "whole", 1)).returncode == 0
    while True:
        process = started(command(tmp_path, search(), "killed", 2), stderr=subprocess.PIPE)
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
def test_real_scores_are_the_same_in_this_process_in_four_and_on_a_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ray.cluster_utils import Cluster

    def searched(run: str, workers: int, *options: str, **changes: Any) -> list[Any]:
        done = autoloss_process(*command(tmp_path, search(**changes), run, workers), *options)
        assert done.returncode == 0, done.stderr
        return facts(tmp_path / run)

    expected = searched("here", 1, isolate=False)
    assert searched("four", 4, isolate=True) == expected
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        cluster.add_node(num_cpus=1)
        monkeypatch.setenv("AUTOLOSS_CACHE", str(tmp_path / "another"))  # so that what is shared is made on the nodes
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
    line = ["train", "configs/detectors/tiny_fcos.py", "--json", "--seed", "1"]
    line += ["--loss-bbox", "neg(log(div(i, u)))", "--loss-cls", "quality_focal", "--work-dir", str(tmp_path / "work")]
    for prefix, split in (("--", "train"), ("--val-", "val")):
        line += [f"{prefix}data", str(data / annotations.format(split=split))]
        line += [f"{prefix}images", str(data / images.format(split=split))]
    small = ["train_cfg.max_epochs=1", "train_dataloader.num_workers=0", "train_dataloader.persistent_workers=False"]
    small += ["visualizer.vis_backends.0.type=TensorboardVisBackend"]
    small += ["val_dataloader.num_workers=0", "val_dataloader.persistent_workers=False"]
    done = autoloss_process(*line, "--cfg-options", *small)  # mmengine keeps one visualizer a process
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
    line = [*command(tmp_path, content, "run", 1), *options]
    finished = autoloss(*line)
    assert finished.returncode == 0, finished.stderr
    assert said in finished.stderr
    with Run.open(tmp_path / "run") as run:
        assert len(run.description["classes"]) == classes
        assert all(evaluation.state is State.DONE for evaluation in run.evaluations())
        found = max(candidate.number for candidate in run.candidates())
    other = autoloss(*line[: -len(options)])
    assert other.returncode == 2  # the data belongs to what a run is
    assert "data" in other.stderr
    out = tmp_path / "export"
    exported = autoloss("export", tmp_path / "run", "--candidate", found, "--out", out)
    assert exported.returncode == 0, exported.stderr
    assert "the file equals the formula" in exported.stdout
    assert len(list(out.glob(f"candidate{found}_losses_*.py"))) == 1


def test_a_real_search_is_estimated_and_leaves_nothing_but_prepared_data(tmp_path: Path) -> None:
    content = search()
    content["ladder"][1]["task"] = {**FROZEN, "iterations": 100}  # which take longer than a clock is wrong by
    command(tmp_path, content, "", 1)
    line = ["estimate", str(tmp_path / "config.py"), "--seconds", "0.5", "--json"]
    finished = autoloss(*line)
    assert finished.returncode == 0, finished.stderr
    found = json.loads(finished.stdout)
    stages = {stage["name"]: stage for stage in found["stages"]}
    # Own, two known and two found.
    assert {name: stages[name]["evaluations"] for name in ("verify", "frozen", "proxy")} == dict.fromkeys(
        ("verify", "frozen", "proxy"), 5
    )
    for name, cost in found["measured"]["costs"].items():
        assert cost["iterations"] == (100 if name == "frozen" else 4)
        assert cost["one"]["iteration"] > 0, name
        assert cost["memory"] > 1e8
    frozen = found["measured"]["costs"]["frozen"]
    assert frozen["shared_iterations"] == 10
    assert min(frozen["shared"]["iteration"], frozen["load"], frozen["disk"]) > 0
    assert found["measured"]["bytes_data"] > 1e4
    assert sum(stage["share"] for stage in stages.values()) == pytest.approx(1)
    assert {path.name.split("-")[0] for path in (tmp_path / "cache").iterdir()} == {"digits", "verify"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "config.py"]


def test_a_finale_without_a_test_split_runs_on_val_and_says_so(tmp_path: Path, data: Path) -> None:
    content = search(known=[])
    content["finale"] = {"rung": {"name": "full", "task": {**TASK, "evaluate_on": "test"}, "seeds": [2]}}
    train, val = (str(data / f"bccd/{split}.json") for split in ("train", "val"))
    options = ["--data", train, "--images", str(data / "bccd/images"), "--val-data", val]
    line = [*command(tmp_path, content, "run", 1), *options]
    finished = autoloss(*line)
    assert finished.returncode == 0, finished.stderr
    assert finished.stderr.count("the data has no test split: what is to be evaluated on test is evaluated on val") == 1
    assert finished.stderr.count("no test split") == 1
    _, evaluations = facts(tmp_path / "run")
    assert [state for _, rung, _, state, _ in evaluations if rung == "full"].count(State.DONE) >= 2


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
    finished = autoloss(*command(tmp_path, content, "run", 1))
    assert finished.returncode == 2
    assert message in finished.stderr
    assert finished.stderr.count("\n") == 1


def test_a_wrong_task_of_the_last_rung_is_found_before_anything_is_trained(tmp_path: Path) -> None:
    content = search()
    content["finale"] = {"rung": {"name": "full", "task": {**TASK, "evaluate_on": "tset"}, "seeds": [2]}}
    finished = autoloss(*command(tmp_path, content, "run", 1))
    assert finished.returncode == 2
    assert "a rung's evaluate_on is 'tset'; choices: verify, val, test" in finished.stderr
    assert done(tmp_path / "run") == 0


def test_a_slot_or_grammar_that_does_not_fit_the_detector_is_one_line(tmp_path: Path) -> None:
    content = search(
        known=[], slots={"loss_cls": {"grammar": "softmax", "like": "cross_entropy"}}, controls=[{"loss_cls": 2.0}]
    )
    finished = autoloss(*command(tmp_path, content, "run", 1))
    assert finished.returncode == 2
    assert "FCOSHead classifies by sigmoid, so loss_cls needs grammar 'sigmoid'" in finished.stderr

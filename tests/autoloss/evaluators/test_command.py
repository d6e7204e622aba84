"""A command as an evaluator: what it is given, what is asked of it, and what becomes of one that fails."""

from __future__ import annotations

import ast
import os
import runpy
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from autoloss.candidate import Candidate, How, Kind, Loss, Origin, State
from autoloss.config import from_mapping
from autoloss.evaluator import build
from autoloss.evaluators.command import CommandError
from autoloss.search.loop import discover
from autoloss.store.run import Run
from autoloss.workers import memory
from autoloss.workers.executors import evaluate, start
from autoloss.workers.limits import Limited, Limits, WorkerError
from autoloss.workers.pool import Processes
from primitives.catalog import GRAMMARS, known_loss
from primitives.errors import InputError
from primitives.kinds.sample import Sample
from tests.helpers.command import autoloss
from tests.helpers.scripts import loop, saying, script, wait_for_end
from tests.helpers.small import section

SLOTS = {"loss_cls": "sigmoid", "loss_bbox": "box"}


def loss(name: str, weight: float = 1.0) -> dict[str, Any]:
    known = known_loss(name)
    return Loss(known.expression, GRAMMARS[known.grammar], weight, known.alpha).spec()


def searched(folder: Path, spec: dict[str, Any], **changes: Any) -> Any:
    ladder = [{"name": "short", "task": {"steps": 2}}]
    settings = from_mapping(section(evaluator=spec, ladder=ladder, finale=None, generations=1, **changes))
    with Run.create(folder, settings.identity()) as run:
        discover(settings, run)
        return run.candidates(), [(e.candidate, e.rung, e.seed, e.state, e.score) for e in run.evaluations()]


def test_a_command_is_given_a_file_a_slot_the_seed_and_what_the_rung_says() -> None:
    words = ["--cls={loss_cls}", "{loss_bbox}", "{seed}/{iterations}", "{split} x"]
    check = "import sys; a = sys.argv; assert a[1:] == ['--cls=own', 'own', '7/30', 'val x'], a; print(1)"
    assert build(saying(check, *words)).evaluate({}, {"iterations": 30, "split": "val"}, 7) == {"score": 1.0}


def test_the_file_of_a_slot_is_plain_pytorch_that_computes_the_loss_and_needs_nothing_of_ours(tmp_path: Path) -> None:
    copy = "import shutil, sys; shutil.copy(*sys.argv[1:]); print(0)"
    build(saying(copy, "{loss_cls}", str(tmp_path / "kept.py"))).evaluate({"loss_cls": loss("varifocal", 0.75)}, {}, 0)
    tree = ast.parse((tmp_path / "kept.py").read_text())
    imports = [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))]
    assert imports == ["import torch", "from torch.nn import functional"]
    file = runpy.run_path(str(tmp_path / "kept.py"))
    assert (file["READS"], file["WEIGHT"]) == (("iou",), 0.75)
    logits, labels, iou = torch.tensor([[0.5, -1.0], [2.0, 0.3]]), torch.tensor([0, 2]), torch.tensor([0.8, 1.0])
    known = known_loss("varifocal")
    expected = GRAMMARS[known.grammar].losses(known.expression, Sample(logits, labels, {"iou": iou}), known.alpha)
    torch.testing.assert_close(file["loss"](logits, labels, iou), expected)


def test_the_score_is_the_last_line_or_a_number_of_a_json_file_with_those_beside_it() -> None:
    assert build(saying("print('mAP'); print(0.25); print()")).evaluate({}, {}, 0) == {"score": 0.25}
    text = "import json, sys; json.dump({'bbox': {'mAP': 0.3, 'AP50': 1, 'name': 'x'}}, open(sys.argv[1], 'w'))"
    place = {"json": "score.json", "key": ["bbox", "mAP"]}
    found = build(saying(text, "{folder}/score.json", score=place))
    assert found.evaluate({}, {}, 0) == {"mAP": 0.3, "AP50": 1.0, "score": 0.3}
    assert found.describe()["metric"] == "mAP"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pass", "it printed no score"),
        ("print('nan')", "the score is nan"),
        ("print('inf')", "the score is inf"),
        ("print('epoch 3'); print('done')", "its last line is no score: 'done'; it said last: epoch 3 done"),
        ("print(0.5); raise SystemExit('no images')", "it ended with exit code 1; it said last: .*no images"),
        ("print(1 / 0)", "it ended with exit code 1; it said last: .*ZeroDivisionError: division by zero"),
        ("import os; os.abort()", "it ended with exit code 134"),
        ("print('\\x1b[31mred', flush=True); 1 / 0", r"it said last: .*\\x1b\[31mred"),
    ],
)
def test_without_a_number_for_a_score_it_failed_and_its_last_words_say_why(text: str, message: str) -> None:
    with pytest.raises(CommandError, match=message) as caught:
        build(saying(text)).evaluate({}, {}, 0)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "it left no score.json: No such file"),
        ("{", "score.json is no JSON"),
        ("[" * 100_000, "score.json is no JSON"),
        ("{}", "score.json has no 'mAP'; it has"),
        ("[1]", "score.json has no 'mAP'; it has list"),
        ('{"mAP": null}', "mAP in score.json is no number: None"),
        ('{"mAP": "0.3"}', "mAP in score.json is no number: '0.3'"),
        ('{"mAP": true}', "is no number: True"),
        ('{"mAP": NaN}', "the score is nan"),
        (f'{{"mAP": 1{"0" * 400}}}', "is no number"),
    ],
)
def test_a_json_file_without_the_score_is_a_failed_evaluation(content: str | None, message: str) -> None:
    text = "import sys; sys.argv[2] and open(sys.argv[1], 'w').write(sys.argv[2])"
    found = build(saying(text, "{folder}/score.json", content or "", score={"json": "score.json", "key": "mAP"}))
    with pytest.raises(CommandError, match=message):
        found.evaluate({}, {}, 0)


def test_what_someone_else_ends_is_no_fault_of_the_losses() -> None:
    with pytest.raises(WorkerError, match="the command was ended by SIGKILL; it said last: almost"):
        build(saying("import os; print('almost', flush=True); os.kill(os.getpid(), 9)")).evaluate({}, {}, 0)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"command": ""}, "names no program"),
        ({"command": []}, "names no program"),
        ({"command": 3}, "is a line or a list of words, got 3"),
        ({"command": "python 'x"}, "No closing quotation"),
        ({"command": "python x.py | tail -1"}, r"no shell reads it, so '\|' would be an argument"),
        ({"command": "python x.py 2>&1"}, "no shell reads it, so '2>&1'"),
        ({"command": "python", "score": "first line"}, "'last line' or dict"),
        ({"command": "python", "score": {"json": "a.json"}}, "'last line' or dict"),
        ({"command": "python", "score": {"json": "a.json", "key": 3}}, "key is a name or a list of names, got 3"),
        ({"command": "python", "score": {"json": "/tmp/a.json", "key": "m"}}, "is a file in {folder}"),
        ({"command": "python", "score": {"json": "../a.json", "key": "m"}}, "is a file in {folder}"),
        ({"command": "python", "score": {"json": "a.json", "key": "m"}}, "does not say {folder}"),
        ({"command": "python", "environment": {"A": 3}}, "environment is names and texts"),
        ({"command": "python", "shell": True}, "does not take these arguments: .*'shell'"),
        ({}, "does not take these arguments: .*'command'"),
    ],
)
def test_a_command_that_cannot_be_is_one_line(spec: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        build({"type": "command", **spec})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("command", "task", "message"),
    [
        ("{python} {loss_cls} {loss_bbox}", {"steps": 3}, r"the command has no \{steps\}, which task"),
        (
            "{python} {loss_cls} {loss_bbox} {step}",
            {},
            r"\{step\} has no value at task .*choices: loss_cls, loss_bbox, s",
        ),
        ("{python} {loss_cls}", {}, r"does not say \{loss_bbox\}, a slot that is searched"),
        ("{python} {loss_cls} {loss_bbox} {seed}", {"seed": 3}, "cannot say 'seed', which the search gives"),
        ("{python} {loss_cls} {loss_bbox} {x}", {"x": [1]}, r"takes text and numbers, got \[1\]"),
        ("no_such_program {loss_cls} {loss_bbox}", {}, "no program 'no_such_program' that can be run"),
        ("{python} nowhere.py {loss_cls} {loss_bbox}", {}, "no file of the command at 'nowhere.py'"),
    ],
)
def test_what_does_not_fit_the_search_is_said_before_anything_runs(
    command: str, task: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        build({"type": "command", "command": command}).prepare(SLOTS, [task])
    assert "\n" not in str(caught.value)


def test_files_of_the_command_are_looked_for_beside_the_config_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    script(tmp_path, "print(1)")
    script(tmp_path / "here", "print(2)")
    spec = {"type": "command", "command": "{python} train.py"}
    assert build(spec).evaluate({}, {}, 0) == {"score": 2.0}
    found = build({**spec, "beside": [str(tmp_path)]})
    assert found.evaluate({}, {}, 0) == {"score": 1.0}
    assert found.describe()["beside"] == [str(tmp_path)]  # an audit looks there, too
    assert "beside" not in build(spec).describe()


def test_it_has_one_thread_and_the_variables_of_the_config(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    text = "import os, sys; print(sum(float(os.environ[name]) for name in ('OMP_NUM_THREADS', 'MINE')))"
    assert build(saying(text, environment={"MINE": "4"})).evaluate({}, {}, 0) == {"score": 5.0}
    assert build(saying(text, environment={"MINE": "4", "OMP_NUM_THREADS": "3"})).evaluate({}, {}, 0) == {"score": 7.0}


def test_the_memory_of_the_command_counts_for_the_limits() -> None:
    memory.forget_peak()
    before = memory.peak_memory()
    build(saying("import time; held = bytearray(300_000_000); time.sleep(0.5); print(1)")).evaluate({}, {}, 0)
    assert memory.peak_memory() > before + 250e6
    memory.forget_peak()
    assert memory.peak_memory() < before + 250e6


def test_a_search_by_a_command_is_alike_in_this_process_and_in_two_others(tmp_path: Path) -> None:
    here = searched(tmp_path / "a", loop(tmp_path))
    assert searched(tmp_path / "b", loop(tmp_path), workers=2, isolate=True) == here
    assert {state for *_, state, _ in here[1]} == {State.DONE}
    assert len({score for *_, score in here[1]}) > 4  # the losses make a difference


def test_a_command_that_hangs_is_killed_with_all_it_started_and_its_last_words_are_kept(tmp_path: Path) -> None:
    text = (
        "import os, subprocess, sys, time; "
        "other = subprocess.Popen(['sleep', '600'], start_new_session=True); "
        f"open({str(tmp_path / 'pids')!r}, 'w').write(f'{{os.getpid()}} {{other.pid}}'); "
        "print('epoch 1 of 2'); time.sleep(600)"
    )
    settings = from_mapping(section(evaluator=saying(text, "{loss_cls}", "{loss_bbox}", "{steps}")))
    pool = Processes(1, start, (settings.evaluator_spec, settings.stand_ins))
    try:
        pool.submit(os.getpid).result()
        call = Limited(evaluate, partial(Limits, 3.0), "it hangs")
        with pytest.raises(WorkerError, match="no end after 3 s, its limit; it said last: epoch 1 of 2"):
            pool.submit(call, [_candidate()], settings.ladder[0], 0).result()
    finally:
        pool.shutdown(cancel_futures=True)
    for pid in map(int, (tmp_path / "pids").read_text().split()):
        wait_for_end(pid)


def test_a_failed_command_ends_the_search_where_it_is_the_own_loss_with_one_line(tmp_path: Path) -> None:
    config = section(evaluator={"type": "command", "command": "{python} train.py {loss_cls} {loss_bbox} {steps}"})
    script(tmp_path, "raise SystemExit('no images')")
    (tmp_path / "search.py").write_text(
        f"search = dict({', '.join(f'{key}={value!r}' for key, value in config.items())})"
    )
    done = autoloss("search", "search.py", "run", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        "autoloss: the detector's own loss failed at rung 'verify', so the set-up is wrong, not a candidate: "
        "CommandError: it ended with exit code 1; it said last: no images"
    )


@pytest.mark.slow
def test_a_search_by_a_command_on_a_ray_cluster_equals_one_in_this_process(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'autoloss[ray]'")
    here = searched(tmp_path / "a", loop(tmp_path))
    assert searched(tmp_path / "b", loop(tmp_path), workers=2, ray={"address": "local"}) == here


def _candidate() -> Any:
    return Candidate(0, Kind.OWN, 0, {}, Origin(How.OWN))

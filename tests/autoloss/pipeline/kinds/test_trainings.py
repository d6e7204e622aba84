"""Trainings of a step that fail or are killed, and what becomes of them in the next session."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autoloss.pipeline import plan
from autoloss.pipeline.index import FILE
from autoloss.pipeline.kinds import trainings
from autoloss.pipeline.kinds.table import FIGURES, KINDS
from autoloss.pipeline.trained import OWN, TUNED, WINNER
from primitives.errors import InputError
from tests.helpers.pipelines import flow, index, written

STEPS = ["search_bbox", "train"]
Scored = Callable[[Any, Any, int], dict[str, Any]]


def scored(failing: Callable[[dict[str, Any], int], bool], seen: list[tuple[Any, int]]) -> Scored:
    """A training that says whom it was asked for."""

    def evaluated(losses: dict[str, Any], task: dict[str, Any], seed: int) -> dict[str, Any]:
        seen.append((task.get("iterations"), seed))
        if failing(losses, seed):
            raise FloatingPointError("the loss is NaN")
        return {"score": 0.5 + 0.1 * len(losses) + seed / 1e6, "checkpoint": None}

    return evaluated


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, int]]:
    """Iterations and seeds of trainings, whose own loss fails with seed 1002."""
    found: list[tuple[Any, int]] = []
    monkeypatch.setattr(trainings, "evaluated", scored(lambda losses, seed: not losses and seed == 1002, found))
    return found


def mended(monkeypatch: pytest.MonkeyPatch, seen: list[tuple[Any, int]]) -> None:
    seen.clear()
    monkeypatch.setattr(trainings, "evaluated", scored(lambda *_: False, seen))


def test_what_was_trained_by_another_config_is_put_aside_where_the_step_had_failed(
    tmp_path: Path, seen: list[tuple[Any, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    file, out = written(tmp_path, steps=STEPS, train={"seeds": 2, "iterations": 1200}), tmp_path / "out"
    with pytest.raises(InputError, match="training with the detector's own loss, seed 1002: the loss is NaN"):
        flow(file, out).run()
    assert (out / "train/own-seed1001/result.json").is_file()
    mended(monkeypatch, seen)
    written(tmp_path, steps=STEPS, train={"seeds": 2, "iterations": 600})
    assert flow(file, out).run()
    assert {iterations for iterations, _ in seen} == {600}
    assert {seed for _, seed in seen} == {1001, 1002}
    assert (out / "train.1/own-seed1001/result.json").is_file()  # nothing is lost


def test_what_was_trained_by_the_same_config_stays_where_the_step_had_failed(
    tmp_path: Path, seen: list[tuple[Any, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    file, out = written(tmp_path, steps=STEPS), tmp_path / "out"
    with pytest.raises(InputError, match="seed 1002"):
        flow(file, out).run()
    mended(monkeypatch, seen)
    assert flow(file, out).run()
    assert 1001 not in {seed for _, seed in seen}


def test_a_winner_that_fails_fails_the_step_with_its_table_and_is_trained_again_by_the_same_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, out = written(tmp_path, steps=STEPS), tmp_path / "out"
    seen: list[tuple[Any, int]] = []
    fails = scored(lambda losses, seed: "loss_bbox" in losses and seed == 1001, seen)
    monkeypatch.setattr(trainings, "evaluated", fails)
    with pytest.raises(InputError, match="nothing to compare: what the search recommends, seed 1001: the loss is NaN"):
        flow(file, out).run()
    assert "failed" in (out / "train/table.txt").read_text()
    assert index(out)["steps"]["train"]["state"] == "failed"
    mended(monkeypatch, seen)
    assert flow(file, out).run()
    assert seen == [(None, 1001)]
    kept = json.loads((out / "train/winner-seed1001/result.json").read_text())
    assert (kept["score"] is not None, kept["error"]) == (True, "")


def test_a_tuned_loss_that_fails_is_told_and_the_rest_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, out = written(tmp_path, steps=STEPS), tmp_path / "out"
    tuned = ("quality_focal x 2", {"loss_cls": {}})
    monkeypatch.setattr("autoloss.pipeline.kinds.train._tuned", lambda *_: tuned)
    monkeypatch.setattr(trainings, "evaluated", scored(lambda losses, _: losses == tuned[1], []))
    assert flow(file, out).run()
    told = index(out)["steps"]["train"]["told"]
    assert "over the own loss, nothing over own loss with tuned weights, seed 1001: the loss is NaN" in told
    assert {WINNER, TUNED, OWN} == set(json.loads((out / "train/train.json").read_text())["losses"])


@pytest.mark.parametrize("score", [math.nan, math.inf])
def test_a_score_that_is_not_finite_is_no_training_that_is_done(
    score: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Evaluator:
        def of(self, _: Any) -> Any:
            return self

        def evaluate(self, *_: Any) -> dict[str, float]:
            return {"score": score}

    monkeypatch.setattr(trainings.executors, "held", Evaluator)
    with pytest.raises(FloatingPointError, match=f"^its score is {score}, which is no finite number$"):
        trainings.evaluated({}, {}, 0)
    told: Any = lambda *_, **__: {"mAP": score, "checkpoint": None}  # noqa: E731
    monkeypatch.setattr(trainings, "reached", lambda _: told)
    with pytest.raises(FloatingPointError, match="no finite number"):
        trainings.trained("detector.py", str(tmp_path), {})


def test_one_that_an_older_version_kept_with_such_a_score_is_trained_again(
    tmp_path: Path, seen: list[tuple[Any, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    mended(monkeypatch, seen)
    file, out = written(tmp_path, steps=STEPS), tmp_path / "out"
    assert flow(file, out).run()
    seen.clear()
    result, kept = out / "train/winner-seed1002/result.json", out / FILE
    result.write_text(json.dumps({**json.loads(result.read_text()), "score": math.nan}))
    document = json.loads(kept.read_text())
    document["steps"]["train"]["figures"]["gain"] = math.nan
    kept.write_text(json.dumps(document))
    assert flow(file, out).run()
    assert seen == [(None, 1002)]
    assert math.isfinite(index(out)["steps"]["train"]["figures"]["gain"])


def test_one_that_was_killed_goes_on_from_its_last_checkpoint_and_keeps_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def trains(detector: str, work_dir: str, resume: bool, **_: Any) -> dict[str, Any]:
        asked.append(resume)
        (Path(work_dir) / "last_checkpoint").write_text("iter_6.pth")
        sys.stdout.write("a line of a log\n")
        return {"mAP": 0.4, "checkpoint": "iter_6.pth"}

    monkeypatch.setattr(trainings, "reached", lambda _: trains)
    done = {"score": 0.4, "checkpoint": "iter_6.pth"}
    assert [trainings.trained("detector.py", str(tmp_path), {}) for _ in range(2)] == [done, done]
    assert (tmp_path / "log.txt").read_text() == "a line of a log\n" * 2
    assert asked == [False, True]


def test_where_the_command_runs_is_no_input_of_a_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs/mine.py").write_text("model = dict()\n")
    file = written(tmp_path / "configs", steps=STEPS, train={"detector": "mine.py"})
    inputs = []
    for place in (tmp_path, tmp_path / "configs"):
        monkeypatch.chdir(place)
        pipeline = plan.load(file, figures=FIGURES)
        inputs.append(KINDS["train"].inputs(pipeline, pipeline.step("train")))
    assert inputs[0] == inputs[1]
    assert inputs[0]["detector"] == "mine.py"

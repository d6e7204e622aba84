"""What a step trains on another detector, and what it refuses before the search that it follows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from autoloss.candidate import Candidate, Evaluation, How, Kind, Loss, Origin, State
from autoloss.pipeline import plan
from autoloss.pipeline.index import Index
from autoloss.pipeline.kinds.kind import Work
from autoloss.pipeline.kinds.table import FIGURES, KINDS
from autoloss.pipeline.plan import Pipeline
from autoloss.pipeline.trained import TUNED, WINNER
from autoloss.store.run import Run
from primitives.errors import InputError
from tests.helpers.pipelines import flow, written

DATA = {"type": "digits", "train": 12, "val": 2, "test": 2}
FEW = {"search.evaluator.data": {"type": "digits", "train": 40, "val": 8, "test": 8}}
SEARCH = {"config": "configs/search/digits_fcos.py", "cfg_options": FEW, "slots": None}
FOUND = {
    "loss_cls": Loss.of({"expression": "abs(sub(y, sigmoid(x)))", "grammar": "sigmoid", "loss_weight": 0.5}),
    "loss_bbox": Loss.of({"expression": "neg(log(div(i, u)))", "grammar": "box", "loss_weight": 0.7}),
}
FROZEN = {"kind": "frozen", "iterations": 300, "pretrain": 700, "evaluate_on": "val"}


def loaded(folder: Path, more: dict[str, Any] | None = None, **train: Any) -> Pipeline:
    search = {**SEARCH, "cfg_options": {**FEW, **(more or {})}}
    return plan.load(written(folder, steps=["search", "train"], search=search, train=train), figures=FIGURES)


def work_after(folder: Path, pipeline: Pipeline) -> Work:
    """The training after a search that found a pair, whose best control is the box loss with twice its weight."""
    settings = pipeline.settings(pipeline.step("search"))
    index = Index(folder / "out", pipeline.name, {step.name: step.kind for step in pipeline.steps})
    twice = {"loss_bbox": settings.stand_ins["loss_bbox"]}
    rows = [(Kind.OWN, {}, How.OWN), (Kind.CONTROL, twice, How.CONTROL), (Kind.FOUND, FOUND, How.RANDOM)]
    with Run.create(folder / "out/search", settings.identity()) as run:
        run.born([Candidate(n, kind, 0, losses, Origin(how)) for n, (kind, losses, how) in enumerate(rows)], [])
        for number in range(3):
            run.started(number, "frozen long", 6)
            run.finished(Evaluation(number, "frozen long", 6, State.DONE, 0.4 + number / 10))
    index.put("search", state="done", gave={"run": "search", "candidate": 2, "losses": {}})
    return Work(pipeline, pipeline.step("train"), index, folder / "out", Console(quiet=True))


@pytest.mark.parametrize(("detector", "scale"), [("tiny_fcos", 1), ("tiny_atss", 2), ("tiny_retinanet", 2)])
def test_on_another_detector_everyone_is_at_the_scale_of_its_own_losses(
    detector: str, scale: float, tmp_path: Path
) -> None:
    work = work_after(tmp_path, loaded(tmp_path, detector=detector))
    losses = KINDS["train"].took(work)["losses"]
    assert losses[WINNER]["loss_bbox"]["loss_weight"] == pytest.approx(0.7 * scale)
    assert losses[WINNER]["loss_cls"]["loss_weight"] == 0.5
    assert losses[TUNED]["loss_bbox"]["loss_weight"] == pytest.approx(scale)


def test_the_weights_that_an_audit_tuned_are_of_the_other_detectors_own_loss(tmp_path: Path) -> None:
    sections = {"search": SEARCH, "train": {"detector": "tiny_atss"}}
    file = written(tmp_path, steps=["search", "audit", "train"], **sections)
    work = work_after(tmp_path, plan.load(file, figures=FIGURES))
    work.index.put("audit", state="done", gave={"tuned": {"loss_bbox": 3.0, "loss_cls": 1.0}})
    tuned = KINDS["train"].took(work)["losses"][TUNED]
    assert {slot: loss["loss_weight"] for slot, loss in tuned.items()} == {"loss_bbox": 6.0}


@pytest.mark.parametrize(
    ("train", "more", "message"),
    [
        ({"detector": "tiny_faster_rcnn"}, {}, "classifies by softmax, so loss_cls needs grammar"),
        ({"detector": "tiny_fcos", "backbone": "/nowhere/weights.pth"}, {}, "no checkpoint at '/nowhere/weights.pth'"),
        ({"backbone": "/nowhere/weights.pth"}, {}, "no checkpoint at '/nowhere/weights.pth'"),
        (
            {"detector": "tiny_retinanet"},
            {"search.evaluator.centerness_target": "iou"},
            "centerness_target='iou' is for FCOSHead and ATSSHead",
        ),
        ({"detector": "tiny_fcos", "cfg_options": {"model.backbone.type": "ResNot"}}, {}, "mmengine cannot build it"),
    ],
)
def test_what_could_not_be_trained_is_refused_before_the_search(
    train: dict[str, Any], more: dict[str, Any], message: str, tmp_path: Path
) -> None:
    search = {**SEARCH, "cfg_options": {**FEW, **more}}
    given = {**train, **({"data": DATA} if "detector" in train else {})}
    file = written(tmp_path, steps=["search", "train"], search=search, train=given)
    with pytest.raises(InputError, match=r"^train: .*") as caught:
        flow(file, tmp_path / "out").check()
    assert message in str(caught.value)


@pytest.mark.parametrize(("key", "value"), [("backbone", "scratch"), ("cfg_options", {"train_cfg.max_iters": 3})])
def test_what_changes_a_detector_is_refused_where_the_search_trains_none(key: str, value: Any, tmp_path: Path) -> None:
    search = {"config": "configs/search/own_loop.py"}
    file = written(tmp_path, steps=["search", "train"], search=search, train={key: value})
    with pytest.raises(InputError, match="backbone and cfg_options change an mmdetection detector: name one"):
        flow(file, tmp_path / "out").check()


def test_data_are_for_another_detector(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="train.data: data are for another `detector`"):
        loaded(tmp_path, data=DATA)


def test_a_slot_that_no_search_fills_may_be_one_that_the_detector_could_not_take(tmp_path: Path) -> None:
    boxes = {**SEARCH, "slots": ["loss_bbox"]}
    train = {"detector": "tiny_faster_rcnn", "data": DATA}
    file = written(tmp_path, steps=["search", "train"], search=boxes, train=train)
    assert flow(file, tmp_path / "out").check()


@pytest.mark.parametrize("iterations", [None, 50])
def test_what_small_heads_stood_on_is_what_a_whole_training_costs(iterations: int | None, tmp_path: Path) -> None:
    frozen = {"search.ladder.1.task": FROZEN, "search.finale": None}
    pipeline = loaded(tmp_path, frozen, iterations=iterations)
    measured = KINDS["train"].measured(pipeline, pipeline.step("train"))
    assert measured is not None
    assert [rung.task for rung in measured.rungs] == [{"iterations": 700, "train_on": "train", "evaluate_on": "val"}]


def test_another_detector_is_measured_as_such_where_the_search_trains_none(tmp_path: Path) -> None:
    file = written(tmp_path, steps=["search_bbox", "train"], train={"detector": "tiny_atss", "data": DATA})
    pipeline = plan.load(file, figures=FIGURES)
    measured = KINDS["train"].measured(pipeline, pipeline.step("train"))
    assert measured is not None
    assert measured.evaluator["data"] == DATA
    assert "iterations" in measured.rungs[-1].task

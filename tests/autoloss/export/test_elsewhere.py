"""Losses of a run on a detector whose own losses weigh more or less."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from autoloss.candidate import Candidate, Evaluation, How, Kind, Loss, Origin, State
from autoloss.commands import train
from autoloss.config import load
from autoloss.export import elsewhere
from autoloss.store.run import Run
from tests.helpers.command import autoloss

FOUND = {"loss_bbox": Loss.of({"expression": "neg(log(div(i, u)))", "grammar": "box", "loss_weight": 0.7})}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a search on FCOS, whose GIoU has weight 1, that found a box loss of weight 0.7."""
    folder, settings = tmp_path_factory.mktemp("run") / "run", load("configs/search/digits_fcos.py")
    with Run.create(folder, settings.identity()) as store:
        own = Candidate(0, Kind.OWN, 0, {}, Origin(How.OWN))
        store.born([own, Candidate(1, Kind.FOUND, 0, FOUND, Origin(How.RANDOM))], [])
        store.started(1, "frozen", 5)
        store.finished(Evaluation(1, "frozen", 5, State.DONE, 0.5))
    return folder


@pytest.mark.parametrize(
    ("detector", "options", "weight"),
    [
        ("tiny_fcos", (), 0.7),
        ("configs/detectors/tiny_fcos.py", ("--cfg-options", "model.bbox_head.loss_bbox.loss_weight=2"), 0.7),
        ("tiny_atss", (), 1.4),
        ("tiny_atss", ("--cfg-options", "model.bbox_head.loss_bbox.loss_weight=3"), 2.1),
        ("tiny_retinanet", (), 1.4),  # what mmdetection puts in the place of L1
        ("tiny_faster_rcnn", (), 7.0),
        ("tiny_atss", ("--weight-bbox", "0.3"), 0.3),
    ],
)
def test_a_whole_training_has_them_at_the_scale_of_its_own_losses_and_says_so(
    detector: str, options: tuple[str, ...], weight: float, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[dict[str, Any]] = []
    monkeypatch.setattr(train, "TRAIN", "here:train")
    fake: Any = SimpleNamespace(train=lambda _, **given: trained.append(given))
    monkeypatch.setitem(sys.modules, "here", fake)
    done = autoloss("train", detector, "--run", run, *options)
    assert done.returncode == 0, done.stderr
    assert trained[0]["losses"]["loss_bbox"]["loss_weight"] == pytest.approx(weight)
    assert trained[0]["scale"] == []
    said = f"The loss_weight of loss_bbox is {weight:g} for {detector}"
    assert (said in done.stderr) == (weight not in (0.7, 0.3))


def test_so_has_an_export_and_its_card_says_so(run: Path, tmp_path: Path) -> None:
    done = autoloss("export", run, "--detector", "tiny_atss", "--to", "torch", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    card = " ".join((tmp_path / "out/card.md").read_text().replace("\\", "").split())
    assert "is 1.4 for tiny_atss, whose own loss weighs 2: it was 0.7 in the search, for an own loss of 1." in card
    assert "_WEIGHT = 1.4" in next((tmp_path / "out").glob("*_losses_*.py")).read_text()


def test_a_search_of_a_detector_is_at_its_scale_wherever_its_config_is_named_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load("configs/search/digits_fcos.py")
    named = Path("configs/detectors/tiny_fcos.py").resolve()
    monkeypatch.chdir(tmp_path)
    for name in (str(named), "tiny_fcos", "autoloss::detectors/tiny_fcos.py"):
        assert elsewhere.at(settings, name) is settings
    assert elsewhere.at(settings, "tiny_atss").slots["loss_bbox"].weight == 2

"""The searches on COCO, with their data and detectors made small."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from autoloss.config import load
from detectors.evaluator import DetectorEvaluator
from tests.helpers.stock import STOCK

SEARCHES = {"coco_fcos": "fcos_r50", "coco_faster_rcnn": "faster_rcnn_r50"}


@pytest.mark.parametrize("name", SEARCHES)
def test_a_search_on_coco_holds_out_10_000_images_and_is_judged_by_val2017(name: str) -> None:
    settings = load(f"configs/search/{name}.py")
    data = settings.evaluator["data"]
    assert (data["hold_out"], data["verify"], "val" in data) == (10_000, 1, False)
    assert data["test"]["images"] == "data/coco/val2017"
    assert [rung.name for rung in settings.ladder] == ["verify", "proxy"]
    assert settings.ladder[1].task["iterations"] == math.ceil((118_287 - 10_000) / 16)
    assert not settings.variation.extended


@pytest.mark.parametrize("name", SEARCHES)
def test_every_rung_of_a_search_on_coco_trains_small_detectors_on_real_images(
    name: str, data: Path, small_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOLOSS_CACHE", str(small_cache))
    settings = load(f"configs/search/{name}.py")
    tiny = data / "tiny_coco"
    small: dict[str, Any] = {**settings.evaluator, "batch_size": 2, "cfg_options": STOCK[SEARCHES[name]][1]}
    assert small.pop("type") == "detectors.evaluator:DetectorEvaluator"
    splits = {
        "train": {"annotations": str(tiny / "annotations/instances_train2017.json"), "images": str(tiny / "train2017")},
        "test": {"annotations": str(tiny / "annotations/instances_val2017.json"), "images": str(tiny / "val2017")},
    }
    small["data"] = {**settings.evaluator["data"], **splits, "hold_out": 10}
    evaluator = DetectorEvaluator(**small)
    rungs = [*settings.ladder, *([settings.finale.rung] if settings.finale else [])]
    evaluator.prepare({slot: one.grammar for slot, one in settings.slots.items()}, [rung.task for rung in rungs])
    assert {split: source.count for split, source in evaluator.sources.items()} == {
        "train": 40,
        "val": 10,
        "test": 50,
        "verify": evaluator.sources["verify"].count,
    }
    assert 20 < evaluator.sources["verify"].count <= 40
    for rung in rungs:
        found = evaluator.evaluate({}, {**rung.task, "iterations": 1}, rung.seeds[0])
        assert 0 <= found["score"] <= 1

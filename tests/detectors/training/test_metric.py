from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from detectors.data.coco import CocoSource
from detectors.evaluator import DetectorEvaluator
from detectors.training.coco_metric import Truth
from detectors.training.metric import Metric
from primitives.errors import InputError
from tests.helpers.tiny import DIGITS

TINY = "configs/detectors/tiny_fcos.py"
NAMES = [
    "mAP",
    "AP50",
    "AP75",
    "AP_small",
    "AP_medium",
    "AP_large",
    "AR1",
    "AR10",
    "AR100",
    "AR_small",
    "AR_medium",
    "AR_large",
]
KEYS = {"AP50": "mAP_50", "AP75": "mAP_75"}


def rows_near(source: CocoSource, seed: int = 0) -> np.ndarray[Any, Any]:
    """Detections near the boxes, some of them of another class."""
    rng = np.random.default_rng(seed)
    content = json.loads(source.annotations.read_text())
    order = {category["id"]: place for place, category in enumerate(content["categories"])}
    return np.array(
        [
            [
                entry["image_id"],
                *(np.array(entry["bbox"]) + rng.normal(0, 2, 4)),
                rng.random(),
                order[entry["category_id"]] if rng.random() < 0.8 else rng.integers(len(order)),
            ]
            for entry in content["annotations"]
            for _ in range(2)
        ]
    )


def test_every_metric_is_that_of_pycocotools(scenes: dict[str, CocoSource]) -> None:
    """pycocotools 2.0.11, COCOeval; AP by class from its table of precisions."""
    source = scenes["val"]
    rows = rows_near(source)
    truth = COCO(str(source.annotations))
    images = sorted(truth.imgs)
    ours = Truth(str(source.annotations)).score(rows, images)
    ids = truth.getCatIds()
    found = [
        {"image_id": int(row[0]), "bbox": row[1:5].tolist(), "score": row[5], "category_id": ids[int(row[6])]}
        for row in rows
    ]
    theirs = COCOeval(truth, truth.loadRes(found), "bbox")
    theirs.evaluate()
    theirs.accumulate()
    theirs.summarize()
    for name, value in zip(NAMES, theirs.stats, strict=True):
        key = KEYS.get(name, name)
        if value == -1:
            assert key not in ours
        else:
            assert ours[key] == pytest.approx(value, rel=1e-9)
    for place, category in enumerate(ids):
        precision = theirs.eval["precision"][:, :, place, 0, -1]
        name = f"AP of {truth.cats[category]['name']}"
        if (precision > -1).any():
            assert ours[name] == pytest.approx(precision[precision > -1].mean(), rel=1e-9)
        else:
            assert name not in ours


def test_nothing_detected_has_the_metrics_that_something_detected_has(scenes: dict[str, CocoSource]) -> None:
    truth = Truth(str(scenes["val"].annotations))
    images = list(range(8))
    assert truth.score(np.empty((0, 7)), images).keys() == truth.score(rows_near(scenes["val"]), images).keys()


def test_the_score_is_the_metric_that_is_named_and_map_is_the_default(scenes: dict[str, CocoSource]) -> None:
    task = {"kind": "train", "iterations": 2, "train_on": "train", "evaluate_on": "val"}
    found = DetectorEvaluator(TINY, DIGITS).evaluate({}, task, 0)
    assert found["score"] == found["mAP"]
    for metric, keys in (("AP50", ["mAP_50"]), ("AR100", ["AR100"]), (["4", "6"], ["AP of 4", "AP of 6"])):
        evaluator = DetectorEvaluator(TINY, DIGITS, metric=metric)
        again = evaluator.evaluate({}, task, 0)
        assert again["score"] == pytest.approx(np.mean([found[key] for key in keys]))
        assert again["loss"] == found["loss"]
        assert evaluator.describe()["metric"] == (metric if isinstance(metric, str) else "AP of 4, 6")
    assert "metric" not in DetectorEvaluator(TINY, DIGITS).describe()


def test_heads_on_frozen_features_are_scored_by_the_metric_too(scenes: dict[str, CocoSource]) -> None:
    rung = {"kind": "frozen", "pretrain": 2, "iterations": 2, "images": 8, "evaluate_on": "val"}
    rung |= {"positives": 16, "negatives": 16}
    (found,) = DetectorEvaluator(TINY, DIGITS, metric="AP50").evaluate_many([{}], rung, 0)
    assert isinstance(found, dict)
    assert found["score"] == found["mAP_50"]
    assert {"AP of 4", "AR100"} <= found.keys()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("ap50", r"unknown metric 'ap50' \(did you mean 'AP50'\?\); choices: mAP, AP50, AP75, .*or a list of classes"),
        ("x" * 9000, "unknown metric 'xxx.*choices"),
        (3, "unknown metric 3; choices"),
        ([], r"metric is a list of different classes, got \[\]"),
        (["4", "4"], "metric is a list of different classes"),
    ],
)
def test_what_is_no_metric_is_one_line(value: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        DetectorEvaluator(TINY, DIGITS, metric=value)
    assert len(str(caught.value)) < 600


def test_classes_and_sizes_that_the_data_has_not_are_named_before_a_training(scenes: dict[str, CocoSource]) -> None:
    source = replace(scenes["val"], classes=("White cell", "4"), bare=("4",))
    for value, message in (
        (["white_cell"], r"class 'white_cell', which is none \(did you mean 'White cell'\?\); known: White cell, 4"),
        (["4"], r"class '4', which has no box in data\.val"),
        ("AP_large", r"metric AP_large: data\.val has no box of 9,216 to"),
    ):
        with pytest.raises(InputError, match=message):
            Metric.of(value).check(source, "val")
    task = {"kind": "train", "iterations": 2, "train_on": "train", "evaluate_on": "val"}
    with pytest.raises(InputError, match=r"class 'cat', which is none; known: 0, 1"):
        DetectorEvaluator(TINY, DIGITS, metric=["cat"]).prepare({}, [task])

"""Example detections of a real training, and the score from which up they are shown."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.data.coco import CocoSource
from detectors.detections import examples, threshold
from detectors.evaluator import DetectorEvaluator
from detectors.training.coco_metric import JUDGED
from detectors.training.matches import Judged
from primitives.errors import InputError

FCOS = "configs/detectors/tiny_fcos.py"
DIGITS = {"type": "digits", "train": 40, "val": 8, "test": 8}
TASK = {"iterations": 30, "train_on": "train", "evaluate_on": "test"}
BOX = (0.0, 0.0, 1.0, 1.0)


def test_a_training_shows_the_same_images_whatever_the_losses(scenes: dict[str, CocoSource]) -> None:
    evaluator = DetectorEvaluator(FCOS, DIGITS)
    losses = {"loss_bbox": {"expression": "neg(log(div(i, u)))", "grammar": "box", "loss_weight": 1.0}}
    (mine,), (own,) = evaluator.detect(losses, TASK, 1, 3), evaluator.detect({}, TASK, 1, 3)
    assert mine["score"] == evaluator.evaluate(losses, TASK, 1)["score"]
    assert len(mine["images"]) == 3
    for one, other in zip(mine["images"], own["images"], strict=True):
        assert one["name"] == other["name"]
        assert one["picture"] == other["picture"]
        assert one["picture"].startswith(b"\xff\xd8\xff")
        assert [part["box"] for part in one["objects"]] == [part["box"] for part in other["objects"]]
        assert sum(part["found"] for part in one["objects"]) == sum(part["right"] for part in one["found"])


def test_a_rung_that_trains_no_detector_shows_none(scenes: dict[str, CocoSource]) -> None:
    task = {"kind": "frozen", "iterations": 3, "evaluate_on": "val"}
    with pytest.raises(InputError, match="kind 'frozen'"):
        DetectorEvaluator(FCOS, DIGITS).detect({}, task, 0, 3)


def test_a_picture_of_noise_and_an_image_full_of_boxes_are_cut_to_what_a_page_takes(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (480, 480, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "noise.png"), noise)
    entry = {"id": 1, "file_name": "noise.png", "width": 480, "height": 480}
    (tmp_path / "all.json").write_text(json.dumps({"images": [entry]}))
    source = CocoSource(tmp_path / "all.json", tmp_path, ("a",), 1)
    surest = [(BOX, "a", score / 2000, True) for score in range(2000)]
    metrics = {JUDGED: {1: Judged([(BOX, "a", 1.0)] * 2000, surest)}}
    (image,) = examples(source, metrics, 0.5, 1)["images"]
    assert len(image["picture"]) <= 150_000
    assert len(image["objects"]) == len(image["found"]) == 1000
    assert min(one["score"] for one in image["found"]) == 0.5


@given(
    st.lists(st.tuples(st.integers(0, 5).map(lambda n: n / 8 + 0.25), st.booleans()), max_size=12),
    st.integers(0, 5),
)
def test_the_threshold_has_the_best_f1_of_all(found: list[tuple[float, bool]], missed: int) -> None:
    objects = missed + sum(hit for _, hit in found)
    judged = Judged([(BOX, "a", None)] * objects, [(BOX, "a", score, hit) for score, hit in found])
    least, precision, recall = threshold([judged])
    shown = [hit for score, hit in found if score >= least]
    if not any(hit for _, hit in found):
        assert (least, precision, recall) == (1.0, 0.0, 0.0)
        return
    every = [[hit for score, hit in found if score >= at] for at in {score for score, _ in found}]
    f1 = [2 * sum(hits) / (len(hits) + objects) for hits in every]
    assert 2 * sum(shown) / (len(shown) + objects) == pytest.approx(max(f1))
    assert (precision, recall) == (sum(shown) / len(shown), sum(shown) / objects)
    assert np.isfinite(least)

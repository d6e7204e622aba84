from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from autoloss.audit.rescoring import images, rescored
from autoloss.store.contributions import pack, unpack
from detectors.data.coco import CocoSource
from detectors.training.coco_metric import PER_IMAGE, FastCocoMetric, Truth
from detectors.training.metric import Metric

METRICS = ["mAP", "AP50", "AP75", "AP_small", "AP_medium", "AR1", "AR10", "AR100", "AR_small", ["0", "3"]]


def detected(source: CocoSource, crowds: bool = False) -> tuple[dict[str, Any], np.ndarray[Any, Any]]:
    """Annotations, and detections around them, some of another class, some of nothing."""
    content = json.loads(source.boxes.read_text())
    categories = [one["id"] for one in content["categories"]]
    rng = np.random.default_rng(0)
    rows = []
    for number, entry in enumerate(content["annotations"]):
        entry["iscrowd"] = int(crowds and number % 5 == 0)
        for _ in range(rng.integers(4)):
            size = np.array(entry["bbox"][2:])
            place = np.array(entry["bbox"]) + rng.normal(size=4) * rng.choice([0.02, 0.2, 3]) * np.tile(size, 2)
            right = rng.random() < 0.8
            label = categories.index(entry["category_id"]) if right else rng.integers(len(categories))
            rows.append([entry["image_id"], *place[:2], *np.maximum(place[2:], 1), rng.random(), label])
    return content, np.array(rows)


@pytest.mark.parametrize("crowds", [False, True])
@pytest.mark.parametrize("name", METRICS, ids=str)
def test_the_contributions_of_all_images_make_up_the_metric(
    scenes: dict[str, CocoSource], tmp_path: Any, name: Any, crowds: bool
) -> None:
    content, rows = detected(scenes["train"], crowds)
    (tmp_path / "boxes.json").write_text(json.dumps(content))
    truth, metric = Truth(str(tmp_path / "boxes.json")), Metric.of(name)
    ids = [one["id"] for one in content["images"]]
    found = unpack(pack(truth.contributions(rows, ids, metric)))
    assert images(found) == len(ids)
    once = np.ones((1, len(ids)), int)
    assert rescored(found, once)[0] == pytest.approx(metric.score(truth.score(rows, ids)), abs=1e-12)


@pytest.mark.parametrize("ending", ["small", "50"])
def test_a_class_may_be_called_as_a_size_or_a_threshold_is(
    scenes: dict[str, CocoSource], tmp_path: Any, ending: str
) -> None:
    content, rows = detected(scenes["train"])
    content["categories"][3]["name"] = name = f"crack_{ending}"
    (tmp_path / "boxes.json").write_text(json.dumps(content))
    truth, metric = Truth(str(tmp_path / "boxes.json")), Metric.of([name])
    ids = [one["id"] for one in content["images"]]
    found = rescored(truth.contributions(rows, ids, metric), np.ones((1, len(ids)), int))[0]
    assert found == pytest.approx(metric.score(truth.score(rows, ids)), abs=1e-12)


def test_a_choice_of_images_scores_as_the_data_set_that_holds_them(
    scenes: dict[str, CocoSource], tmp_path: Any
) -> None:
    content, rows = detected(scenes["train"])
    ids = sorted(one["id"] for one in content["images"])
    times = np.random.default_rng(1).multinomial(len(ids), np.full(len(ids), 1 / len(ids)))
    copied: dict[str, Any] = {"categories": content["categories"], "images": [], "annotations": []}
    again = []
    for image, count in zip(ids, times, strict=True):
        for _ in range(count):
            number = len(copied["images"]) + 1
            copied["images"].append({**next(one for one in content["images"] if one["id"] == image), "id": number})
            for entry in content["annotations"]:
                if entry["image_id"] == image:
                    place = len(copied["annotations"]) + 1
                    copied["annotations"].append({**entry, "id": place, "image_id": number})
            mine = rows[rows[:, 0] == image].copy()
            mine[:, 0] = number
            again.append(mine)
    (tmp_path / "copied.json").write_text(json.dumps(copied))
    wanted = Truth(str(tmp_path / "copied.json")).score(np.concatenate(again), range(1, len(ids) + 1))["mAP"]
    truth = Truth(str(scenes["train"].boxes))
    found = truth.contributions(rows, ids, Metric.of("mAP"))
    assert rescored(found, times[None])[0] == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize("name", ["mAP", "AR100"])
def test_without_detections_the_score_of_every_choice_is_nothing(scenes: dict[str, CocoSource], name: str) -> None:
    truth = Truth(str(scenes["val"].boxes))
    ids = [one["id"] for one in json.loads(scenes["val"].boxes.read_text())["images"]]
    found = unpack(pack(truth.contributions(np.empty((0, 7)), ids, Metric.of(name))))
    assert rescored(found, np.ones((2, len(ids)), int)).tolist() == [0, 0]


def test_detections_below_the_last_hit_take_no_part_in_a_precision_and_are_left_out(
    scenes: dict[str, CocoSource],
) -> None:
    content, rows = detected(scenes["train"])
    ids = [one["id"] for one in content["images"]]
    truth = Truth(str(scenes["train"].boxes))
    nowhere = np.tile([ids[0], 0, 0, 1, 1, 1e-6, 0], (50, 1))
    for name, more in (("mAP", 0), ("AR100", 50)):
        alone, beside = (
            truth.contributions(one, ids, Metric.of(name)) for one in (rows, np.concatenate([rows, nowhere]))
        )
        assert len(beside["classes"]) - len(alone["classes"]) == more


def test_the_annotations_are_left_as_they_are(scenes: dict[str, CocoSource]) -> None:
    content, rows = detected(scenes["val"])
    ids = [one["id"] for one in content["images"]]
    truth = Truth(str(scenes["val"].boxes))
    before = truth.score(rows, ids)
    truth.contributions(rows, ids, Metric.of("mAP"))
    assert truth.score(rows, ids) == before


def test_mmdetections_metric_gives_them_where_it_is_asked(scenes: dict[str, CocoSource]) -> None:
    content, rows = detected(scenes["val"])
    results = [(one["id"], rows[rows[:, 0] == one["id"]]) for one in content["images"]]
    plain = FastCocoMetric(str(scenes["val"].boxes)).compute_metrics(results)
    asked = FastCocoMetric(str(scenes["val"].boxes), per_image="AP50").compute_metrics(results)
    found = asked.pop(PER_IMAGE)
    assert asked == plain
    once = np.ones((1, len(results)), int)
    assert rescored(found, once)[0] == pytest.approx(plain["mAP_50"], abs=1e-12)

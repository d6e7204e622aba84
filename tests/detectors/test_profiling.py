"""What is measured of real trainings and features, on a few digits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from detectors import mmcv_ops
from tests.helpers.tiny import DIGITS

mmcv_ops.install()

from detectors import profiling  # noqa: E402
from detectors.data.coco import CocoSource  # noqa: E402
from detectors.evaluator import DetectorEvaluator  # noqa: E402
from detectors.frozen import rung as frozen  # noqa: E402

FCOS = "configs/detectors/tiny_fcos.py"
TRAIN = {"iterations": 500, "train_on": "train", "evaluate_on": "val"}
FROZEN = {"kind": "frozen", "iterations": 400, "pretrain": 700, "images": 40, "evaluate_on": "val"}
LOSSES: list[dict[str, Any]] = [
    {},
    {"loss_bbox": {"expression": "neg(log(div(i, u)))", "grammar": "box", "loss_weight": 1.0}},
]


def test_a_training_is_measured_by_some_of_its_iterations(
    scenes: dict[str, CocoSource], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[tuple[int, int]] = []

    def spy(config: Any) -> dict[str, float]:
        trained.append((config.train_cfg.max_iters, config.val_dataloader.dataset.indices))
        return train(config)

    train = profiling.train_briefly
    monkeypatch.setattr(profiling, "train_briefly", spy)
    evaluator = DetectorEvaluator(FCOS, DIGITS)
    assert evaluator.measure_shared(TRAIN, 0.1, str(tmp_path)) == {}
    found = evaluator.measure(LOSSES[:1], TRAIN, 0.1, str(tmp_path))
    assert trained == [(1, 1), (2, 2), (3, pytest.approx(6, abs=2))]
    assert found["iterations"] == 500
    assert 0 < found["iteration"] < found["fixed"] + found["iteration"] * 500 + found["evaluate"]
    assert found["evaluate"] > 0
    assert found["bytes_data"] > 40 * 1000  # the scenes lie in the cache


def test_an_evaluation_of_part_of_the_images_stands_for_them_all(
    scenes: dict[str, CocoSource], monkeypatch: pytest.MonkeyPatch
) -> None:
    # 0.2 s for whatever number of images and 0.01 s for each; 1 s of what is not training; 0.05 s an iteration.
    def run(config: Any, iterations: int, images: int) -> profiling._Timed:
        return profiling._Timed(iterations, images, 1.0, 0.05 * iterations, 0.2 + 0.01 * images)

    monkeypatch.setattr(profiling, "_run", run)
    found = profiling.training(lambda _: None, 1000, 5000, 10.0)
    assert found["evaluate"] == pytest.approx(0.2 + 0.01 * 5000)
    assert (found["fixed"], found["iteration"]) == (pytest.approx(1.0), pytest.approx(0.05))


@pytest.mark.parametrize("detector", [FCOS, "configs/detectors/tiny_faster_rcnn.py"])
def test_frozen_features_and_heads_on_them_are_measured(
    scenes: dict[str, CocoSource], small_cache: Path, tmp_path: Path, detector: str
) -> None:
    evaluator = DetectorEvaluator(detector, DIGITS)
    before = set(small_cache.iterdir())
    shared = evaluator.measure_shared(FROZEN, 0.5, str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == [frozen.FILE]
    assert set(small_cache.iterdir()) - before <= {path for path in small_cache.iterdir() if "verify" in path.name}
    assert shared["iterations"] == 700
    assert min(shared[name] for name in ("iteration", "evaluate", "load", "bytes")) > 0
    one, two = (evaluator.measure(LOSSES[:count], FROZEN, 0.5, str(tmp_path)) for count in (1, 2))
    assert one["iterations"] == two["iterations"] == 400
    assert min(one["iteration"], two["iteration"]) > 0


def test_the_features_of_all_images_weigh_what_is_said(
    scenes: dict[str, CocoSource], small_cache: Path, tmp_path: Path
) -> None:
    evaluator = DetectorEvaluator(FCOS, DIGITS)
    said = evaluator.measure_shared({**FROZEN, "images": 36, "pretrain": 20}, 0.1, str(tmp_path))["bytes"]
    few = (tmp_path / frozen.FILE).stat().st_size
    before = set(small_cache.glob("frozen-*"))
    evaluator.warm({**FROZEN, "images": 36, "pretrain": 20}, 3)
    (folder,) = set(small_cache.glob("frozen-*")) - before
    really = (folder / frozen.FILE).stat().st_size
    assert few < 0.8 * really
    assert said == pytest.approx(really, rel=0.15)

"""The rung on frozen features: made once, the same wherever it is computed."""

from __future__ import annotations

import multiprocessing
import re
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch

from detectors import mmcv_ops
from tests.helpers.tiny import DIGITS

mmcv_ops.install()

from detectors.data.coco import CocoSource  # noqa: E402
from detectors.evaluator import DetectorEvaluator  # noqa: E402
from detectors.frozen import rung as frozen  # noqa: E402
from detectors.frozen import small_heads  # noqa: E402
from primitives.errors import InputError  # noqa: E402

FCOS = "configs/detectors/tiny_fcos.py"
TASK = {"kind": "frozen", "iterations": 4, "pretrain": 20, "images": 20, "evaluate_on": "val"}
LOSSES: list[dict[str, Any]] = [
    {},
    {"loss_bbox": {"expression": "neg(log(div(i, u)))", "grammar": "box", "loss_weight": 1.0}},
]


def test_features_are_made_once_and_scores_are_the_same_in_another_process(
    scenes: dict[str, CocoSource], monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluator = DetectorEvaluator(FCOS, DIGITS)
    evaluator.warm(TASK, 1)
    found = evaluator.evaluate_many(LOSSES, TASK, 1)
    assert all(isinstance(one, dict) and one["score"] == one["mAP"] for one in found)
    monkeypatch.setattr(frozen, "trained", lambda _: pytest.fail("trained again"))
    assert DetectorEvaluator(FCOS, DIGITS).evaluate_many(LOSSES, TASK, 1) == found
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), torch.set_num_threads, (1,)) as pool:
        assert pool.submit(DetectorEvaluator(FCOS, DIGITS).evaluate_many, LOSSES, TASK, 1).result() == found


def test_a_single_evaluation_is_a_group_of_one(scenes: dict[str, CocoSource]) -> None:
    evaluator = DetectorEvaluator(FCOS, DIGITS)
    (alone,) = evaluator.evaluate_many(LOSSES[:1], TASK, 1)
    assert evaluator.evaluate({}, TASK, 1) == alone


def test_another_seed_makes_other_features(scenes: dict[str, CocoSource]) -> None:
    evaluator = DetectorEvaluator(FCOS, DIGITS)
    first = evaluator._features(evaluator._task(TASK), 1)
    second = evaluator._features(evaluator._task(TASK), 2)
    assert not torch.equal(first.training.x[:8], second.training.x[:8])


def test_the_iou_can_take_the_place_of_the_centerness(scenes: dict[str, CocoSource]) -> None:
    plain = DetectorEvaluator(FCOS, DIGITS).evaluate({}, TASK, 1)
    other = DetectorEvaluator(FCOS, DIGITS, centerness_target="iou").evaluate({}, TASK, 1)
    assert plain != other


def test_features_of_another_config_are_not_used_and_damaged_ones_are_made_anew(
    scenes: dict[str, CocoSource], small_cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    task = {**TASK, "images": 19}
    evaluator = DetectorEvaluator(FCOS, DIGITS)
    found = evaluator.evaluate_many(LOSSES, task, 1)
    (file,) = [
        path
        for path in small_cache.glob("frozen-*/features.pt")
        if '"images": 19' in torch.load(path, weights_only=True)["described"]
    ]
    config = evaluator._features(evaluator._task(task), 1).config
    with pytest.raises(InputError, match="holds features of another config; remove it"):
        frozen.read(file, config, "something else")
    kept = torch.load(file, weights_only=True)
    torch.save({**kept, "described": "something else"}, file)
    assert DetectorEvaluator(FCOS, DIGITS).evaluate_many(LOSSES, task, 1) == found
    assert "features.pt is another" in caplog.text


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ({"kind": "melted"}, "a rung's kind is 'melted'; choices: train, frozen"),
        ({**TASK, "images": 0}, "a rung's images must be a whole number from 1, got 0"),
        (
            {**TASK, "epochs": 3},
            "unknown key 'epochs' in a rung's task; it needs iterations and evaluate_on, and may have pretrain, images",
        ),
        ({"kind": "frozen", "iterations": 3}, "missing key 'evaluate_on'"),
    ],
)
def test_a_task_that_asks_for_something_else_is_named(
    scenes: dict[str, CocoSource], task: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        DetectorEvaluator(FCOS, DIGITS).warm(task, 0)


def test_rungs_of_another_kind_train_one_candidate_after_another(scenes: dict[str, CocoSource]) -> None:
    task = {"iterations": 3, "train_on": "train", "evaluate_on": "val"}
    evaluator = DetectorEvaluator(FCOS, DIGITS)
    many = evaluator.evaluate_many(LOSSES, task, 0)
    assert [one["loss"] for one in many if isinstance(one, dict)] == [
        evaluator.evaluate(losses, task, 0)["loss"] for losses in LOSSES
    ]


def test_a_suppression_of_another_kind_is_named_before_anything_is_trained(scenes: dict[str, CocoSource]) -> None:
    soft = {"model.test_cfg.nms": {"type": "soft_nms", "iou_threshold": 0.5}}
    with pytest.raises(InputError, match="needs test_cfg.nms of type 'nms' within classes, got .*soft_nms"):
        DetectorEvaluator(FCOS, DIGITS, cfg_options=soft).prepare({}, [TASK])


def test_an_output_that_is_not_finite_is_a_failure(
    scenes: dict[str, CocoSource], monkeypatch: pytest.MonkeyPatch
) -> None:
    train = small_heads.train_heads

    def spoiled(*arguments: Any) -> Any:
        heads, failed = train(*arguments)
        with torch.no_grad():
            heads.second_bias[1] = torch.nan
        return heads, failed

    monkeypatch.setattr(small_heads, "train_heads", spoiled)
    good, bad = DetectorEvaluator(FCOS, DIGITS).evaluate_many(LOSSES, TASK, 1)
    assert isinstance(good, dict)
    assert bad == "a predicted box or score is not finite"


def test_few_positive_samples_are_said_and_more_images_than_there_are_are_all(
    scenes: dict[str, CocoSource], caplog: pytest.LogCaptureFixture
) -> None:
    task = {**TASK, "images": 10**9, "positives": 10**4, "iterations": 1}
    (found,) = DetectorEvaluator(FCOS, DIGITS).evaluate_many([{}], task, 1)
    assert isinstance(found, dict)
    assert re.search(r"give \d+ positive samples, which repeat to fill the 10000 of an iteration", caplog.text)


def test_a_detector_that_cannot_be_frozen_is_named(scenes: dict[str, CocoSource]) -> None:
    evaluator = DetectorEvaluator("mmdet::gfl/gfl_r50_fpn_1x_coco.py", DIGITS)
    with pytest.raises(InputError, match="'frozen' does not know the head GFLHead; known: FCOSHead, ATSSHead"):
        evaluator.prepare({}, [TASK])


def test_a_gpu_without_memory_for_all_heads_trains_fewer_at_once_and_says_so(
    scenes: dict[str, CocoSource], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    evaluator = DetectorEvaluator(FCOS, DIGITS)
    expected = evaluator.evaluate_many([{}, *LOSSES], TASK, 1)
    train = small_heads.train_heads

    def crowded(data: Any, pairs: Any, *rest: Any) -> Any:
        if len(pairs) > most:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return train(data, pairs, *rest)

    monkeypatch.setattr(small_heads, "train_heads", crowded)
    most = 2
    assert evaluator.evaluate_many([{}, *LOSSES], TASK, 1) == [pytest.approx(one, abs=2e-3) for one in expected]
    assert "out of GPU memory with 3 heads at once; going on with 1" in caplog.text
    most = 0
    for one in evaluator.evaluate_many(LOSSES, TASK, 1):
        assert re.match(r"out of memory \(of the GPU, with one candidate; lower the rung's images", str(one))

"""Every config of configs/detectors trains with every published loss; its losses are the formulas computed by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy import special

from detectors.data.coco import CocoSource
from detectors.evaluator import DetectorEvaluator
from detectors.losses.expression import ExpressionBoxLoss, ExpressionClassLoss
from primitives.catalog import GRAMMARS, KNOWN
from primitives.errors import InputError
from tests.helpers.stock import STOCK

Array = np.ndarray[Any, np.dtype[np.float64]]
TASK = {"iterations": 2, "train_on": "train", "evaluate_on": "val"}
# Random formulas that passed every gate: of results/funnel_softmax.txt, the default search, results/funnel_box.txt.
RANDOM = {
    "softmax": "neg(dot(tanh(sin(relu(y))), sin(div(softmax(x), tanh(3)))))",
    "sigmoid": "gd(mul(mul(sub(w, sigmoid(x)), sub(w, sigmoid(x))), sub(softplus(x), mul(x, w))))",
    "box": "gd(sub(e, i))",
}


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def gd(x: Array) -> Array:
    return 0.5 + 2 / np.pi * np.arctan(np.tanh(np.pi * x / 8))


def erf(x: Array) -> Array:
    return (special.erf(np.sqrt(np.pi) / 4 * x) + 1) / 2


def log(x: Array) -> Array:
    return np.log(x + 1e-20)


def class_a(x: Array, y: Array, w: Array) -> Array:
    return -(y * (1 + np.sin(w)) * log(special.softmax(x, -1))).sum(-1)


def class_b(x: Array, y: Array, w: Array) -> Array:
    p = sigmoid(x)
    each = -(w * (1 + erf(sigmoid(1 - y))) * log(p) + (gd(x) - w) * (1 - w - (1 - p)) * log(1 - p))
    return (each * (0.25 * y + 0.75 * (1 - y))).sum(-1)


def box_a(i: Array, u: Array, e: Array) -> Array:
    return 1 - (i / u - (e - (i + 2)) / e)


def box_b(i: Array, u: Array, e: Array) -> Array:
    return -((-(-e + 1 + i) / -(3 + 2 + u)) + (1 + e)) / -(-(u + i) / -3 - e)


def random_softmax(x: Array, y: Array, _: Array) -> Array:
    return -(np.tanh(np.sin(y)) * np.sin(special.softmax(x, -1) / np.tanh(3))).sum(-1)


def random_sigmoid(x: Array, _: Array, w: Array) -> Array:
    return gd((w - sigmoid(x)) ** 2 * (np.logaddexp(0, x) - x * w)).sum(-1)


def random_box(i: Array, _: Array, e: Array) -> Array:
    return gd(e - i)


BY_HAND: dict[str, Callable[..., Array]] = {
    str(KNOWN["cse_a_cls"].expression): class_a,
    str(KNOWN["cse_b_cls"].expression): class_b,
    str(KNOWN["cse_a_reg"].expression): box_a,
    str(KNOWN["cse_b_reg"].expression): box_b,
    RANDOM["softmax"]: random_softmax,
    RANDOM["sigmoid"]: random_sigmoid,
    RANDOM["box"]: random_box,
}


def loss(text: str, grammar: str, alpha: float | None = None) -> dict[str, Any]:
    return {"expression": text, "grammar": grammar, "loss_weight": 1.5, "alpha": alpha}


def pairs(kind: str) -> dict[str, dict[str, Any]]:
    """The published losses that fit a head, and a random pair."""
    published = KNOWN["cse_a_cls" if kind == "softmax" else "cse_b_cls"]
    cls = loss(str(published.expression), kind, published.alpha)
    return {
        "A": {"loss_cls": cls, "loss_bbox": loss(str(KNOWN["cse_a_reg"].expression), "box_pixels")},
        "B": {"loss_cls": cls, "loss_bbox": loss(str(KNOWN["cse_b_reg"].expression), "box_pixels")},
        "random": {"loss_cls": loss(RANDOM[kind], kind), "loss_bbox": loss(RANDOM["box"], "box")},
    }


def overlaps(pred: Array, target: Array, unit: bool) -> tuple[Array, Array, Array]:
    """Intersection, union and enclosing area of aligned boxes, in units of the target's area or in pixels."""
    sides = np.minimum(pred[:, 2:], target[:, 2:]) - np.maximum(pred[:, :2], target[:, :2])
    i = sides.clip(0).prod(-1)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(-1) for boxes in (pred, target)]
    e = (np.maximum(pred[:, 2:], target[:, 2:]) - np.minimum(pred[:, :2], target[:, :2])).clip(0).prod(-1)
    by = areas[1].clip(1e-7) if unit else np.ones_like(i)
    return i / by, (areas[0] + areas[1] - i + 1e-7) / by, (e + 1e-7) / by


class Listener:
    """Keeps every call of every formula of a training, with what it gave."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: dict[str, list[tuple[Any, tuple[Any, ...], dict[str, Any], float]]] = {"cls": [], "bbox": []}
        for slot, kind in (("cls", ExpressionClassLoss), ("bbox", ExpressionBoxLoss)):
            monkeypatch.setattr(kind, "forward", self.listening(slot, kind.forward))

    def listening(self, slot: str, forward: Callable[..., Any]) -> Callable[..., Any]:
        def heard(module: Any, *args: Any, **kwargs: Any) -> Any:
            value = forward(module, *args, **kwargs)
            self.calls[slot].append((module, args, kwargs, float(value.detach().sum())))
            return value

        return heard


def plain(value: Any) -> Array:
    return np.asarray(value.detach().double() if isinstance(value, torch.Tensor) else value, dtype=float)


def averaged(each: Array, args: tuple[Any, ...], kwargs: dict[str, Any], weight_of: float, reduction: str) -> float:
    weight = kwargs.get("weight", args[2] if len(args) > 2 else None)
    if weight is not None:
        weight = plain(weight)
        weight = weight.mean(-1) if weight.ndim == 2 else weight
        each = np.where(weight == 0, 0, each * weight)
    if kwargs.get("reduction_override") == "none" or reduction == "sum":
        return float(each.sum() * weight_of)
    factor = kwargs.get("avg_factor")
    return float(each.sum() / (len(each) if factor is None else plain(factor) + 1.2e-7) * weight_of)


def by_hand(slot: str, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> float:
    text = str(module.expression)
    with np.errstate(all="ignore"):  # rows of weight 0 may be anything
        if slot == "bbox":
            pred, target = plain(args[0]), plain(args[1])
            each = BY_HAND[text](*overlaps(pred, target, module.rules.name != "box_pixels"))
        else:
            x = plain(args[0])
            labels, iou = args[1] if isinstance(args[1], tuple) else (args[1], kwargs.get("iou"))
            y = (plain(labels)[:, None] == np.arange(x.shape[1])).astype(float)
            foreground = (plain(labels) < x.shape[1] - (module.rules.name == "softmax"))[:, None]
            hit = np.zeros_like(x) if iou is None else plain(iou)[:, None] * np.ones_like(x)
            w = np.where(foreground, hit, 1.0) if module.rules.name == "softmax" else y * hit
            each = BY_HAND[text](x, y, w)
        return averaged(each, args, kwargs, module.loss_weight, module.reduction)


@pytest.mark.parametrize("pair", ["A", "B", "random"])
@pytest.mark.parametrize("name", STOCK)
def test_a_stock_detector_trains_and_its_losses_are_the_formulas_by_hand(
    name: str, pair: str, outlined: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, options = STOCK[name]
    evaluator = DetectorEvaluator(f"configs/detectors/{name}.py", outlined, batch_size=2, cfg_options=options)
    heard = Listener(monkeypatch)
    metrics = evaluator.evaluate(pairs(kind)[pair], TASK, 0)
    assert 0 <= metrics["score"] <= 1
    assert np.isfinite(metrics["loss"])
    for slot, calls in heard.calls.items():
        stages = 3 if "cascade" in name else 1
        assert len(calls) >= 2 * stages, slot
        for module, args, kwargs, value in calls:
            assert value == pytest.approx(by_hand(slot, module, args, kwargs), rel=1e-4, abs=1e-6)
        assert any(value != 0 for *_, value in calls)


def test_every_stage_of_the_cascade_is_trained_with_the_losses_and_its_own_weight(
    outlined: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, options = STOCK["cascade_rcnn_r50"]
    evaluator = DetectorEvaluator("configs/detectors/cascade_rcnn_r50.py", outlined, batch_size=2, cfg_options=options)
    heard = Listener(monkeypatch)
    evaluator.evaluate(pairs(kind)["A"], {**TASK, "iterations": 1}, 0)
    assert len({id(module) for module, *_ in heard.calls["bbox"]}) == 3
    assert len({id(module) for module, *_ in heard.calls["cls"]}) == 3


def test_retinanet_hands_over_all_anchors_and_those_without_an_object_count_as_nothing(
    outlined: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, options = STOCK["retinanet_r50"]
    evaluator = DetectorEvaluator("configs/detectors/retinanet_r50.py", outlined, batch_size=2, cfg_options=options)
    heard = Listener(monkeypatch)
    evaluator.evaluate(pairs(kind)["B"], {**TASK, "iterations": 1}, 0)
    targets = torch.cat([args[1] for _, args, _, _ in heard.calls["bbox"]])
    weights = torch.cat([args[2].mean(-1) for _, args, _, _ in heard.calls["bbox"]])
    assert (weights == 0).sum() > 10 * (weights > 0).sum() > 0
    assert (targets[weights == 0] == 0).all()
    assert all(np.isfinite(value) for *_, value in heard.calls["bbox"])


def test_gfl_gives_its_class_loss_labels_and_iou(outlined: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    kind, options = STOCK["gfl_r50"]
    evaluator = DetectorEvaluator("configs/detectors/gfl_r50.py", outlined, batch_size=2, cfg_options=options)
    heard = Listener(monkeypatch)
    evaluator.evaluate(pairs(kind)["A"], {**TASK, "iterations": 1}, 0)
    labels, scores = (
        torch.cat(parts) for parts in zip(*(args[1] for _, args, _, _ in heard.calls["cls"]), strict=True)
    )
    assert (scores[labels < 10] > 0).any()
    assert (scores[labels == 10] == 0).all()


@pytest.mark.parametrize(
    ("name", "slot", "message"),
    [
        ("fcos_r50", {"loss_cls": loss(RANDOM["softmax"], "softmax")}, "FCOSHead classifies by sigmoid"),
        ("mask_rcnn_r50", {"loss_cls": loss(RANDOM["sigmoid"], "sigmoid")}, "Shared2FCBBoxHead classifies by softmax"),
        ("gfl_r50", {"loss_dfl": loss(RANDOM["box"], "box")}, "has no slot 'loss_dfl'; choices: loss_cls, loss_bbox"),
    ],
)
def test_a_slot_or_a_grammar_that_the_detector_does_not_have_is_named(
    name: str, slot: dict[str, Any], message: str, outlined: dict[str, Any]
) -> None:
    evaluator = DetectorEvaluator(f"configs/detectors/{name}.py", outlined, cfg_options=STOCK[name][1])
    with pytest.raises(InputError, match=message):
        evaluator.evaluate(slot, TASK, 0)


def test_a_detector_with_masks_says_that_boxes_alone_are_not_enough(scenes: dict[str, CocoSource]) -> None:
    digits = {"type": "digits", "train": 40, "val": 8, "test": 8}
    evaluator = DetectorEvaluator("configs/detectors/mask_rcnn_r50.py", digits, cfg_options=STOCK["mask_rcnn_r50"][1])
    with pytest.raises(InputError, match="trains on outlines.*annotation 1 .*has no 'segmentation'"):
        evaluator.prepare({}, [TASK])


def test_every_grammar_of_the_test_is_real() -> None:
    for name, text in RANDOM.items():
        assert str(GRAMMARS[name].parse(text)) == text

"""What heads hand to losses: in every stock head, for both losses, is what a person computes by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from detectors import mmcv_ops
from tests.helpers import handed
from tests.helpers.stock import STOCK

mmcv_ops.install()

from mmdet.models.detectors.base import BaseDetector  # noqa: E402

from detectors.evaluator import DetectorEvaluator  # noqa: E402
from detectors.losses.expression import ExpressionBoxLoss, ExpressionClassLoss  # noqa: E402
from primitives.kinds.box.pair import aligned_iou  # noqa: E402

TASK = {"iterations": 2, "train_on": "train", "evaluate_on": "val"}


@pytest.fixture(autouse=True)
def grammars(monkeypatch: pytest.MonkeyPatch) -> None:
    handed.add_grammars(monkeypatch)


class Listener:
    """Keeps what a detector is given, and every call of its formulas."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[tuple[str, Any, tuple[Any, ...], dict[str, Any], float]] = []
        self.batches: list[list[Any]] = []
        for slot, kind in (("cls", ExpressionClassLoss), ("bbox", ExpressionBoxLoss)):
            monkeypatch.setattr(kind, "forward", self.listening(slot, kind.forward))
        forward = BaseDetector.forward

        def seen(model: Any, inputs: Any, data_samples: Any = None, mode: str = "tensor") -> Any:
            if mode == "loss":
                self.batches.append(data_samples)
                self.calls.append(("batch", None, (), {}, 0.0))
            return forward(model, inputs, data_samples, mode)

        monkeypatch.setattr(BaseDetector, "forward", seen)

    def listening(self, slot: str, forward: Callable[..., Any]) -> Callable[..., Any]:
        def heard(module: Any, *args: Any, **kwargs: Any) -> Any:
            value = forward(module, *args, **kwargs)
            self.calls.append((slot, module, args, kwargs, float(value.detach().sum())))
            return value

        return heard


def sizes(samples: list[Any]) -> dict[int, Tensor]:
    """Square root of the share of their images of the objects of a batch, by label."""
    found: dict[int, list[float]] = {}
    for sample in samples:
        height, width = sample.img_shape
        for box, label in zip(sample.gt_instances.bboxes.double(), sample.gt_instances.labels, strict=True):
            area = float((box[2] - box[0]) * (box[3] - box[1]))
            found.setdefault(int(label), []).append((area / (height * width)) ** 0.5)
    return {label: torch.tensor(values) for label, values in found.items()}


def reduced(each: Tensor, args: tuple[Any, ...], kwargs: dict[str, Any], module: Any) -> float:
    weight = kwargs.get("weight", args[2] if len(args) > 2 else None)
    if weight is not None:
        weight = weight.mean(-1) if weight.dim() == 2 else weight
        each = torch.where(weight == 0, 0.0, each * weight)
    if module.reduction == "sum":
        return float(each.sum() * module.loss_weight)
    return float(each.sum() / (kwargs["avg_factor"] + 1.2e-7) * module.loss_weight)


@pytest.mark.filterwarnings("ignore:DeprecationWarning. .num_anchors.:UserWarning")  # mmdetection of itself
@pytest.mark.parametrize(
    "name", ["fcos_r50", "atss_r50", "retinanet_r50", "gfl_r50", "faster_rcnn_r50", "cascade_rcnn_r50"]
)
def test_a_formula_that_reads_everything_trains_and_its_losses_are_those_by_hand(
    name: str, outlined: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, options = STOCK[name]
    evaluator = DetectorEvaluator(f"configs/detectors/{name}.py", outlined, batch_size=2, cfg_options=options)
    heard = Listener(monkeypatch)
    metrics = evaluator.evaluate(handed.losses(kind), TASK, 0)
    assert torch.isfinite(torch.tensor(metrics["loss"]))
    f = frequencies(evaluator)
    assert f.max() == 1
    assert len(set(f.tolist())) > 2
    iteration, seen = -1, Counter[str]()
    scores: Any = None
    for slot, module, args, kwargs, value in heard.calls:
        seen[slot] += 1
        if slot == "batch":
            iteration, objects = iteration + 1, sizes(heard.batches[iteration + 1])
            scores = None
            continue
        t = iteration / 2
        assert float(kwargs["progress"]) == t
        if slot == "bbox":
            pred, target = args[0].detach(), args[1]
            overlap = aligned_iou(pred, target)
            torch.testing.assert_close(kwargs["iou"], overlap)
            labels = f[:, None] == kwargs["frequency"]  # that of the target's class
            assert bool(labels.any(0).logical_or(kwargs["frequency"] == 1).all())
            each = handed.box_by_hand(overlap, kwargs["score"], kwargs["frequency"], t, kwargs["size"])
        else:
            x = args[0].detach()
            labels, iou = args[1] if isinstance(args[1], tuple) else (args[1], kwargs["iou"])
            each = handed.class_by_hand(kind, x, labels, iou, f, t, kwargs["size"])
            positive = labels < 10
            assert (kwargs["size"][~positive] == 1).all()
            for label, size in zip(labels[positive].tolist(), kwargs["size"][positive], strict=True):
                assert (objects[label] - size).abs().min() < 0.002, (label, size, objects[label])
            scores = (x.sigmoid() if kind == "sigmoid" else x.softmax(-1)), labels, kwargs["size"]
        assert value == pytest.approx(reduced(each, args, kwargs, module), rel=1e-4, abs=1e-6)
    stages = 3 if "cascade" in name else 1
    assert iteration == 1
    assert seen["cls"] >= 2 * stages
    assert seen["bbox"] >= 1
    if "rcnn" not in name:
        return
    p, labels, size = scores  # of the last head, whose box loss came before its class loss
    box = next(call for call in reversed(heard.calls) if call[0] == "bbox")[3]
    positive = labels < 10
    torch.testing.assert_close(box["score"], p[positive, labels[positive]])
    torch.testing.assert_close(box["size"], size[positive])
    torch.testing.assert_close(box["frequency"], f[labels[positive]])


def frequencies(evaluator: DetectorEvaluator) -> Tensor:
    """Counted by hand from the file."""
    import json

    source = evaluator.sources["train"]
    content = json.loads(source.boxes.read_text())
    place = {one["id"]: number for number, one in enumerate(content["categories"])}
    counts = Counter(place[one["category_id"]] for one in content["annotations"] if not one.get("iscrowd"))
    found = torch.tensor([float(max(counts[number], 1)) for number in range(len(place))])
    return found / found.max()

"""What heads hand to losses: in every stock head, for both losses, is what a person computes by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from detectors import mmcv_ops
from tests.detectors.heads.test_registry import ATSS, FCOS, ROI, Recorder, build, roi_inputs
from tests.helpers import handed
from tests.helpers.stock import STOCK

mmcv_ops.install()

from mmdet.models.detectors.base import BaseDetector  # noqa: E402
from mmdet.structures import DetDataSample  # noqa: E402
from mmdet.utils import register_all_modules  # noqa: E402
from mmengine.structures import InstanceData  # noqa: E402

from detectors.evaluator import DetectorEvaluator  # noqa: E402
from detectors.heads.registry import head_type, roi_head_type  # noqa: E402
from detectors.losses.expression import ExpressionBoxLoss, ExpressionClassLoss  # noqa: E402
from primitives.errors import InputError  # noqa: E402
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


RETINA = {
    **{key: value for key, value in ATSS.items() if key not in ("reg_decoded_bbox", "train_cfg")},
    "train_cfg": {
        "assigner": {"type": "MaxIoUAssigner", "pos_iou_thr": 0.3, "neg_iou_thr": 0.2, "min_pos_iou": 0},
        "sampler": {"type": "PseudoSampler"},
        "allowed_border": -1,
        "pos_weight": -1,
    },
}
GFL = {key: value for key, value in ATSS.items() if key not in ("reg_decoded_bbox", "bbox_coder")}
HEADS = {
    "FCOS": ("IoUAwareFCOSHead", FCOS),
    "FCOS in pixels": ("IoUAwareFCOSHead", {**FCOS, "norm_on_bbox": False}),
    "ATSS": ("IoUAwareATSSHead", ATSS),
    "RetinaNet": ("IoUAwareRetinaHead", RETINA),
    "RetinaNet of boxes": ("IoUAwareRetinaHead", {**RETINA, "reg_decoded_bbox": True}),
    "GFL": ("IoUAwareGFLHead", GFL),
}
IMAGES = {0: ((64, 64), [4.0, 4, 34, 52]), 2: ((40, 56), [10.0, 5, 34, 29])}
"""Shape of an image and the box in it, by label."""


def asked(slot: str, kind: str) -> dict[str, Any]:
    name = "ExpressionClassLoss" if slot == "loss_cls" else "ExpressionBoxLoss"
    spec = {key: value for key, value in handed.losses(kind)[slot].items() if key != "alpha"}
    return {"type": name, **spec}


def batch() -> list[DetDataSample]:
    samples = []
    for label, (shape, box) in IMAGES.items():
        samples.append(DetDataSample(metainfo={"img_shape": shape, "pad_shape": (64, 64)}))
        samples[-1].gt_instances = InstanceData(bboxes=torch.tensor([box]), labels=torch.tensor([label]))
    return samples


@pytest.mark.filterwarnings("ignore:DeprecationWarning. .num_anchors.:UserWarning")
@pytest.mark.parametrize("name", HEADS)
def test_a_size_is_that_of_the_target_in_its_own_image(name: str) -> None:
    kind, arguments = HEADS[name]
    register_all_modules()
    losses = {
        "loss_cls": {**asked("loss_cls", "sigmoid"), "use_sigmoid": True},
        "loss_bbox": asked("loss_bbox", "sigmoid"),
    }
    if name == "RetinaNet":  # its stock loss of offsets from anchors: the class loss alone reads
        losses["loss_bbox"] = {"type": "L1Loss"}
    head = build(kind, **{**arguments, **losses})
    head.progress, head.frequency = torch.tensor(0.5), torch.tensor([1.0, 0.5, 0.25])
    cls, box = Recorder(head.loss_cls.loss), Recorder(head.loss_bbox.loss)
    generator = torch.Generator().manual_seed(1)
    outputs = head([torch.randn(2, 4, size, size, generator=generator) for size in (8, 4)])
    head.forward = lambda _: outputs
    total = sum(sum(value) if isinstance(value, list) else value for value in head.loss((), batch()).values())
    assert torch.isfinite(total)
    labels = torch.cat([target[0] if isinstance(target, tuple) else target for (_, target, *_), _ in cls.calls])
    sizes = torch.cat([kwargs["size"] for _, kwargs in cls.calls])
    wanted = {label: (((x - a) * (y - b)) / (h * w)) ** 0.5 for label, ((h, w), (a, b, x, y)) in IMAGES.items()}
    for label, size in wanted.items():
        assert (labels == label).any()
        torch.testing.assert_close(sizes[labels == label], torch.full(((labels == label).sum(),), size))
    assert (sizes[labels == 3] == 1).all()
    if name == "RetinaNet":
        return
    given = {key: torch.cat([kwargs[key] for _, kwargs in box.calls]) for key in ("size", "frequency")}
    rows = labels if "RetinaNet" in name else labels[labels < 3]
    torch.testing.assert_close(given["size"], sizes if "RetinaNet" in name else sizes[labels < 3])
    torch.testing.assert_close(given["frequency"], torch.tensor([1.0, 0.5, 0.25, 1.0])[rows])


def test_a_two_stage_head_is_told_of_the_images_by_its_roi_head() -> None:
    losses = {"loss_cls": asked("loss_cls", "softmax"), "loss_bbox": asked("loss_bbox", "sigmoid")}
    head = build("IoUAwareShared2FCBBoxHead", **{**ROI, **losses}, reg_decoded_bbox=True)
    head.progress, head.frequency = torch.tensor(0.5), torch.tensor([1.0, 0.5, 0.25])
    with pytest.raises(RuntimeError, match="reads size, which needs a RoI head that tells its box heads of the images"):
        head.loss(*roi_inputs(True))
    cls_score, deltas, rois, labels, weights, targets, box_weights = roi_inputs(True)
    rois[::2, 0] = 1  # of another image
    cls, box = Recorder(head.loss_cls.loss), Recorder(head.loss_bbox.loss)
    head.images = [(64, 64), (40, 56)]
    head.loss(cls_score, deltas, rois, labels, weights, targets, box_weights)
    positive = labels < 3
    areas = torch.tensor([64.0 * 64, 40 * 56])[rois[:, 0].long()]
    size = ((targets[:, 2] - targets[:, 0]) * (targets[:, 3] - targets[:, 1]) / areas).sqrt()
    torch.testing.assert_close(box.calls[0][1]["size"], size[positive])
    torch.testing.assert_close(cls.calls[0][1]["size"], torch.where(positive, size, 1.0))
    score = cls_score.softmax(-1)[positive, labels[positive]].detach()
    torch.testing.assert_close(box.calls[0][1]["score"], score)
    assert not box.calls[0][1]["score"].requires_grad


def test_a_loss_that_reads_of_the_training_says_what_tells_it() -> None:
    head = build("IoUAwareShared2FCBBoxHead", **{**ROI, "loss_cls": asked("loss_cls", "softmax")})
    assert head.from_training == ("frequency", "progress")
    with pytest.raises(RuntimeError, match="a loss reads progress, which TrainingState tells .*: name it in custom_ho"):
        head.loss(*roi_inputs(False))


def test_the_heads_and_roi_heads_that_hand_over_enough_are_found() -> None:
    for reads in (("size",), ("score",), ("frequency", "progress")):
        assert head_type("ATSSHead", (), reads) == head_type("ATSSHead", reads) == "IoUAwareATSSHead"
        assert head_type("GFLHead", reads) == "IoUAwareGFLHead"
    assert head_type("GFLHead", ["iou"], ["iou"]) == "IoUAwareGFLHead"
    assert roi_head_type("CascadeRoIHead") == roi_head_type("IoUAwareCascadeRoIHead") == "IoUAwareCascadeRoIHead"
    with pytest.raises(InputError, match="which size needs, stands in for 'PISARoIHead'; known: StandardRoIHead, Casc"):
        roi_head_type("PISARoIHead")

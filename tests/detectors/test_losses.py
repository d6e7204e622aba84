import copy

import pytest
import torch
from torch import Tensor, nn

from detectors import mmcv_ops

mmcv_ops.install()

from mmdet.models.losses import (  # noqa: E402
    CrossEntropyLoss,
    DIoULoss,
    FocalLoss,
    GIoULoss,
    IoULoss,
    QualityFocalLoss,
    VarifocalLoss,
)
from mmdet.registry import MODELS  # noqa: E402

from detectors.losses import ExpressionBoxLoss, ExpressionClassLoss  # noqa: E402
from primitives.catalog import KNOWN  # noqa: E402
from primitives.errors import InputError  # noqa: E402


def box(name: str, **arguments: object) -> nn.Module:
    known = KNOWN[name]
    return ExpressionBoxLoss(str(known.expression), known.grammar, **arguments)


def cls(name: str, **arguments: object) -> nn.Module:
    known = KNOWN[name]
    return ExpressionClassLoss(str(known.expression), known.grammar, alpha=known.alpha, **arguments)


def boxes(count: int = 40) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    corner = torch.rand(count, 2, generator=generator) * 60
    target = torch.cat((corner, corner + 20 + torch.rand(count, 2, generator=generator) * 60), dim=1)
    return target + torch.randn(count, 4, generator=generator) * 4, target


def compared(ours: Tensor, theirs: Tensor, leaf: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
    gradients = [torch.autograd.grad(value.sum(), leaf)[0] for value in (ours, theirs)]
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-5, atol=1e-6)


# Reference: onedl-mmdetection 3.5.1.
@pytest.mark.parametrize("how", ["avg_factor", "none", "mean"])
@pytest.mark.parametrize(
    ("name", "stock"),
    [
        ("giou", GIoULoss()),
        ("iou", IoULoss(mode="linear")),
        ("log_iou", IoULoss(mode="log")),
        ("squared_iou", IoULoss(mode="square")),
        ("diou", DIoULoss()),
    ],
    ids=lambda case: case if isinstance(case, str) else "",
)
def test_box_losses_equal_mmdetection(name: str, stock: nn.Module, how: str) -> None:
    pred, target = boxes()
    pred.requires_grad_()
    weight = torch.rand(40)
    arguments = {"avg_factor": {"avg_factor": 7.0}, "none": {"reduction_override": "none"}, "mean": {}}[how]
    compared(box(name)(pred, target, weight, **arguments), stock(pred, target, weight, **arguments), pred)


@pytest.mark.parametrize("how", ["avg_factor", "none"])
@pytest.mark.parametrize("name", ["focal", "quality_focal", "varifocal", "cross_entropy", "binary_cross_entropy"])
def test_class_losses_equal_mmdetection(name: str, how: str) -> None:
    generator = torch.Generator().manual_seed(1)
    softmax = name == "cross_entropy"
    logits = (torch.randn(40, 6 if softmax else 5, generator=generator) * 2).requires_grad_()
    labels = torch.arange(40) % 6
    iou = torch.rand(40, generator=generator) * 0.9 + 0.05
    weight = torch.rand(40, generator=generator)
    arguments = {"avg_factor": 7.0} if how == "avg_factor" else {"reduction_override": "none"}
    ours = cls(name)(logits, labels, weight, iou=iou, **arguments)
    hot = torch.nn.functional.one_hot(labels, 6)[:, :5].float()
    if softmax:
        theirs = CrossEntropyLoss()(logits, labels, weight, **arguments)
    elif name == "focal":
        theirs = FocalLoss()(logits, labels, weight, **arguments)
    elif name == "quality_focal":
        theirs = QualityFocalLoss()(logits, (labels, iou), weight, **arguments)
    elif name == "varifocal":
        theirs = VarifocalLoss()(logits, hot * iou[:, None], weight[:, None].expand(40, 5), **arguments)
    else:
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, hot, reduction="none").sum(-1) * weight
        theirs = loss if how == "none" else loss.sum() / 7.0
    compared(ours, theirs.sum(-1) if theirs.dim() == 2 else theirs, logits)


def test_registered_under_mmdetections_names() -> None:
    built = MODELS.build({"type": "ExpressionBoxLoss", "expression": "neg(log(div(i, u)))"})
    assert isinstance(built, ExpressionBoxLoss)
    built = MODELS.build({"type": "ExpressionClassLoss", "expression": "dot(x, y)", "grammar": "softmax"})
    assert isinstance(built, ExpressionClassLoss)


class LossContract:
    """What mmdetection's heads rely on; a subclass gives the module and its inputs."""

    def module(self, **arguments: object) -> nn.Module:
        raise AssertionError("a subclass gives the module")

    def inputs(self, count: int = 12) -> tuple[Tensor, Tensor]:
        raise AssertionError("a subclass gives the inputs")

    def call(self, module: nn.Module, pred: Tensor, target: Tensor, *args: object, **kwargs: object) -> Tensor:
        return module(pred, target, *args, iou=torch.full((len(pred),), 0.5), **kwargs)

    def test_avg_factor_with_sum_is_an_error(self) -> None:
        pred, target = self.inputs()
        with pytest.raises(ValueError, match="avg_factor can not be used"):
            self.call(self.module(reduction="sum"), pred, target, avg_factor=2.0)
        with pytest.raises(ValueError, match="avg_factor can not be used"):
            self.call(self.module(), pred, target, avg_factor=2.0, reduction_override="sum")

    def test_reductions_belong_together(self) -> None:
        pred, target = self.inputs()
        each = self.call(self.module(), pred, target, reduction_override="none")
        assert each.shape == (12,)
        torch.testing.assert_close(self.call(self.module(reduction="sum"), pred, target), each.sum())
        torch.testing.assert_close(self.call(self.module(), pred, target), each.mean())
        torch.testing.assert_close(self.call(self.module(), pred, target, avg_factor=4.0), each.sum() / 4)
        torch.testing.assert_close(self.call(self.module(loss_weight=3.0), pred, target), each.mean() * 3)

    def test_all_zero_weights_give_a_zero_with_a_graph(self) -> None:
        pred, target = self.inputs()
        pred.requires_grad_()
        loss = self.call(self.module(), pred, target, torch.zeros(12), avg_factor=1.0)
        loss.backward()
        assert loss.item() == 0
        assert pred.grad is not None
        assert pred.grad.abs().sum() == 0

    def test_rows_of_weight_zero_never_reach_sum_or_gradient(self) -> None:
        pred, target = self.inputs()
        weight = torch.ones(12)
        weight[3] = 0
        clean = self.call(self.module(), pred, target, weight, avg_factor=1.0)
        pred = pred.clone()
        pred[3] = torch.nan
        pred.requires_grad_()
        loss = self.call(self.module(), pred, target, weight, avg_factor=1.0)
        loss.backward()
        torch.testing.assert_close(loss.detach(), clean)
        assert torch.isfinite(pred.grad).all()

    def test_empty_input_gives_a_finite_zero_with_a_gradient(self) -> None:
        pred, target = self.inputs()
        pred.requires_grad_()
        for arguments in ({}, {"avg_factor": 1.0}, {"weight": torch.zeros(0), "avg_factor": 0.0}):
            loss = self.call(self.module(), pred[:0], target[:0], **arguments)
            assert loss.item() == 0
            loss.backward()
        assert torch.isfinite(pred.grad).all()

    def test_autocast_computes_in_float32(self) -> None:
        pred, target = self.inputs()
        with torch.autocast("cpu", torch.bfloat16):
            loss = self.call(self.module(), pred.bfloat16(), target)
        assert loss.dtype == torch.float32
        assert torch.isfinite(loss)

    def test_module_can_be_copied(self) -> None:
        pred, target = self.inputs()
        module = self.module()
        torch.testing.assert_close(self.call(copy.deepcopy(module), pred, target), self.call(module, pred, target))


class TestBoxLossContract(LossContract):
    def module(self, **arguments: object) -> nn.Module:
        return box("giou", **arguments)

    def inputs(self, count: int = 12) -> tuple[Tensor, Tensor]:
        return boxes(count)

    def test_four_weights_a_box_are_averaged(self) -> None:
        pred, target = self.inputs()
        weight = torch.rand(12, 4)
        module = self.module()
        torch.testing.assert_close(
            module(pred, target, weight, avg_factor=2.0), module(pred, target, weight.mean(-1), avg_factor=2.0)
        )

    def test_zero_targets_of_weight_zero_are_harmless(self) -> None:
        pred, target = self.inputs()
        target[4:] = 0
        pred.requires_grad_()
        weight = torch.zeros(12)
        weight[:4] = 1
        loss = self.module()(pred, target, weight, avg_factor=4.0)
        loss.backward()
        assert torch.isfinite(loss)
        assert torch.isfinite(pred.grad).all()


class TestSoftmaxLossContract(LossContract):
    def module(self, **arguments: object) -> nn.Module:
        return cls("cse_a_cls", **arguments)

    def inputs(self, count: int = 12) -> tuple[Tensor, Tensor]:
        return torch.randn(count, 5, generator=torch.Generator().manual_seed(0)), torch.arange(count) % 5


class TestSigmoidLossContract(LossContract):
    def module(self, **arguments: object) -> nn.Module:
        return cls("cse_b_cls", **arguments)

    def inputs(self, count: int = 12) -> tuple[Tensor, Tensor]:
        return torch.randn(count, 4, generator=torch.Generator().manual_seed(0)), torch.arange(count) % 5


def test_gradient_of_a_box_loss_equals_finite_differences() -> None:
    pred, target = (value.double() for value in boxes(6))
    pred.requires_grad_()
    assert torch.autograd.gradcheck(lambda p: box("cse_b_reg")(p, target), pred)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ExpressionBoxLoss("dot(x, y)", "softmax"), "grammar 'softmax' is for loss_cls"),
        (lambda: ExpressionClassLoss("div(i, u)", "box"), "grammar 'box' is for loss_bbox"),
        (lambda: ExpressionBoxLoss("div(i, u)", reduction="average"), "unknown reduction 'average'; known: none"),
        (lambda: ExpressionClassLoss("mul(x, y)", "sigmoid", use_sigmoid=False), "contradicts grammar"),
        (lambda: ExpressionClassLoss("mul(x, y)", "softmax", alpha=0.25), "alpha=0.25 needs grammar 'sigmoid'"),
        (lambda: cls("cse_a_cls")(torch.zeros(1, 3), torch.tensor([0])), "reads w, and this head gives no IoU"),
    ],
)
def test_mistakes_are_named(build, message: str) -> None:
    with pytest.raises(InputError, match=message):
        build()

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

from detectors.heads.handover import DeferredClassLoss, Samples  # noqa: E402
from detectors.losses.expression import ExpressionBoxLoss, ExpressionClassLoss  # noqa: E402
from primitives.catalog import GRAMMARS, KNOWN  # noqa: E402
from primitives.kinds.box.pair import aligned_iou  # noqa: E402
from tests.helpers.loss_contract import EVERYTHING, BoxLossContract, ClassLossContract  # noqa: E402


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


class TestBoxLossContract(BoxLossContract):
    def module(self, **arguments: object) -> nn.Module:
        return box("giou", **arguments)


class TestSoftmaxLossContract(ClassLossContract):
    use_sigmoid = False

    def module(self, **arguments: object) -> nn.Module:
        return cls("cse_a_cls", **arguments)


class TestSigmoidLossContract(ClassLossContract):
    use_sigmoid = True

    def module(self, **arguments: object) -> nn.Module:
        return cls("cse_b_cls", **arguments)


class TestWideBoxLossContract(BoxLossContract):
    def module(self, **arguments: object) -> nn.Module:
        return ExpressionBoxLoss(EVERYTHING["box_wide"], "box_wide", **arguments)


class TestWideSoftmaxLossContract(ClassLossContract):
    use_sigmoid = False

    def module(self, **arguments: object) -> nn.Module:
        return ExpressionClassLoss(EVERYTHING["softmax_wide"], "softmax_wide", **arguments)


class TestWideSigmoidLossContract(ClassLossContract):
    use_sigmoid = True

    def module(self, **arguments: object) -> nn.Module:
        return ExpressionClassLoss(EVERYTHING["sigmoid_wide"], "sigmoid_wide", alpha=0.25, **arguments)


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
        (lambda: cls("cse_a_cls")(torch.zeros(1, 3), torch.tensor([0])), "reads iou; this head hands over none"),
    ],
)
def test_mistakes_are_named(build, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()


def one_step(name: str, device: str) -> Tensor:
    """Loss and gradient of a known loss as a head calls it, with weights and an average factor on the device."""
    known = KNOWN[name]
    weight, average = torch.ones(8, device=device), torch.ones((), device=device)
    reads = set(GRAMMARS[known.grammar].given(known.expression)) - {"iou"}
    told = {one: torch.ones((8, 5) if one == "frequency" else 8, device=device) for one in reads}
    if GRAMMARS[known.grammar].slot == "loss_bbox":
        pred = torch.ones(8, 4, device=device, requires_grad=True)
        loss = ExpressionBoxLoss(str(known.expression), known.grammar)(
            pred, torch.ones_like(pred), weight, average, **told
        )
    else:
        pred = torch.ones(8, 5, device=device, requires_grad=True)
        labels = torch.zeros(8, dtype=torch.long, device=device)
        module = ExpressionClassLoss(str(known.expression), known.grammar, known.alpha)
        iou = aligned_iou(torch.ones(8, 4, device=device), torch.ones(8, 4, device=device))
        given = {"avg_factor": average, **told, "iou": Samples(pred, labels, 4).spread(iou, 0.0)}
        loss = DeferredClassLoss(module, (pred, labels, weight), given).compute()
    loss.backward()
    assert pred.grad is not None
    return loss


@pytest.mark.parametrize("name", KNOWN)
def test_a_loss_asks_nothing_back_from_the_device(name: str) -> None:
    # A meta tensor has no values: whatever would bring one to the host, and so wait for a GPU, raises an error.
    assert one_step(name, "meta").is_meta


def test_the_meta_device_would_notice_a_round_trip() -> None:
    with pytest.raises((RuntimeError, NotImplementedError)):
        float(torch.ones(8, device="meta").sum())
    with pytest.raises((RuntimeError, NotImplementedError)):
        torch.ones(8, device="meta")[torch.ones(8, dtype=torch.bool, device="meta")]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", KNOWN)
def test_a_loss_does_not_wait_for_the_gpu(name: str) -> None:
    one_step(name, "cuda")  # what is made once may wait
    torch.cuda.set_sync_debug_mode("error")
    try:
        one_step(name, "cuda")
    finally:
        torch.cuda.set_sync_debug_mode("default")

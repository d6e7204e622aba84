"""Known losses beside the same losses of other libraries, or by hand where no well-kept one has them."""

import json
import math
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torchvision import ops

from detectors import mmcv_ops
from primitives.catalog import GRAMMARS, KNOWN
from primitives.kinds.sample import Sample


def computed(name: str, pred: Tensor, target: Tensor, **given: Tensor) -> tuple[Tensor, Tensor]:
    """Losses of a known loss, and the gradient of their sum."""
    known = KNOWN[name]
    leaf = pred.detach().clone().requires_grad_()
    loss = GRAMMARS[known.grammar].losses(known.expression, Sample(leaf, target, given), known.alpha)
    return loss.detach(), torch.autograd.grad(loss.sum(), leaf)[0]


def equal(name: str, other: Tensor, leaf: Tensor, target: Tensor, **given: Tensor) -> None:
    """The known loss has these values, which were computed of the leaf, and their gradients."""
    loss, gradient = computed(name, leaf, target, **given)
    torch.testing.assert_close(loss, other.detach(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(
        gradient, torch.autograd.grad(other.sum(), leaf, retain_graph=True)[0], rtol=1e-4, atol=1e-6
    )


@pytest.fixture
def boxes() -> tuple[Tensor, Tensor]:
    """Predicted boxes and their targets, most of which they touch."""
    draw = torch.Generator().manual_seed(1)
    corner, size = (torch.rand(40, 2, generator=draw, dtype=torch.float64) * 50 for _ in range(2))
    target = torch.cat((corner, corner + size + 5), dim=-1)
    moved = target + (torch.rand(40, 4, generator=draw, dtype=torch.float64) - 0.5) * (size.repeat(1, 2) + 5) * 0.7
    moved[::10] += 80
    return moved.requires_grad_(), target


@pytest.fixture
def scores() -> tuple[Tensor, Tensor]:
    """Logits of three classes and background, and labels."""
    draw = torch.Generator().manual_seed(2)
    x = torch.randn(24, 4, generator=draw, dtype=torch.float64) * 2
    return x.requires_grad_(), torch.arange(24) % 4


def test_ciou_is_that_of_mmdetection_whose_aspect_counts_from_half_overlap_on(boxes: tuple[Tensor, Tensor]) -> None:
    mmcv_ops.install()
    from mmdet.models.losses.iou_loss import ciou_loss

    equal("ciou", ciou_loss(*boxes, reduction="none"), *boxes)
    iou = torch.diagonal(ops.box_iou(*boxes))
    assert (iou < 0.5).any()
    assert (iou > 0.5).any()


def _sides(boxes: Tensor) -> Tensor:
    return boxes[:, 2:] - boxes[:, :2]


def _around(pred: Tensor, target: Tensor) -> Tensor:
    return torch.maximum(pred[:, 2:], target[:, 2:]) - torch.minimum(pred[:, :2], target[:, :2])


def _offset(pred: Tensor, target: Tensor) -> Tensor:
    return (pred[:, :2] + pred[:, 2:] - target[:, :2] - target[:, 2:]) / 2


def test_eiou_adds_squared_differences_of_the_sides_to_diou(boxes: tuple[Tensor, Tensor]) -> None:
    pred, target = boxes
    sides = ((_sides(pred) - _sides(target)) / _around(pred, target)).square().sum(-1)
    equal("eiou", ops.distance_box_iou_loss(pred, target) + sides, pred, target)


def test_wise_iou_holds_the_diagonal_and_nothing_else(boxes: tuple[Tensor, Tensor]) -> None:
    pred, target = boxes
    share = _offset(pred, target).square().sum(-1) / _around(pred, target).square().sum(-1).detach()
    iou = torch.diagonal(ops.box_iou(pred, target))
    equal("wiou", share.exp() * (1 - iou), pred, target)


def test_mpdiou_counts_corners_in_sides_of_a_square_image(boxes: tuple[Tensor, Tensor]) -> None:
    pred, target = boxes
    side = 320.0
    corners = (pred - target).square().sum(-1) / (2 * side**2)
    size = (_sides(target).prod(-1)).sqrt() / side
    equal("mpdiou", 1 - torch.diagonal(ops.box_iou(pred, target)) + corners, pred, target, size=size)


def test_the_wasserstein_distance_is_that_of_two_gaussians(boxes: tuple[Tensor, Tensor]) -> None:
    pred, target = boxes
    squared = _offset(pred, target).square().sum(-1) + ((_sides(pred) - _sides(target)) / 2).square().sum(-1)
    equal("nwd", 1 - torch.exp(-squared.sqrt() / _sides(target).prod(-1).sqrt()), pred, target)


def test_alpha_iou_is_a_power(boxes: tuple[Tensor, Tensor]) -> None:
    equal("alpha_iou", 1 - torch.diagonal(ops.box_iou(*boxes)) ** 3, *boxes)


def test_losses_of_softmax_are_what_their_papers_say(scores: tuple[Tensor, Tensor]) -> None:
    x, labels = scores
    p = x.softmax(-1)
    right, y = p.gather(1, labels[:, None])[:, 0], functional.one_hot(labels, 4).double()
    ce = functional.cross_entropy(x, labels, reduction="none")
    reverse = -(p * torch.where(y > 0, 0.0, -4.0)).sum(-1)
    for name, loss in {
        "generalised_cross_entropy": (1 - right**0.7) / 0.7,
        "symmetric_cross_entropy": 0.1 * ce + reverse,
        "absolute_error": functional.l1_loss(p, y, reduction="none").sum(-1),
        "poly1_cross_entropy": ce + 1 - right,
        "brier": functional.mse_loss(p, y, reduction="none").sum(-1),
    }.items():
        equal(name, loss, x, labels)


@pytest.mark.parametrize("given", [torch.tensor([1.0, 0.2, 0.01]), torch.tensor([1.0, 0.2, 0.01, 1.0])])
def test_what_classes_weigh_is_as_pytorch_weighs_them(scores: tuple[Tensor, Tensor], given: Tensor) -> None:
    x, labels = scores
    every = functional.pad(given, (0, 4 - len(given)), value=1.0).double()
    balanced = functional.cross_entropy(x, labels, weight=1 / (1 - torch.exp(-every)), reduction="none")
    equal("class_balanced", balanced, x, labels, frequency=given)
    adjusted = functional.cross_entropy(x + every.log(), labels, reduction="none")
    equal("logit_adjusted", adjusted, x, labels, frequency=given)


def test_the_asymmetric_loss_is_that_of_timm(golden: Path) -> None:
    reference = json.loads((golden / "asymmetric_reference.json").read_text())
    loss, gradient = computed("asymmetric", torch.tensor(reference["logits"]), torch.tensor(reference["labels"]))
    assert float(loss.mean()) == pytest.approx(reference["loss"], rel=1e-5)
    torch.testing.assert_close(gradient / len(loss), torch.tensor(reference["grad"]), rtol=1e-4, atol=1e-6)


def test_losses_of_sigmoids_are_focal_losses_of_other_logits_exponents_and_weights() -> None:
    draw = torch.Generator().manual_seed(4)
    x = (torch.randn(20, 3, generator=draw, dtype=torch.float64) * 2).requires_grad_()
    labels = torch.arange(20) % 4
    y, f = functional.one_hot(labels, 4)[:, :3].double(), torch.tensor([1.0, 0.3, 0.02], dtype=torch.float64)
    given = {"frequency": f}
    shifted = ops.sigmoid_focal_loss(x + f.log(), y, alpha=0.25, gamma=2)
    equal("logit_adjusted_focal", shifted.sum(-1), x, labels, **given)
    own = torch.cat((f, torch.ones(1)))[labels]
    weighted = ops.sigmoid_focal_loss(x, y, alpha=-1, gamma=2).sum(-1) / (1 - torch.exp(-own))
    equal("class_balanced_focal", weighted, x, labels, **given)
    columns = [ops.sigmoid_focal_loss(x[:, k], y[:, k], 0.25, 10 - 8 * float(f[k])) for k in range(3)]
    equal("equalised_focal", (torch.stack(columns, -1) * (5 - 4 * f)).sum(-1), x, labels, **given)
    equal("squared_error", functional.mse_loss(x.sigmoid(), y, reduction="none").sum(-1), x, labels)
    right = torch.where(y > 0, x.sigmoid(), 1 - x.sigmoid())
    equal("generalised_binary_cross_entropy", ((1 - right**0.7) / 0.7).sum(-1), x, labels)


def test_boxes_that_are_right_cost_nothing() -> None:
    box = torch.tensor([[10.0, 10.0, 30.0, 50.0]])
    for known in KNOWN.values():
        if known.grammar == "box_wide":
            loss, gradient = computed(known.name, box, box, size=torch.tensor([0.1]))
            assert abs(float(loss)) < 2e-4, known.name
            assert math.isfinite(float(gradient.sum())), known.name

"""What mmdetection's heads rely on in a loss, as classes of tests; a subclass gives the module."""

from __future__ import annotations

import copy
import io
from typing import Any

import pytest
import torch
from torch import Tensor, nn

EVERYTHING = {
    "box_wide": "(1 + w*s)*f**(-0.5*t)*(1 - i/u + dw**2/stop(1 + g) + max(dh, a)*d)",
    "softmax_wide": "-dot(y*(1 + w)*stop(1 - softmax(x)), f**(-0.5*t)*log(softmax(x)))/(0.1 + a)",
    "sigmoid_wide": "(0.1 + a)*f**(-0.5*t)*abs(y*w - sigmoid(x))**1.5*(softplus(x) - x*y)",
}
"""Formulas of the wide grammars that read all that is handed over."""


class LossContract:
    """Both slots; `module(**arguments)` gives the loss."""

    def module(self, **arguments: object) -> nn.Module:
        raise AssertionError("a subclass gives the module")

    def inputs(self, count: int = 12) -> tuple[Tensor, Tensor]:
        raise AssertionError("a subclass gives the inputs")

    def told(self, module: nn.Module, pred: Tensor) -> dict[str, Tensor]:
        """What the formula reads beside, of every sample, class, or of the training; the same for the first of many."""
        each = 0.2 + 0.05 * torch.arange(len(pred))
        told = {"iou": each, "score": each, "size": each, "progress": torch.tensor(0.25)}
        told["frequency"] = torch.linspace(0.01, 1, pred.shape[1]) if hasattr(module, "use_sigmoid") else each
        return {name: told[name] for name in module.reads}

    def call(self, module: nn.Module, pred: Tensor, target: Tensor, *args: object, **kwargs: object) -> Tensor:
        return module(pred, target, *args, **{**self.told(module, pred), **kwargs})

    def test_avg_factor_with_sum_is_an_error(self) -> None:
        pred, target = self.inputs()
        with pytest.raises(ValueError, match="avg_factor can not be used"):
            self.call(self.module(reduction="sum"), pred, target, avg_factor=2.0)
        with pytest.raises(ValueError, match="avg_factor can not be used"):
            self.call(self.module(), pred, target, avg_factor=2.0, reduction_override="sum")

    def test_an_unknown_reduction_is_named(self) -> None:
        with pytest.raises(ValueError, match="unknown reduction 'average'; known: none, mean, sum"):
            self.module(reduction="average")
        pred, target = self.inputs()
        for unknown in ("average", ""):
            with pytest.raises(ValueError, match=f"unknown reduction '{unknown}'; known: none, mean, sum"):
                self.call(self.module(), pred, target, reduction_override=unknown)

    def test_an_argument_of_no_effect_is_refused(self) -> None:
        pred, target = self.inputs()
        with pytest.raises(TypeError, match="unexpected keyword argument 'avg_non_ignore'"):
            self.call(self.module(), pred, target, avg_non_ignore=True)

    def test_reductions_belong_together(self) -> None:
        pred, target = self.inputs()
        each = self.call(self.module(), pred, target, reduction_override="none")
        assert each.shape == (12,)
        assert torch.isfinite(each).all()
        torch.testing.assert_close(self.call(self.module(reduction="sum"), pred, target), each.sum())
        torch.testing.assert_close(self.call(self.module(), pred, target), each.mean())
        torch.testing.assert_close(self.call(self.module(), pred, target, avg_factor=4.0), each.sum() / 4)
        own, thrice = (self.call(self.module(loss_weight=weight), pred, target) for weight in (1.0, 3.0))
        torch.testing.assert_close(thrice, 3 * own)

    def test_weights_multiply_rows(self) -> None:
        pred, target = self.inputs()
        weight = torch.rand(12, generator=torch.Generator().manual_seed(2))
        each = self.call(self.module(), pred, target, reduction_override="none")
        torch.testing.assert_close(
            self.call(self.module(), pred, target, weight, avg_factor=2.0), (each * weight).sum() / 2
        )

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
        assert pred.grad is not None
        assert torch.isfinite(pred.grad).all()

    def test_empty_input_gives_a_finite_zero_with_a_gradient(self) -> None:
        pred, target = self.inputs()
        pred.requires_grad_()
        cases: list[dict[str, Any]] = [{}, {"avg_factor": 1.0}, {"weight": torch.zeros(0), "avg_factor": 0.0}]
        for arguments in cases:
            loss = self.call(self.module(), pred[:0], target[:0], **arguments)
            assert loss.item() == 0
            loss.backward()
        assert pred.grad is not None
        assert torch.isfinite(pred.grad).all()

    @pytest.mark.parametrize("narrow", [torch.float16, torch.bfloat16])
    def test_half_precision_under_autocast_is_computed_in_float32(self, narrow: torch.dtype) -> None:
        pred, target = self.inputs()
        with torch.autocast("cpu", torch.bfloat16):
            loss = self.call(self.module(), pred.to(narrow), target)
        assert loss.dtype == torch.float32
        assert torch.isfinite(loss)

    def test_float64_stays_float64(self) -> None:
        pred, target = self.inputs()
        target = target.double() if target.is_floating_point() else target
        loss = self.call(self.module(), pred.double(), target)
        assert loss.dtype == torch.float64
        assert torch.isfinite(loss)

    def test_a_formula_that_reads_more_says_so_when_it_is_not_handed_over(self) -> None:
        pred, target = self.inputs()
        module: Any = self.module()
        if module.reads:
            with pytest.raises(ValueError, match=f"reads {', '.join(module.reads)}; this head hands over none"):
                module(pred, target)
        else:
            assert torch.isfinite(module(pred, target))

    def test_the_module_can_be_copied_and_has_no_state(self) -> None:
        pred, target = self.inputs()
        module = self.module()
        want = self.call(module, pred, target)
        copied = copy.deepcopy(module)
        assert dict(module.state_dict()) == {}
        copied.load_state_dict(module.state_dict())
        assert torch.equal(self.call(copied, pred, target), want)
        stored = io.BytesIO()
        torch.save(module.state_dict(), stored)
        assert stored.getbuffer().nbytes > 0


class BoxLossContract(LossContract):
    """A `loss_bbox`."""

    def inputs(self, count: int = 12) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(0)
        corner = torch.rand(count, 2, generator=generator) * 60
        target = torch.cat((corner, corner + 20 + torch.rand(count, 2, generator=generator) * 60), dim=1)
        return target + torch.randn(count, 4, generator=generator) * 4, target

    def test_four_weights_a_box_are_averaged(self) -> None:
        pred, target = self.inputs()
        weight = torch.rand(12, 4, generator=torch.Generator().manual_seed(1))
        module = self.module()
        four, one = (self.call(module, pred, target, each, avg_factor=2.0) for each in (weight, weight.mean(-1)))
        torch.testing.assert_close(four, one)

    def test_all_anchors_with_zero_targets_and_zero_weights_are_harmless(self) -> None:
        """RetinaNet hands over every anchor; those without an object have target 0 and weight 0."""
        pred, target = self.inputs()
        alone = self.call(self.module(), pred[:4], target[:4], torch.ones(4, 4), avg_factor=4.0)
        target[4:] = 0
        pred.requires_grad_()
        weight = torch.zeros(12, 4)
        weight[:4] = 1
        loss = self.call(self.module(), pred, target, weight, avg_factor=4.0)
        loss.backward()
        torch.testing.assert_close(loss.detach(), alone)
        assert pred.grad is not None
        assert torch.isfinite(pred.grad).all()


class ClassLossContract(LossContract):
    """A `loss_cls`; `use_sigmoid` says for which heads."""

    use_sigmoid = True

    def inputs(self, count: int = 12) -> tuple[Tensor, Tensor]:
        width = 4 if self.use_sigmoid else 5
        return torch.randn(count, width, generator=torch.Generator().manual_seed(0)), torch.arange(count) % 5

    def call(self, module: nn.Module, pred: Tensor, target: Tensor, *args: object, **kwargs: object) -> Tensor:
        return super().call(module, pred, target, *args, **{"iou": torch.full((len(pred),), 0.5), **kwargs})

    def test_labels_may_come_with_the_iou(self) -> None:
        pred, target = self.inputs()
        module, iou = self.module(), torch.linspace(0, 1, 12)
        told = {**self.told(module, pred), "iou": iou}
        beside = {name: value for name, value in told.items() if name != "iou"}
        assert torch.equal(module(pred, (target, iou), **beside), module(pred, target, **told))

    def test_a_column_of_weights_is_a_row_weight(self) -> None:
        pred, target = self.inputs()
        weight = torch.linspace(0, 1, 12)
        column, row = (self.call(self.module(), pred, target, w, avg_factor=3.0) for w in (weight[:, None], weight))
        assert torch.equal(column, row)

    def test_ignored_labels_count_as_zero_and_have_no_gradient(self) -> None:
        pred, target = self.inputs()
        pred.requires_grad_()
        weight = torch.linspace(0.5, 1, 12)
        ignored = target.clone()
        ignored[::3] = 255
        kept = ignored != 255
        each = self.call(self.module(), pred, target, weight, reduction_override="none")
        found = self.call(self.module(), pred, ignored, weight, reduction_override="none", ignore_index=255)
        torch.testing.assert_close(found, torch.where(kept, each, 0.0))
        mean = self.call(self.module(), pred, ignored, ignore_index=255)
        torch.testing.assert_close(mean, self.call(self.module(), pred, target, kept.float()))
        mean.backward()
        assert pred.grad is not None
        assert torch.equal(pred.grad.abs().sum(-1) > 0, kept)

    def test_background_alone_is_finite(self) -> None:
        pred, target = self.inputs()
        pred.requires_grad_()
        loss = self.call(self.module(), pred, torch.full_like(target, 4), avg_factor=1.0)
        loss.backward()
        assert torch.isfinite(loss)
        assert pred.grad is not None
        assert torch.isfinite(pred.grad).all()

"""Probe: fixed inputs of formulas with what carries a gradient from them to the prediction."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from primitives.expression import Expression

Losses = Callable[[Tensor, Mapping[str, Tensor], float | None], Tensor]


@dataclass(frozen=True)
class Probe:
    """Inputs with what is needed to carry a gradient from them to the prediction.

    Args:
        inputs: a tensor per input name, (N,) or (N, C).
        leaves: names of the inputs that depend on the prediction.
        jacobian: (N, len(leaves), D) d input / d prediction, in D coordinates in which its parts are alike; None where
            the one leaf is the prediction itself.
        losses: how the value of a formula becomes losses; see `Kind.losses`.
    """

    inputs: Mapping[str, Tensor]
    leaves: tuple[str, ...]
    jacobian: Tensor | None
    losses: Losses

    @classmethod
    def by_jacobian(
        cls,
        place: Tensor,
        inputs_at: Callable[[Tensor], dict[str, Tensor]],
        leaves: tuple[str, ...],
        losses: Losses,
        dtype: torch.dtype,
    ) -> Probe:
        """A probe of inputs with one value per sample, derived once and as exactly as the predictions are given.

        Args:
            place: (N, D) predictions, in coordinates in which their parts are alike.
            inputs_at: the inputs from them.
            leaves: names of the inputs that depend on them.
            losses: how the value of a formula becomes losses.
            dtype: in which formulas are to be computed.
        """
        place = place.detach().requires_grad_()
        inputs = inputs_at(place)
        rows = [torch.autograd.grad(inputs[name].sum(), place, retain_graph=True)[0] for name in leaves]
        values = {name: value.detach().to(dtype) for name, value in inputs.items()}
        return cls(values, leaves, torch.stack(rows, dim=1).to(dtype), losses)

    def gradient(self, expression: Expression, alpha: float | None = None) -> tuple[Tensor, Tensor]:
        """Losses (N,) and their gradients with respect to the prediction, (N, D)."""
        inputs = dict(self.inputs)
        read = [k for k, name in enumerate(self.leaves) if name in expression.names]
        leaves = [inputs[self.leaves[k]].detach().requires_grad_() for k in read]
        inputs |= zip((self.leaves[k] for k in read), leaves, strict=True)
        loss = self.losses(expression(inputs), inputs, alpha)
        still = torch.zeros_like(self.inputs[self.leaves[0]] if self.jacobian is None else self.jacobian[:, 0])
        if not loss.requires_grad:
            return loss, still.to(loss.dtype)
        parts = torch.autograd.grad(loss.sum(), leaves, allow_unused=True)
        if self.jacobian is None:
            return loss.detach(), parts[0] if parts[0] is not None else still
        gradient = still.to(loss.dtype)
        for k, part in zip(read, parts, strict=True):
            if part is not None:
                gradient = gradient + part[:, None] * self.jacobian[:, k]
        return loss.detach(), gradient


class First:
    """Values of formulas on the inputs on which every formula is looked at first, sub-expressions being shared.

    Args:
        inputs: a tensor per input name.
        most: so many values are kept.
    """

    def __init__(self, inputs: Mapping[str, Tensor], most: int = 5_000) -> None:
        self.inputs, self._most = inputs, most
        self._memo: dict[str, Tensor] = {}

    def __call__(self, expression: Expression) -> Tensor:
        """Value of a formula, as an expression gives it."""
        if len(self._memo) > self._most:
            self._memo.clear()
        return expression(self.inputs, self._memo)

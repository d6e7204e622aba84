"""Identities: what tells the losses of candidates apart: directions of gradients, and weights beside the usual."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from autoloss.candidate import Loss
from autoloss.gates import equivalence
from autoloss.gates.calibration import weighted
from autoloss.settings import Slot


class Identities:
    """Directions and norms of gradients, each formula looked at once.

    Args:
        slots: that are searched.
        own: known losses that stand for the detector's own, by slot.
        calibrate: whether losses get the gradient norm of those they replace; else the weight of the slot is the usual.
    """

    def __init__(self, slots: Mapping[str, Slot], own: Mapping[str, Loss], calibrate: bool = True) -> None:
        self._slots, self._own, self._calibrate = slots, own, calibrate
        self._found: dict[Loss, tuple[str, float]] = {}

    def know(self, loss: Loss, direction: str, norm: float) -> None:
        """Takes what a gate found of a formula."""
        self._found[loss.plain] = (direction, norm)

    def direction(self, loss: Loss) -> str:
        """Of the gradient of a loss, as text."""
        return self._look(loss)[0]

    def factor(self, slot: str, loss: Loss) -> float:
        """How many times its usual weight a loss has, to two digits."""
        return float(f"{loss.loss_weight / self.usual(slot, loss).loss_weight:.2g}")

    def usual(self, slot: str, loss: Loss, factor: float = 1.0) -> Loss:
        """The loss with a factor of the weight that calibration gives it; see also `calibrate`."""
        rules, norm = self._slots[slot], self._look(loss)[1]
        if not (self._calibrate and norm):
            return replace(loss, loss_weight=factor * rules.weight)
        return weighted(loss.expression, loss.grammar, loss.alpha, norm, rules.like, factor * rules.weight)

    def of(self, losses: Mapping[str, Loss]) -> str:
        """Of a candidate: directions and factors of all slots; the known loss stands for a slot left out."""
        return "+".join(self._part(slot, losses.get(slot, own)) for slot, own in self._own.items())

    def _part(self, slot: str, loss: Loss) -> str:
        factor = self.factor(slot, loss)
        return self.direction(loss) if factor == 1 else f"{self.direction(loss)}*{factor:g}"

    def _look(self, loss: Loss) -> tuple[str, float]:
        if loss.plain not in self._found:
            self.know(loss, *equivalence.identity(loss.expression, loss.grammar, loss.alpha))
        return self._found[loss.plain]

"""Gates that let everything pass, and candidates to propose from."""

from __future__ import annotations

from collections.abc import Mapping

from autoloss.candidate import Candidate, How, Kind, Loss, Origin
from primitives.catalog import GRAMMARS
from primitives.expression import Expression

BOX = GRAMMARS["box"]


def boxes(number: int, text: str, weight: float = 1.0, origin: Origin | None = None) -> Candidate:
    """A candidate with a box loss."""
    origin = origin or Origin(How.RANDOM, (), ("loss_bbox",))
    return Candidate(
        number, Kind.FOUND, 0, {"loss_bbox": Loss(BOX.parse(text), BOX, weight)}, origin, origin.parents, True
    )


class OpenGates:
    """Lets everything pass that is another formula than its parent, and that was not seen.

    Args:
        own: stands for the detector's own losses, by slot.
        before: candidates that were proposed before.
    """

    def __init__(self, own: Mapping[str, Loss], before: int = 0) -> None:
        self.own, self.before = own, before
        self.grammars = {slot: loss.grammar for slot, loss in own.items()}
        self.asked: list[tuple[Expression | None, Expression]] = []
        self.seen: list[Mapping[str, Loss]] = []

    def new(self, losses: Mapping[str, Loss]) -> bool:
        """Whether these were not seen."""
        return losses not in self.seen

    def factor(self, slot: str, loss: Loss) -> float:
        """Weights are usual ones."""
        return 1.0

    def loss(
        self,
        slot: str,
        formula: Expression,
        alpha: float | None = None,
        parent: Expression | None = None,
        factor: float = 1.0,
    ) -> Loss | None:
        """The formula as it comes."""
        self.asked.append((parent, formula))
        return None if formula == parent else Loss(formula, self.grammars[slot], factor, alpha)

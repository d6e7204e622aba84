"""Strategies as a person may write them, and what a config may name and is none."""

from __future__ import annotations

import random
from collections.abc import Sequence

from autoloss.candidate import Candidate, How, Origin
from autoloss.search.strategies.strategy import Draft, Gates
from autoloss.search.strategies.variation import mutated, random_formula
from autoloss.settings import Settings

TOLD: list[list[int]] = []


class Climber:
    """Changes the box loss of the best candidate, whatever it is.

    Args:
        settings: of the search.
        share: of formulas from nothing.
    """

    def __init__(self, settings: Settings, share: float = 0.25) -> None:
        if not 0 <= share <= 1:
            raise TypeError(f"share is 0 to 1, got {share}")
        self.share, self.best = share, None

    def tell(self, standing: Sequence[Candidate]) -> None:
        """See Strategy."""
        TOLD.append([one.number for one in standing])
        self.best = standing[0]

    def ask(self, rng: random.Random, gates: Gates) -> Draft:
        """See Strategy."""
        if self.best is None or rng.random() < self.share:
            start, losses, origin = None, {}, Origin(How.RANDOM, (), ("loss_bbox",))
        else:
            start, losses = self.best.losses.get("loss_bbox", gates.own["loss_bbox"]).expression, self.best.losses
            origin = Origin(How.MUTATION, (self.best.number,), ("loss_bbox",))
        grammar = gates.grammars["loss_bbox"]
        while True:
            formula = random_formula(grammar) if start is None else mutated(start, grammar)
            if loss := gates.loss("loss_bbox", formula, parent=start):
                return Draft({**losses, "loss_bbox": loss}, origin)


class Stubborn:
    """Proposes the same formula for ever."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def tell(self, standing: Sequence[Candidate]) -> None:
        """See Strategy."""

    def ask(self, rng: random.Random, gates: Gates) -> Draft:
        """See Strategy."""
        loss = gates.loss("loss_bbox", gates.grammars["loss_bbox"].parse("neg(div(i, u))"))
        assert loss is not None
        return Draft({"loss_bbox": loss}, Origin(How.RANDOM, (), ("loss_bbox",)))


class Wrong(Climber):
    """Gives what is no draft.

    Args:
        settings: of the search.
        how: what is wrong.
    """

    def __init__(self, settings: Settings, how: str) -> None:
        super().__init__(settings)
        self.how = how

    def ask(self, rng: random.Random, gates: Gates) -> Draft:
        """See Strategy."""
        draft = super().ask(rng, gates)
        loss = draft.losses["loss_bbox"]
        wrong = {
            "none": None,
            "text": Draft({"loss_bbox": loss.expression.text}, draft.origin),  # type: ignore[dict-item]
            "slot": Draft({"loss_cls": loss}, draft.origin),
            "unknown": Draft({"loss_mask": loss}, draft.origin),
            "origin": Draft(draft.losses, Origin(How.RANDOM)),
            "empty": Draft({}, draft.origin),
        }
        return wrong[self.how]  # type: ignore[return-value]

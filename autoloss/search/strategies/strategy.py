"""The strategy protocol: what a search asks of whoever proposes candidates."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast

from autoloss.candidate import Loss, Origin
from autoloss.proposals.strategy import STRATEGIES
from autoloss.search.strategies.standing import Standing
from autoloss.settings import Settings
from primitives.errors import InputError
from primitives.expression import Expression
from primitives.grammar import Grammar
from primitives.system import names
from primitives.text.printable import printable

_PLACE = "search.strategy"


@dataclass(frozen=True)
class Draft:
    """Losses of a candidate to be.

    Args:
        losses: per slot, each of which passed the gates; a slot left out keeps the detector's own loss.
        origin: how they came about; `slots` are those whose loss is new.
    """

    losses: Mapping[str, Loss]
    origin: Origin


class Gates(Protocol):
    """What a strategy is given to try formulas with; every refusal is kept, with its reason."""

    @property
    def before(self) -> int:
        """How many candidates were proposed in this run before the one that is asked for."""

    @property
    def own(self) -> Mapping[str, Loss]:
        """Known losses that stand for the detector's own, by slot, with its weights."""

    @property
    def grammars(self) -> Mapping[str, Grammar]:
        """Those of the slots, with the constants of the config."""

    def new(self, losses: Mapping[str, Loss]) -> bool:
        """Whether no candidate has the gradients of these losses, and their weights; a slot left out has its own."""

    def factor(self, slot: str, loss: Loss) -> float:
        """How many times the weight that is usual for it a loss has: 1 unless it was tuned."""

    def loss(
        self,
        slot: str,
        formula: Expression,
        alpha: float | None = None,
        parent: Expression | None = None,
        factor: float = 1.0,
    ) -> Loss | None:
        """The loss of a formula that passes every gate, weighted like the loss it replaces; None where one refuses.

        Args:
            slot: that it is for.
            formula: in the grammar of the slot.
            alpha: weight of the target outside the formula.
            parent: formula that it must differ from.
            factor: of its weight.

        Raises:
            InputError: as many refusals for one candidate as `variation.draws` allows.
        """


class Strategy(Protocol):
    """Proposes candidates; an object of this shape, built with the settings and its arguments of the config, is all.

    A candidate is to be a function of the run's seed, its number and what `tell` said last, and of nothing else: then
    a search that was killed goes on as if it had not been. `random`, the module's functions and the argument alike, is
    seeded so for every candidate.
    """

    def tell(self, standing: Standing) -> None:
        """Takes all candidates that climbed the ladder so far, best first; before every generation but the first."""

    def ask(self, rng: random.Random, gates: Gates) -> Draft:
        """Losses of one new candidate; asked again where another candidate has their gradients.

        Args:
            rng: where everything random comes from.
            gates: judge formulas.
        """


def build(settings: Settings, spec: Mapping[str, Any] | None = None) -> Strategy:
    """The strategy that a config names.

    Args:
        settings: of the search.
        spec: `type` and arguments; None for what the settings name.

    Raises:
        InputError: it cannot be imported, is no strategy, or does not take the arguments.
    """
    spec = settings.strategy if spec is None else spec
    name = STRATEGIES.get(spec["type"], spec["type"])
    kind = names.class_of(name, _PLACE, ("tell", "ask"), STRATEGIES["evolution"])
    return cast("Strategy", names.built(kind, spec, _PLACE, settings))


def checked(draft: Draft, settings: Settings) -> Draft:
    """What a strategy gave, if a candidate can be made of it.

    Raises:
        InputError: it is no draft, names no new loss, or has a loss for another slot than its grammar's.
    """
    who = f"{_PLACE}: {settings.strategy['type']} gave"
    if not isinstance(draft, Draft) or not all(isinstance(loss, Loss) for loss in draft.losses.values()):
        raise InputError(f"{who} {printable(repr(draft))}; `ask` gives a Draft of losses and their origin")
    for slot, loss in draft.losses.items():
        if slot not in settings.slots or loss.grammar.slot != slot:
            given = f"a loss of grammar {loss.grammar.name} for {printable(repr(slot))}"
            raise InputError(f"{who} {given}; slots: {', '.join(settings.slots)}")
    if not draft.origin.slots or not set(draft.origin.slots) <= set(draft.losses):
        new, has = (", ".join(one) or "none" for one in (draft.origin.slots, draft.losses))
        raise InputError(f"{who} a draft whose origin names as new: {new}; its losses: {has}")
    return draft

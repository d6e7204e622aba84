"""Schedule: one strategy after the other, each for so many candidates."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from autoloss.proposals.strategy import short
from autoloss.search.strategies.breeding import whole
from autoloss.search.strategies.standing import Standing
from autoloss.search.strategies.strategy import Draft, Gates, Strategy, build
from autoloss.settings import Settings

_FORM = "steps is a list such as [('random', 64), (dict(type='ageing', population=20), 128)]"


class Schedule:
    """Steps in their order; the last one goes on to the end of the search.

    Args:
        settings: of the search.
        steps: a strategy, by name or as a config has one, and the number of candidates that it proposes.
    """

    def __init__(self, settings: Settings, steps: Sequence[Sequence[Any]] = ()) -> None:
        if not isinstance(steps, (list, tuple)) or not steps:
            raise TypeError(f"{_FORM}, got {steps!r:.100}")
        self._steps: list[tuple[Strategy, int]] = []
        for place, step in enumerate(steps, start=1):
            if not isinstance(step, (list, tuple)) or len(step) != 2:
                raise TypeError(f"{_FORM}; step {place} is {step!r:.100}")
            self._steps.append((_strategy(settings, step[0], place), whole(f"the number of step {place}", step[1])))

    def tell(self, standing: Standing) -> None:
        """Tells every strategy."""
        for strategy, _ in self._steps:
            strategy.tell(standing)

    def ask(self, rng: random.Random, gates: Gates) -> Draft:
        """What the strategy proposes whose turn it is."""
        left = gates.before
        for strategy, count in self._steps:
            if left < count:
                return strategy.ask(rng, gates)
            left -= count
        return self._steps[-1][0].ask(rng, gates)


def _strategy(settings: Settings, given: Any, place: int) -> Strategy:
    spec = given if isinstance(given, dict) else {"type": given}
    try:
        name = short(spec.get("type"))
    except ValueError as error:
        raise TypeError(f"step {place}: {error}") from None
    if name == "schedule":
        raise TypeError(f"step {place} is a schedule; a step is another strategy")
    return build(settings, {**spec, "type": name})

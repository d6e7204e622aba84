"""Field: predictions that move freely under a loss alone, without a network, and what became of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Outcome:
    """One number that a simulation comes to.

    Args:
        name: of the number.
        text: for people.
        least: what a loss must reach to pass; None where nothing is asked. Known losses reach more by a margin.
        low: lowest value that may be asked.
        grace: how much less the second edition of the rules asks; see `Grammar`.
    """

    name: str
    text: str
    least: float | None
    low: float = 0.0
    grace: float = 0.0


@dataclass(frozen=True)
class Descent:
    """What a simulation came to.

    Args:
        numbers: the outcomes by name.
        curve: mean progress at every step.
        final: where every prediction ended; see `Field.outcome`.
        steps: taken.
        broken: what ended it where it could not go on, else empty.
    """

    numbers: Mapping[str, float]
    curve: tuple[float, ...]
    final: Tensor
    steps: int
    broken: str = ""


class Field(ABC):
    """N predictions on their way under each of M formulas: places (M, N, D).

    Args:
        start: (N, D) where they begin.
        chief: outcome below whose start a simulation is over.
        first_step: length of the first step.
    """

    start: Tensor
    chief: str
    first_step: float

    @abstractmethod
    def inputs(self, place: Tensor) -> dict[str, Tensor]:
        """Inputs of the formulas by name, (M, N) or (M, N, C)."""

    @abstractmethod
    def losses(self, values: Sequence[Tensor], seen: Mapping[str, Tensor], alpha: float | None) -> Sequence[Tensor]:
        """Losses (N,) of every formula from its values on the inputs that were seen."""

    @abstractmethod
    def progress(self, place: Tensor, seen: Mapping[str, Tensor]) -> Tensor:
        """How far some of the predictions are, (M, K); called once at every step."""

    @abstractmethod
    def numbers(self, place: Tensor, which: Sequence[int]) -> list[dict[str, float]]:
        """Outcomes of some of the formulas."""

    @abstractmethod
    def outcome(self, place: Tensor, index: int) -> Tensor:
        """Where the predictions of one formula are."""

    def time(self, share: float) -> None:  # noqa: B027  most have no clock
        """So much of the descent is over."""

    def keep(self, kept: list[int]) -> None:  # noqa: B027  most have nothing but the places
        """Only these formulas go on."""


Descend = Callable[[Field], Descent]
"""Runs one formula's simulation to its end, from the predictions of a field."""

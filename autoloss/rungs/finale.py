"""Finale: after the last generation, the best found against the detector's own loss and the known losses."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from pydantic import Field, model_validator

from autoloss.rungs.rung import DESCEND, Rung
from autoloss.values import Count, Section


class Finale(Section):
    """The comparison after the last generation.

    Args:
        rung: what they are trained for; its score is the mean over its seeds.
        count: how many of the best found take part.
        known: rows of `known` (by position) that take part beside the detector's own loss.
        race: how many of the best found are trained with each seed of the rung, in order: 8, 8, 4, 2 trains eight with
            the first two seeds, the better four with the third, the better two with the fourth. None: all with every
            seed, as what they are compared with always is.
        check: a short training of the whole detector for those in line; one that falls below its `keep.of_own` gives
            its place in the finale to the next. It does not rank.

    Source: successive halving, Karnin, Koren and Somekh 2013 (ICML), over seeds in place of arms' pulls.
    """

    rung: Rung
    count: Count = 3
    known: list[int] = Field(default=[])
    race: list[Count] | None = None
    check: Rung | None = None

    @property
    def rungs(self) -> list[Rung]:
        """In the order they are climbed."""
        return [*([self.check] if self.check else []), self.rung]

    def rounds(self) -> Iterator[tuple[int, list[int]]]:
        """How many of the found are trained with which seeds, one round after the other."""
        counts = self.race or [self.count] * len(self.rung.seeds)
        for count, pairs in itertools.groupby(zip(counts, self.rung.seeds, strict=True), key=lambda pair: pair[0]):
            yield count, [seed for _, seed in pairs]

    def shrunk(self, divisor: int) -> Finale:
        """The same with so many times fewer of the best."""
        race = self.race and [max(count // divisor, 1) for count in self.race]
        return self.model_copy(update={"count": self.count // divisor, "race": race})

    @model_validator(mode="after")
    def _consistent(self) -> Finale:
        if self.rung.descends:
            raise ValueError(f"the finale compares trained detectors; {DESCEND!r} trains none")
        if self.rung.keep.more_seeds:
            raise ValueError("nobody goes on from the finale, so more_seeds settle nothing; race says who gets which")
        if len(set(self.known)) != len(self.known):
            raise ValueError(f"finale.known names a row twice: {', '.join(map(str, self.known))}")
        self._check_race()
        self._check_check()
        return self

    def _check_race(self) -> None:
        race, seeds = self.race, len(self.rung.seeds)
        if race is None:
            return
        shown = ", ".join(map(str, race))
        if len(race) != seeds:
            raise ValueError(
                f"finale.race has a number for each of the {seeds} seeds of its rung, got {shown or 'none'}"
            )
        if race[0] != self.count:
            raise ValueError(f"finale.race begins with finale.count, {self.count}, got {shown}")
        if any(later > before for before, later in itertools.pairwise(race)):
            raise ValueError(f"in finale.race nobody comes back, so numbers only fall, got {shown}")

    def _check_check(self) -> None:
        keep = self.check.keep if self.check else None
        if keep is not None and (keep.of_own is None or keep.share or keep.count or keep.more_seeds):
            raise ValueError("finale.check finds what collapses: its keep has of_own, and nothing else")

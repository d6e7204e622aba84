"""Visits: how many candidates a search leads to which rung, and with how many seeds; pure functions of its settings."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from autoloss.rungs.finale import Finale
from autoloss.rungs.rung import Rung
from autoloss.search import ladder
from autoloss.settings import Settings


@dataclass(frozen=True)
class Visit:
    """Candidates that are evaluated at a rung in one go.

    Args:
        losses: how many candidates.
        seeds: trainings of each.
        again: whether they have been there before, with other seeds.
    """

    losses: int
    seeds: int = 1
    again: bool = False


def reaching(settings: Settings, passing: bool = True) -> dict[str, list[Visit]]:
    """Visits to every rung, in order.

    Args:
        settings: of the search.
        passing: whether every candidate found passes `keep.of_own` and is so near a cut that it gets every seed, or
            none is. Nobody fails, and nobody that passes collapses at the finale's check.
    """
    found = settings.births
    visits: dict[str, list[Visit]] = {}
    for rung in settings.ladder:
        visits[rung.name] = list(_climbing(settings, rung, found, passing))
        ranking, found = found, kept(rung, found, passing)
    if settings.finale:
        visits |= final(settings, settings.finale, ranking * settings.generations)
    return visits


def _climbing(settings: Settings, rung: Rung, found: int, passing: bool) -> Iterator[Visit]:
    """Those of all generations to a rung of the ladder."""
    more = len(rung.keep.more_seeds)
    for generation in range(settings.generations):
        given = 0 if generation else settings.given
        yield Visit(given + found, len(rung.seeds))
        if more and given:
            yield Visit(given, more, again=True)
        if more and found and passing:
            yield from [Visit(found, 1, again=True)] * more


def final(settings: Settings, finale: Finale, line: int) -> dict[str, list[Visit]]:
    """Those to the rungs of the finale, for which so many stand in line."""
    visits, entering = {}, min(finale.count, line)
    if finale.check:
        visits[finale.check.name] = [Visit(1 + entering, len(finale.check.seeds))] if entering else []
    given = 1 + len(finale.known) + min(1, len(settings.controls))
    rounds = [Visit(given + min(count, line), len(seeds), again=True) for count, seeds in finale.rounds()]
    rounds[0] = replace(rounds[0], again=False)
    return {**visits, finale.rung.name: rounds}


def kept(rung: Rung, found: int, passing: bool) -> int:
    """How many of those that the search found go on from a rung."""
    scores = dict.fromkeys(range(found), 1.0)
    return len(ladder.promoted(scores, 0.0 if passing else math.inf, rung.keep))

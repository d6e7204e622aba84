"""Final: who takes part in the finale, and how it is run."""

from __future__ import annotations

from collections.abc import Sequence

from autoloss.candidate import OWN, Kind
from autoloss.rungs.finale import Finale
from autoloss.search.ladder import ranked
from autoloss.search.results import collapsed, mean_scores
from autoloss.search.runner import Runner


def compare(runner: Runner, finale: Finale) -> None:
    """Trains the best found beside the own loss, the known losses that the config names, and the best control.

    These have every seed; of the found those that a race leaves.
    """
    standing = runner.results.standing()
    of_kind = {kind: [n for n in standing if runner.candidates[n].kind is kind] for kind in Kind}
    given = [OWN, *(index + 1 for index in finale.known), *of_kind[Kind.CONTROL][:1]]
    left = entrants(runner, finale, of_kind[Kind.FOUND])
    _begin(runner, finale.rung.name)
    race(runner, finale, given, left)


def race(runner: Runner, finale: Finale, given: Sequence[int], left: Sequence[int]) -> list[int]:
    """Those that stay to the end, best first, failed ones left out; each round has fewer of them.

    Args:
        runner: trains.
        finale: its rounds.
        given: candidates that have every seed.
        left: those that race, in their order.
    """
    seeds: list[int] = []
    for count, more in finale.rounds():
        if seeds:
            left = _standing(runner, finale, seeds, left)
        left = left[:count]
        runner.evaluate([*given, *left], finale.rung.with_seeds(more))
        seeds += more
    return _standing(runner, finale, seeds, left)


def _standing(runner: Runner, finale: Finale, seeds: Sequence[int], left: Sequence[int]) -> list[int]:
    scores = mean_scores(runner.results.scored(finale.rung), seeds)
    return ranked({number: scores[number] for number in left if number in scores})


def entrants(runner: Runner, finale: Finale, line: Sequence[int]) -> list[int]:
    """Candidates that may enter, in the order of the line; one that collapses at the check lets the next one in."""
    if finale.check is None or not line:
        return list(line[: finale.count])
    _begin(runner, finale.check.name)
    found: list[int] = []
    waiting, seen = list(line), {OWN}
    while waiting and len(found) < finale.count:
        places = finale.count - len(found)
        tried, waiting = waiting[:places], waiting[places:]
        runner.evaluate([OWN, *tried], finale.check)
        seen |= {*tried}
        fell = collapsed(runner.results.scored(finale.check, seen), finale.check)
        found += [number for number in tried if number not in fell]
    return found


def _begin(runner: Runner, stage: str) -> None:
    runner.reporter.tell(generation=runner.settings.generations, stage=stage, done=0, total=0, running="")

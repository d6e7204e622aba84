"""Climb: a generation goes up the ladder; whoever is near a cut gets more seeds before it falls."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from autoloss.candidate import OWN, Evaluation, Kind
from autoloss.rungs.rung import Rung
from autoloss.search import ladder
from autoloss.search.results import rung_noise, rung_scores
from autoloss.search.runner import Runner


def climb(runner: Runner, generation: int, numbers: Sequence[int]) -> None:
    """Leads a generation up the ladder.

    Args:
        runner: evaluates.
        generation: its number.
        numbers: of its candidates.
    """
    passed: list[Mapping[int, float]] = []
    so_far = {number for number, one in runner.candidates.items() if one.generation <= generation}
    # What was given is measured at every rung: what is found must be better than that.
    given = [number for number in numbers if runner.candidates[number].kind is not Kind.FOUND]
    for rung in runner.settings.ladder:
        runner.evaluate(numbers, rung)
        more = rung.keep.more_seeds
        scores = _settled(runner, generation, numbers, rung, passed) if more else runner.results.scores(rung, so_far)
        here = {number: scores[number] for number in numbers if number in scores}
        found = {number: score for number, score in here.items() if number not in given}
        up = ladder.promoted(found, scores[OWN], rung.keep, passed, rung.ranks)
        numbers = [*(number for number in given if number in here), *up]
        passed += [here] if rung.ranks else []


def _settled(
    runner: Runner, generation: int, numbers: Sequence[int], rung: Rung, passed: Sequence[Mapping[int, float]]
) -> dict[int, float]:
    """Scores by which candidates go on: after a seed more, and another, of those whose side of the cut noise may say.

    What was given has every seed from the first, so there is a noise to tell, and what a seed does to all.

    Source: races, Maron and Moore 1994 (NIPS 6), with the interval of a t test in place of Hoeffding's bound.
    """
    given = runner.settings.given
    runner.evaluate([number for number in numbers if number < given], rung.with_seeds(rung.keep.more_seeds))
    seeds, open_ = list(rung.seeds), {number for number in numbers if number >= given}
    for seed in rung.keep.more_seeds:
        seen = _seen(runner, generation, rung, seeds)
        scores, noise = rung_scores(seen, rung, given), rung_noise(seen)
        margin = noise.margin(len(seeds)) if noise else math.inf
        mine = {number: scores[number] for number in numbers if number >= given and number in scores}
        open_ &= ladder.contested(mine, scores[OWN], rung.keep, margin, passed, rung.ranks)
        if not open_:
            break
        runner.evaluate(sorted(open_), rung.with_seeds([seed]))
        seeds.append(seed)
    return rung_scores(_seen(runner, generation, rung, seeds), rung, given)


def _seen(runner: Runner, generation: int, rung: Rung, seeds: Sequence[int]) -> list[Evaluation]:
    """What a search without interruptions has seen of a rung by now, whatever a resumed one holds already."""
    births, given = runner.candidates, runner.settings.given
    so_far = {number for number, one in births.items() if one.generation <= generation}
    return [
        one
        for one in runner.results.scored(rung, so_far)
        if births[one.candidate].generation < generation
        or one.candidate < given
        or (births[one.candidate].generation == generation and one.seed in seeds)
    ]

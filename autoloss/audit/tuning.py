"""Tuning: the weights of a loss, on the ladder of the search and with as many evaluations as a finalist had."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from autoloss.audit.contestants import Contestant, scaled
from autoloss.candidate import OWN, Candidate, How, Kind, Loss, Origin
from autoloss.rungs.finale import Finale
from autoloss.search import ladder
from autoloss.search.runner import Runner
from autoloss.search.selection.final import race
from autoloss.store.run import Run
from primitives.catalog import known_loss, slots

MOST = 4.0
"""Factor of a weight; the least is its inverse."""
LEAST = 9
"""Evaluations a slot, steps of half an octave."""


def evaluations(search: Run, finalists: Sequence[Contestant]) -> dict[str, int]:
    """How many evaluations each slot of a finalist had, that which had most: its line, and what it was chosen from.

    These are the candidates in which the slot was varied and that share a parent with the finalist or one of its
    ancestors, and, where one of these was drawn at random, all that were; at least `LEAST`.
    """
    found = {one.number: one for one in search.candidates() if one.kind is Kind.FOUND}
    most = dict.fromkeys((slot for slot in slots() if slot in search.settings.slots), LEAST)
    for finalist in finalists:
        line = _line(found, finalist.candidate)
        parents = {parent for one in line for parent in one.parents}
        drawn = any(not one.parents for one in line)
        chosen_from = [one for one in found.values() if parents & {*one.parents} or (drawn and not one.parents)]
        for slot in most:
            count = sum(slot in one.origin.slots or not one.origin.slots for one in chosen_from)
            most[slot] = max(most[slot], count)
    return most


def _line(found: Mapping[int, Candidate], number: int | None) -> list[Candidate]:
    """A candidate and its ancestors, as far as they were found."""
    line: dict[int, Candidate] = {}
    todo = [number]
    while todo:
        one = found.get(todo.pop() or OWN)
        if one is not None and one.number not in line:
            line[one.number] = one
            todo += one.parents
    return list(line.values())


def factors(count: int) -> list[float]:
    """So many from a quarter to four, one more where 1 would not be among them; even steps of their logarithm."""
    half = count // 2
    return [float(f"{MOST ** (step / max(half, 1)):.4g}") for step in range(-half, half + 1)]


def tuned(
    runner: Runner, of: Contestant, control: str, trials: Mapping[str, int], finale: Finale | None = None
) -> Contestant:
    """A loss with the best of the weights that the ladder ranks first, one slot after another, or as it was.

    Args:
        runner: of the audit, whose candidates and ladder are used.
        of: whose weights are tuned.
        control: what it is called then.
        trials: evaluations of each slot.
        finale: the race that as many of them run as finalists did, beside the weights as they were; None for no race.
    """
    as_it_was = dict.fromkeys(trials, 1.0)
    best, tried = dict(as_it_was), dict[int, dict[str, float]]()
    ranked: list[int] = []
    for slot, count in trials.items():
        now = {_number(runner, of, {**best, slot: factor}): {**best, slot: factor} for factor in factors(count)}
        tried |= now
        ranked = _climbed(runner, [*now])
        best = now[ranked[0]] if ranked else best
    if finale is not None:
        plain = _number(runner, of, as_it_was)
        line = [number for number in ranked if number != plain]
        left = race(runner, finale, [plain], line)
        scores = runner.results.scores(finale.rung)
        first = max((one for one in (plain, *left[:1]) if one in scores), key=lambda one: scores[one], default=plain)
        best = {plain: as_it_was, **tried}[first]
    return replace(of, control=control, factors=best)


def _number(runner: Runner, of: Contestant, factors: Mapping[str, float]) -> int:
    """Of the candidate with such weights, born where there is none."""
    losses = scaled(runner.settings, of.losses, factors)
    there = number_of(runner, losses)
    if there is not None:
        return there
    return born(runner, losses, Origin(How.CONTROL, titles=_titles(runner, of, losses, factors)))


def number_of(runner: Runner, losses: Mapping[str, Loss]) -> int | None:
    """Of the candidate with these losses; None where there is none."""
    return next((number for number, one in runner.candidates.items() if one.losses == losses), None)


def born(runner: Runner, losses: Mapping[str, Loss], origin: Origin) -> int:
    """Number of a new candidate."""
    one = Candidate(len(runner.candidates), Kind.CONTROL, 0, losses, origin, (), False)
    runner.store.born([one], [])
    runner.candidates[one.number] = one
    return one.number


def _titles(
    runner: Runner, of: Contestant, losses: Mapping[str, object], factors: Mapping[str, float]
) -> tuple[str, ...]:
    names = dict(zip(of.losses, of.origin.titles, strict=False))
    own = {slot: known_loss(rules.like).title for slot, rules in runner.settings.slots.items()}
    return tuple(f"{names.get(slot, own[slot])} x {factors.get(slot, 1.0):g}" for slot in losses)


def _climbed(runner: Runner, numbers: Sequence[int]) -> list[int]:
    """Those that climb the ladder, best first; the detector's own loss is measured at every rung."""
    passed: list[dict[int, float]] = []
    last: dict[int, float] = {}
    for rung in runner.settings.ladder:
        runner.evaluate([*{OWN, *numbers}], rung)
        scores = runner.results.scores(rung)
        last = {number: scores[number] for number in numbers if number in scores}
        numbers = ladder.promoted(last, scores[OWN], rung.keep, passed, rung.ranks)
        passed += [last] if rung.ranks else []
    counting = passed if runner.settings.ladder[-1].ranks else [*passed, last]
    return ladder.mean_ranked(counting)

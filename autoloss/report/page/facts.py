"""Facts: what a run tells beside its leaderboard: generations, the Pareto front, lineage, classes, failures."""

from __future__ import annotations

import re
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from autoloss.candidate import GATES, Candidate, Evaluation, Kind, Loss, Refusal, State

_OF_CLASS = "AP of "
_SET_UP = re.compile(r"[0-9]+: ")
"""Before the names of metrics where there are several set-ups."""


@dataclass(frozen=True)
class Generation:
    """Scores of what a generation found.

    Args:
        number: of the generation.
        scores: of its candidates, best first.
        best: of all generations so far.
    """

    number: int
    scores: tuple[float, ...]
    best: float

    @property
    def median(self) -> float:
        """Of its scores."""
        return statistics.median(self.scores)


def generations(candidates: Iterable[Candidate], scores: Mapping[int, float]) -> list[Generation]:
    """Every generation with scores at one rung, in order.

    Args:
        candidates: of the run.
        scores: mean score at the rung, by number.
    """
    born: dict[int, list[float]] = {}
    for one in candidates:
        if one.kind is Kind.FOUND and one.number in scores:
            born.setdefault(one.generation, []).append(scores[one.number])
    found: list[Generation] = []
    for number in sorted(born):
        mine = tuple(sorted(born[number], reverse=True))
        found.append(Generation(number, mine, max(mine[0], found[-1].best if found else mine[0])))
    return found


@dataclass(frozen=True)
class Step:
    """A candidate on the way to another, beside those it descends from.

    Args:
        candidate: the one.
        changed: by slot, the loss it had in a parent, where it is another now; None where no parent has that slot.
        kept: number of the parent that a slot was taken from, by slot.
        gain: score less that of the best parent; None where one of them has none.
    """

    candidate: Candidate
    changed: Mapping[str, Loss | None]
    kept: Mapping[str, int]
    gain: float | None


def lineage(candidates: Sequence[Candidate], number: int, scores: Mapping[int, float]) -> list[Step]:
    """A candidate's ancestors and itself, oldest first.

    Args:
        candidates: of the run, in the order of their numbers.
        number: of the candidate.
        scores: mean score at one rung, by number.
    """
    wanted, ahead = {number}, [number]
    while ahead:
        for parent in candidates[ahead.pop()].parents:
            if parent not in wanted:
                wanted.add(parent)
                ahead.append(parent)
    return [_step(candidates[one], candidates, scores) for one in sorted(wanted)]


def _step(one: Candidate, candidates: Sequence[Candidate], scores: Mapping[int, float]) -> Step:
    parents = [candidates[parent] for parent in one.parents]
    changed: dict[str, Loss | None] = {}
    kept: dict[str, int] = {}
    for slot, loss in one.losses.items() if parents else ():
        same = [two.number for two in parents if slot in two.losses and two.losses[slot].expression == loss.expression]
        if same:
            kept[slot] = same[0]
        else:
            changed[slot] = next((two.losses[slot] for two in parents if slot in two.losses), None)
    before = [scores[two.number] for two in parents if two.number in scores]
    gain = scores[one.number] - max(before) if before and one.number in scores else None
    return Step(one, changed, kept, gain)


def metrics_at(evaluations: Iterable[Evaluation], rung: str, number: int) -> dict[str, float]:
    """Mean of every metric of a candidate over the seeds of a rung."""
    found: dict[str, list[float]] = {}
    for one in evaluations:
        if (one.candidate, one.rung, one.state) == (number, rung, State.DONE):
            for name, value in one.metrics.items():
                found.setdefault(name, []).append(value)
    return {name: statistics.fmean(values) for name, values in found.items()}


def by_class(metrics: Mapping[str, float]) -> dict[str, float]:
    """Average precision by the name of the class."""
    found = ((_SET_UP.sub("", name), value, _SET_UP.match(name)) for name, value in metrics.items())
    return {
        f"{place[0] if place else ''}{name.removeprefix(_OF_CLASS)}": value
        for name, value, place in found
        if name.startswith(_OF_CLASS)
    }


def examples(refusals: Iterable[Refusal]) -> dict[str, Refusal]:
    """A refused formula for each gate that refused any: the one that reads best, neither trivial nor long."""
    found: dict[str, Refusal] = {}
    for one in refusals:
        if one.gate not in found or _reads(one) < _reads(found[one.gate]):
            found[one.gate] = one
    return {gate: found[gate] for gate in GATES if gate in found}


def _reads(one: Refusal) -> int:
    """How far its length is from that of a formula that one takes in at a glance."""
    return abs(len(one.expression) - 30)


def failures(evaluations: Iterable[Evaluation]) -> list[tuple[str, str, int, int]]:
    """Why evaluations failed: rung, reason, how many, and the number of the first candidate; most frequent first."""
    count: Counter[tuple[str, str]] = Counter()
    first: dict[tuple[str, str], int] = {}
    for one in evaluations:
        if one.state is State.FAILED:
            why = (one.rung, (one.error or "").strip().split("\n")[0])
            count[why] += 1
            first.setdefault(why, one.candidate)
    return [(*why, times, first[why]) for why, times in count.most_common()]


def seconds_by_rung(evaluations: Iterable[Evaluation]) -> dict[str, float]:
    """Time of all evaluations together, by rung."""
    found: dict[str, float] = {}
    for one in evaluations:
        found[one.rung] = found.get(one.rung, 0.0) + one.seconds
    return found

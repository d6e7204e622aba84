"""Ladder: who goes on to the next rung; pure functions of scores."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence

from autoloss.rungs.rung import Keep


def ranked(scores: Mapping[int, float]) -> list[int]:
    """Candidates, best score first; equal scores in the order of their numbers."""
    return sorted(scores, key=lambda number: (-scores[number], number))


def mean_ranked(rungs: Sequence[Mapping[int, float]]) -> list[int]:
    """Candidates of the last rung by their mean rank over all rungs; equal ones as the last rung ranks them.

    Args:
        rungs: scores of the rungs that candidates passed, in order.
    """
    last = ranked(rungs[-1]) if rungs else []
    ranks: dict[int, list[int]] = {number: [] for number in last}
    for scores in rungs:
        for rank, number in enumerate(ranked({number: scores[number] for number in last if number in scores})):
            ranks[number].append(rank)
    return sorted(last, key=lambda number: statistics.fmean(ranks[number]))


def promoted(
    scores: Mapping[int, float],
    own: float,
    keep: Keep,
    before: Sequence[Mapping[int, float]] = (),
    ranks: bool = True,
) -> list[int]:
    """Candidates that go on, best mean rank first.

    Args:
        scores: score of each candidate of the rung that finished, higher is better.
        own: score of the detector's own loss at this rung.
        keep: the rules of the rung; all of them must hold.
        before: scores at the rungs passed before that count.
        ranks: whether those of this rung count too; they do where there are no others.
    """
    counting = before if before and not ranks else [*before, scores]
    kept = [number for number in mean_ranked(counting) if number in scores]
    if keep.of_own is not None:
        kept = [number for number in kept if scores[number] >= keep.of_own * own]
    return kept[: _most(keep, len(scores))]


def contested(
    scores: Mapping[int, float],
    own: float,
    keep: Keep,
    margin: float,
    before: Sequence[Mapping[int, float]] = (),
    ranks: bool = True,
) -> set[int]:
    """Candidates that noise may have put on their side of a cut.

    Whoever goes on is compared with the best that does not, whoever does not with the last that does, and both with the
    least score that `of_own` asks for.

    Args:
        scores, own, keep, before, ranks: as of `promoted`.
        margin: greatest difference that noise makes.
    """
    found: set[int] = set()
    above = set(scores)
    if keep.of_own is not None:
        least = keep.of_own * own
        found = {number for number, score in scores.items() if abs(score - least) <= margin}
        above = {number for number, score in scores.items() if score >= least}
    kept = promoted(scores, own, keep, before, ranks)
    if left := above.difference(kept):
        last, first = min(scores[number] for number in kept), max(scores[number] for number in left)
        found |= {number for number in kept if scores[number] - first <= margin}
        found |= {number for number in left if last - scores[number] <= margin}
    return found


def _most(keep: Keep, total: int) -> int:
    """How many of so many the rules let go on at most."""
    shares = [] if keep.share is None else [math.ceil(keep.share * total)]
    counts = [] if keep.count is None else [keep.count]
    return min([*shares, *counts, total])

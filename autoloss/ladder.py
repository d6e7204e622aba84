"""Ladder: who goes on to the next rung; pure functions of scores."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Protocol


class KeepRule(Protocol):
    """The rules of a rung; None where a rule is not used."""

    @property
    def of_own(self) -> float | None:
        """Least share of the own loss's score."""

    @property
    def share(self) -> float | None:
        """Best share that goes on."""

    @property
    def count(self) -> int | None:
        """Best number that goes on."""


def ranked(scores: Mapping[int, float]) -> list[int]:
    """Candidates, best score first; equal scores in the order of their numbers."""
    return sorted(scores, key=lambda number: (-scores[number], number))


def promoted(scores: Mapping[int, float], own: float, keep: KeepRule) -> list[int]:
    """Candidates that go on, best first.

    Args:
        scores: score of each candidate of the rung that finished, higher is better.
        own: score of the detector's own loss at this rung.
        keep: the rules of the rung; all of them must hold.
    """
    kept = ranked(scores)
    if keep.of_own is not None:
        kept = [number for number in kept if scores[number] >= keep.of_own * own]
    if keep.share is not None:
        kept = kept[: math.ceil(keep.share * len(scores))]
    if keep.count is not None:
        kept = kept[: keep.count]
    return kept

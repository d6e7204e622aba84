"""Standing: the candidates that climbed the whole ladder, best first, and what they scored on the way."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import overload

import numpy as np

from autoloss.candidate import Candidate

Scores = Mapping[int, Sequence[float]]
"""Of the candidates that finished at a rung, by number: one a seed."""


class Standing(Sequence[Candidate]):
    """Candidates in the order of the search, by mean rank: a sequence of them, and their scores.

    Args:
        candidates: best first.
        rungs: scores at every rung that ranks, in the order they are climbed; of the last one all candidates have some.
    """

    def __init__(self, candidates: Iterable[Candidate] = (), rungs: Sequence[Scores] = ()) -> None:
        self._candidates, self._rungs = tuple(candidates), tuple(rungs)
        self._place = {one.number: place for place, one in enumerate(self._candidates)}

    @overload
    def __getitem__(self, index: int) -> Candidate: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Candidate]: ...
    def __getitem__(self, index: int | slice) -> Candidate | Sequence[Candidate]:
        return self._candidates[index]

    def __len__(self) -> int:
        return len(self._candidates)

    @property
    def breeding(self) -> Sequence[Candidate]:
        """Those that may have children, best first."""
        return [one for one in self if one.breeds]

    def score(self, one: Candidate) -> float:
        """Mean over the seeds at the last rung; where there are no scores its place says as much."""
        last = self._rungs[-1] if self._rungs else {}
        return float(np.mean(last[one.number])) if one.number in last else -float(self._place[one.number])

    @property
    def noise(self) -> float:
        """Standard error of a difference between two scores at the last rung; 0 where one seed tells nothing of it.

        Candidates share seeds, so what a seed adds to all of them is no noise: what is left of scores less their
        candidate's and their seed's mean. Those with less than half of the best score did not train, and are left out.
        """
        last = self._rungs[-1] if self._rungs else {}
        rows = [last[one.number] for one in self if one.number in last]
        seeds = min(map(len, rows), default=0)
        table = np.array([row[:seeds] for row in rows]).reshape(len(rows), seeds)
        table = table[table.mean(1) >= table.mean(1).max() / 2] if table.size else table
        if len(table) < 2 or seeds < 2:
            return 0.0
        left = table - table.mean(0) - table.mean(1, keepdims=True) + table.mean()
        variance = float((left**2).sum()) / ((len(table) - 1) * (seeds - 1))
        return math.sqrt(2 * variance / seeds)

    def beats(self, one: Candidate, other: Candidate) -> bool:
        """Whether the one stands before the other, and its score is better by more than the noise."""
        if self._place[one.number] > self._place[other.number]:
            return False
        return self.score(one) - self.score(other) > self.noise

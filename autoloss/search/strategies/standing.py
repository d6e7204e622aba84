"""Standing: the candidates that climbed the whole ladder, best first, and what they scored on the way."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import overload

from autoloss.candidate import Candidate
from autoloss.search.selection.noise import noise

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
        return statistics.fmean(last[one.number]) if one.number in last else -float(self._place[one.number])

    @property
    def noise(self) -> float:
        """Standard error of a difference between two scores at the last rung; 0 where the seeds tell nothing of it.

        Those with a seed that scores less than half of the best mean did not train, and are left out.
        """
        last = {number: dict(enumerate(row)) for number, row in (self._rungs[-1] if self._rungs else {}).items()}
        scores = {one.number: last[one.number] for one in self if one.number in last}
        best = max((statistics.fmean(row.values()) for row in scores.values()), default=0.0)
        known = noise(scores, best / 2)
        return known.error(min(map(len, scores.values()))) if known else 0.0

    def beats(self, one: Candidate, other: Candidate) -> bool:
        """Whether the one stands before the other, and its score is better by more than the noise."""
        if self._place[one.number] > self._place[other.number]:
            return False
        return self.score(one) - self.score(other) > self.noise

"""Told: a run, read once for a page."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from autoloss.candidate import Candidate, Evaluation, Refusal
from autoloss.report.detections.document import Detections, kept, rung_of
from autoloss.report.detections.seen import SeenSet, beside
from autoloss.report.leaderboard import Leaderboard, Row
from autoloss.report.page import facts
from autoloss.report.page.answer import Answer, answer, by_seed
from autoloss.search.selection.objective import relative
from autoloss.store.run import Run

_FEWEST = 3
"""Losses at two rungs that make a picture."""


@dataclass(frozen=True)
class Told:
    """A run, read once; `detections` are those of the best found and of the own loss, or none."""

    board: Leaderboard
    evaluations: list[Evaluation]
    candidates: list[Candidate]
    examples: dict[str, Refusal]
    answer: Answer
    shared: float
    worked_on: str
    detections: tuple[Detections, ...] = ()

    @classmethod
    def of(cls, run: Run) -> Told:
        """Of a run as it stands.

        Raises:
            InputError: the run, its audit or its detections cannot be read.
        """
        board = Leaderboard.of(run)
        evaluations = relative(run.evaluations(), board.settings.objective)
        return cls(
            board,
            evaluations,
            sorted((row.candidate for row in board.rows), key=lambda one: one.number),
            facts.examples(run.refusals()),
            answer(board, evaluations, run.directory),
            run.shared_seconds,
            run.worked_on,
            _detections(run, board),
        )

    @cached_property
    def by_candidate(self) -> Mapping[int, list[Evaluation]]:
        """Evaluations of each candidate, by rung and seed."""
        order = {rung: place for place, rung in enumerate(self.board.rungs)}
        found: dict[int, list[Evaluation]] = {}
        for one in self.evaluations:
            found.setdefault(one.candidate, []).append(one)
        return {n: sorted(some, key=lambda e: (order.get(e.rung, 99), e.seed)) for n, some in found.items()}

    @cached_property
    def rung(self) -> str:
        """The rung on which candidates of all generations are compared: the highest that any found one reached."""
        ladder = [rung.name for rung in self.board.settings.ladder]
        reached = [name for name in ladder if any(name in row.scores for row in self.board.found)]
        return reached[-1] if reached else ladder[-1]

    @cached_property
    def scores(self) -> dict[int, float]:
        """Mean scores there."""
        rows = self.board.rows
        return {row.candidate.number: row.scores[self.rung].mean for row in rows if self.rung in row.scores}

    @property
    def winner(self) -> Row | None:
        """What is recommended of what was found; before anything was trained the first that passed, or None."""
        return next(iter(self.board.picks() or self.board.found), None)

    def top_rung(self, row: Row) -> str:
        """The highest rung that a candidate reached; empty for none."""
        return next((name for name in reversed(self.board.rungs) if name in row.scores), "")

    def metrics(self, row: Row) -> dict[str, float]:
        """Means of its metrics there."""
        number = row.candidate.number
        return facts.metrics_at(self.by_candidate.get(number, ()), self.top_rung(row), number)

    @cached_property
    def seen(self) -> list[SeenSet]:
        """Images with what the best found and the own loss find in them, by data set; empty where that is not known."""
        return beside(self.detections, self.board.metric) if self.detections else []

    def paired_rungs(self) -> Iterator[tuple[str, str, dict[int, tuple[float, float]]]]:
        """Each rung beside the next and beside the dearest: names, and scores of those that have both."""
        names = [name for name in self.board.rungs if any(name in row.scores for row in self.board.rows)]
        means = {
            name: {
                number: statistics.fmean(found.values()) for number, found in by_seed(self.evaluations, name).items()
            }
            for name in names
        }
        steps = [(low, dear) for low, after in itertools.pairwise(names) for dear in (after, names[-1])]
        for low, dear in dict.fromkeys(steps):
            both = {
                number: (score, means[dear][number]) for number, score in means[low].items() if number in means[dear]
            }
            if len(both) >= _FEWEST:
                yield low, dear, both


def _detections(run: Run, board: Leaderboard) -> tuple[Detections, ...]:
    """Of the best found and of the own loss; none where one of them has none."""
    pair = (*board.picks(), *([board.own] if board.own else []))
    rung = rung_of(board.settings)
    found = [one for row in pair if (one := kept(run.directory, row.candidate, rung))]
    return tuple(found) if len(found) == 2 else ()

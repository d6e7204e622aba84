"""A runner whose scores are made up: what a search does with scores, without a search."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from types import SimpleNamespace
from typing import Any, cast

from autoloss.candidate import Candidate, Evaluation, How, Kind, Origin, State
from autoloss.rungs.rung import Rung
from autoloss.search.results import rung_scores, standing
from autoloss.search.runner import Runner
from autoloss.settings import Settings

Score = Callable[[int, Rung, int], float | None]
"""Of a candidate at a rung with a seed; None where it fails."""


class MadeUp:
    """Evaluates by a function; it is its own results.

    Args:
        settings: of the search; candidates are the given ones and `births` of each generation.
        score: of an evaluation.
        done: what ended before.
    """

    def __init__(self, settings: Settings, score: Score, done: Iterable[Evaluation] = ()) -> None:
        self.settings, self._score = settings, score
        self.done = list(done)
        self.visits: list[tuple[str, list[int], list[int]]] = []
        self.candidates = {}
        total = settings.given + settings.births * settings.generations
        for number in range(total):
            kind = Kind.OWN if number == 0 else Kind.KNOWN if number <= len(settings.known) else Kind.CONTROL
            found = number >= settings.given
            generation = max(number - settings.given, 0) // settings.births
            how = Origin(How.OTHER, titles=("made up",))
            self.candidates[number] = Candidate(number, Kind.FOUND if found else kind, generation, {}, how)
        self.results = self
        self.reporter = SimpleNamespace(tell=lambda **_: None)

    @property
    def runner(self) -> Runner:
        """As those take it who evaluate."""
        return cast(Runner, cast(Any, self))

    def evaluate(self, numbers: Sequence[int], rung: Rung) -> None:
        """What is missing."""
        self.visits.append((rung.name, list(numbers), list(rung.seeds)))
        ended = {(one.candidate, one.rung, one.seed) for one in self.done}
        for seed in rung.seeds:
            for number in numbers:
                if (number, rung.name, seed) not in ended:
                    score = self._score(number, rung, seed)
                    state = State.FAILED if score is None else State.DONE
                    error = "it does not train" if score is None else None
                    self.done.append(Evaluation(number, rung.name, seed, state, score, error=error))

    def ended(self, rung: Rung) -> list[Evaluation]:
        return [one for one in self.done if one.rung == rung.name]

    def scores(self, rung: Rung, among: object = None) -> dict[int, float]:
        return rung_scores(self.ended(rung), rung, self.settings.given)

    def scored(self, rung: Rung, among: object = None) -> list[Evaluation]:
        return self.ended(rung)

    def standing(self) -> list[int]:
        return standing(self.settings, self.scores)

    def seeds(self, number: int, rung: str) -> list[int]:
        """With which a candidate has been evaluated."""
        return [one.seed for one in self.done if (one.candidate, one.rung) == (number, rung)]

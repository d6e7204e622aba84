"""Places: who stands where in a run, what is recommended of it, and what it gains over the detector's own loss."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Sequence

from autoloss.candidate import OWN, Candidate, Evaluation, Kind, State
from autoloss.rungs.rung import Rung
from autoloss.search import results
from autoloss.search.selection import choice, noise
from autoloss.search.selection.choice import Choice
from autoloss.search.selection.noise import Difference
from autoloss.settings import Settings


class Places:
    """What the evaluations of a run decide.

    Args:
        settings: of the search.
        candidates: all of them.
        evaluations: all of them, as far as the search has come.
    """

    def __init__(self, settings: Settings, candidates: Sequence[Candidate], evaluations: Sequence[Evaluation]) -> None:
        self._settings, self._finale = settings, settings.finale
        self._of = {rung.name: [one for one in evaluations if one.rung == rung.name] for rung in settings.rungs}
        self._climbed = results.standing(settings, self._scores)
        check = self._finale.check if self._finale else None
        self._fell = results.collapsed(self._of[check.name], check) if check else set()
        if self._finale:  # who failed a whole training is taken home by nobody
            self._fell |= {one.candidate for one in self._of[self._finale.rung.name] if one.state is State.FAILED}
        self._reached = keys = self._keys([one.number for one in candidates])
        self.ranked = sorted(candidates, key=lambda one: keys[one.number])
        # What may be taken home, best first.
        self._found = [one.number for one in self.ranked if one.kind is Kind.FOUND and one.number not in self._fell]
        self._sizes = {one.number: one.size for one in candidates}

    def _scores(self, rung: Rung) -> dict[int, float]:
        return results.rung_scores(self._of[rung.name], rung, self._settings.given)

    def _keys(self, numbers: Sequence[int]) -> dict[int, tuple[float, ...]]:
        """Sort keys: by the highest rung reached, then by the finale's score, or as the search ranks: by mean rank.

        Who left the finale's race early stands behind those that stayed, and who collapsed at its check, or failed
        in it, behind all that climbed as far.
        """
        place = {number: place for place, number in enumerate(self._climbed)}
        names = [rung.name for rung in self._settings.ladder]
        final = self._finale.rung.name if self._finale else ""
        got: dict[int, dict[str, list[float]]] = {number: {} for number in numbers}
        for name, evaluations in self._of.items():
            for one in evaluations:
                if one.score is not None:
                    got[one.candidate].setdefault(name, []).append(one.score)
        keys: dict[int, tuple[float, ...]] = {}
        for number, mine in got.items():
            if final in mine:
                keys[number] = (0, -len(mine[final]), -statistics.fmean(mine[final]), number)
            elif number in place:
                keys[number] = (2 if number in self._fell else 1, place[number], number)
            else:
                reached = max((index for index, name in enumerate(names) if name in mine), default=-1)
                score = statistics.fmean(mine[names[reached]]) if reached >= 0 else 0.0
                keys[number] = (len(names) + 2 - reached, -score, number)
        return keys

    def over_own(self) -> dict[int, Difference]:
        """What candidates score over the own loss in the finale, those that have two seeds in common with it."""
        scores = noise.by_seed(self._of[self._finale.rung.name]) if self._finale else {}
        own = scores.pop(OWN, {})
        found = {number: noise.difference(mine, own) for number, mine in scores.items()}
        return {number: one for number, one in found.items() if one}

    def gains(self, number: int) -> dict[int, Difference]:
        """What a candidate scores over the others in the finale, those that have two seeds in common with it."""
        scores = noise.by_seed(self._of[self._finale.rung.name]) if self._finale else {}
        mine = scores.pop(number, {})
        found = {other: noise.difference(mine, theirs) for other, theirs in scores.items()}
        return {other: one for other, one in found.items() if one}

    def front(self) -> list[int]:
        """The Pareto front, by the last rung of the ladder, of what was found and climbed it all."""
        scores, climbed = self._scores(self._settings.ladder[-1]), set(self._climbed)
        return choice.front({number: scores[number] for number in self._found if number in climbed}, self._sizes)

    def furthest(self, numbers: Collection[int]) -> list[int]:
        """Of candidates those that may be taken home and came to the finale, or, where none did, up the ladder.

        Returns:
            Their numbers, best first.
        """
        among = [number for number in self._found if number in numbers]
        stages = [[number for number in among if self._reached[number][0] == stage] for stage in (0, 1)]
        return next(filter(None, stages), [])

    def choice(self) -> Choice | None:
        """Which of the found is recommended: by the finale where one got there, else by the last rung of the ladder."""
        for rung in (*([self._finale.rung] if self._finale else []), self._settings.ladder[-1]):
            ended = self._of[rung.name]
            found = choice.recommended(
                self._found, self._sizes, noise.by_seed(ended), rung.name, results.rung_noise(ended)
            )
            if found:
                return found
        return None

"""Leaderboard: what became of the losses of a run, best first; tables draw it, scripts get it as plain values."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from autoloss.candidate import GATES, OWN, Candidate, Crash, Evaluation, Kind, State
from autoloss.search.selection.choice import Choice
from autoloss.search.selection.noise import Difference
from autoloss.search.selection.objective import relative
from autoloss.search.selection.places import Places
from autoloss.settings import Settings
from autoloss.store.run import Run

_PUBLISHED = "CSE-Autoloss"


def titled(metric: str) -> str:
    """A metric as a sentence calls it."""
    return "COCO mAP" if metric == "mAP" else metric


@dataclass(frozen=True)
class Score:
    """Of a candidate at a rung.

    Args:
        mean: over the seeds.
        sd: standard deviation over them, None of one.
        seeds: how many have finished.
    """

    mean: float
    sd: float | None
    seeds: int

    def __str__(self) -> str:
        return f"{self.mean:.3f}{'' if self.sd is None else f' ± {self.sd:.3f}'}"


@dataclass(frozen=True)
class Row:
    """A candidate and how it fared.

    Args:
        candidate: with its losses.
        scores: by rung, of those where a seed has finished.
        error: of the highest rung at which it failed, None where it never did.
        over_own: what it scores over the detector's own loss in the finale, seed by seed; None where that is not known.
        pareto: whether it is on the front of score and size; see `Leaderboard.front`.
    """

    candidate: Candidate
    scores: Mapping[str, Score]
    error: str | None
    over_own: Difference | None = None
    pareto: bool = False

    def cell(self, rung: str) -> str:
        """The score at a rung as text; `failed`, or nothing, where there is none."""
        return str(self.scores[rung]) if rung in self.scores else "failed" if self.error else ""

    def plain_values(self) -> dict[str, Any]:
        """The row as JSON has it."""
        one = self.candidate
        return {
            "candidate": one.number,
            "generation": one.generation,
            "origin": str(one.origin),
            "kind": one.kind.value,
            "parents": list(one.parents),
            "losses": one.spec(),
            "certificates": one.certificates,
            "size": one.size,
            "scores": {rung: asdict(score) for rung, score in self.scores.items()},
            "error": self.error,
            "over_own": asdict(self.over_own) if self.over_own else None,
            "pareto": self.pareto,
        }


@dataclass(frozen=True)
class Counts:
    """How many formulas came how far.

    Args:
        proposed: by the search.
        refused: by each gate.
        passed: every gate.
        given: candidates that the search did not propose: own, known, controls.
        trained: by rung.
        failed: by rung.
    """

    proposed: int
    refused: Mapping[str, int]
    passed: int
    given: int
    trained: Mapping[str, int]
    failed: Mapping[str, int]


@dataclass(frozen=True)
class Spent:
    """Seconds of wall-clock time, and of all evaluations together."""

    wall: float
    evaluations: float


@dataclass(frozen=True)
class Evidence:
    """What a run says of one of its candidates.

    Args:
        row: of the candidate.
        rungs: names, lowest first.
        beside: rows of what it is compared with.
        metric: what the scores are.
    """

    row: Row
    rungs: Sequence[str]
    beside: Sequence[Row]
    metric: str = "mAP"


@dataclass(frozen=True)
class Leaderboard:
    """The candidates of a run, best first, and how they came about.

    Args:
        run: its directory.
        trained: what on what, as the evaluator describes it.
        rungs: names, lowest first, that of the finale last.
        rows: one per candidate.
        counts: from proposals to trainings.
        seconds: that it took.
        ended: by which budget; empty when by none.
        crashes: workers that were lost.
        settings: of the search.
        kept: the settings as the run file has them.
        front: candidates on the Pareto front of score at the last rung of the ladder and size, smallest first.
        choice: which one found is recommended; None where none is.
        gains: what that scores in the finale over every other, by number, where two seeds tell.
    """

    run: str
    trained: Mapping[str, Any]
    rungs: tuple[str, ...]
    rows: tuple[Row, ...]
    counts: Counts
    seconds: Spent
    ended: str
    crashes: tuple[Crash, ...]
    settings: Settings
    kept: Mapping[str, Any]
    front: tuple[int, ...] = ()
    choice: Choice | None = None
    gains: Mapping[int, Difference] = field(default_factory=dict)

    @classmethod
    def of(cls, run: Run) -> Leaderboard:
        """The leaderboard of a run as it stands."""
        settings, evaluations, candidates = run.settings, run.evaluations(), run.candidates()
        rungs = tuple(rung.name for rung in settings.rungs)
        scored = relative(evaluations, settings.objective)
        places = Places(settings, candidates, scored)
        front, over, choice = places.front(), places.over_own(), places.choice()
        by_candidate: dict[int, list[Evaluation]] = {candidate.number: [] for candidate in candidates}
        for one in scored:
            by_candidate[one.candidate].append(one)
        return cls(
            run=str(run.directory),
            trained=run.description,
            rungs=rungs,
            rows=tuple(
                _row(
                    candidate,
                    by_candidate[candidate.number],
                    rungs,
                    over.get(candidate.number),
                    candidate.number in front,
                )
                for candidate in places.ranked
            ),
            counts=_counts(run, candidates, evaluations, rungs),
            seconds=Spent(run.seconds, sum(one.seconds for one in evaluations)),
            ended=run.ended,
            crashes=tuple(run.crashes()),
            settings=settings,
            kept=run.kept_settings,
            front=tuple(front),
            choice=choice,
            gains=places.gains(choice.candidate) if choice else {},
        )

    def plain_values(self) -> dict[str, Any]:
        """Everything as JSON has it."""
        return {
            "run": self.run,
            "trained": self.trained,
            "rungs": list(self.rungs),
            "leaderboard": [row.plain_values() for row in self.rows],
            "funnel": asdict(self.counts),
            "seconds": asdict(self.seconds),
            "ended by": self.ended,
            "workers lost": [{**asdict(crash), "candidates": list(crash.candidates)} for crash in self.crashes],
            "settings": self.kept,
            "pareto": {"rung": self.settings.ladder[-1].name, "candidates": list(self.front)},
            "recommended": self._recommended(self.choice) if self.choice else None,
        }

    def _recommended(self, choice: Choice) -> dict[str, Any]:
        over = {title: asdict(gain) for title, gain in self.gained()}
        return {**asdict(choice), "rule": choice.rule, "over": over}

    def gained(self) -> list[tuple[str, Difference]]:
        """What the recommended one scores in the finale over what it must beat, seed by seed, where that is known."""
        rows = self.opponents(self.rungs[-1])
        return [(title, self.gains[number]) for title, row in rows if (number := row.candidate.number) in self.gains]

    def opponents(self, rung: str) -> list[tuple[str, Row]]:
        """What the best must beat at a rung, as a sentence calls it.

        That is the own loss, the own one with its best other weight, the best known loss, and the published pair.
        """
        rows = sorted((row for row in self.given if rung in row.scores), key=lambda row: -row.scores[rung].mean)
        kinds = {kind: [row for row in rows if row.candidate.kind is kind] for kind in Kind}
        searched = self.settings.slots.keys() - self.settings.fixed.keys()
        published = [row for row in kinds[Kind.KNOWN] if _is_published(row.candidate, searched)]
        chosen = [("the detector's own loss", kinds[Kind.OWN]), ("its best other weight", kinds[Kind.CONTROL])]
        if kinds[Kind.KNOWN][:1] != published[:1]:
            chosen.append(("the best known loss", kinds[Kind.KNOWN]))
        chosen.append(("the published pair", published))
        return [(_named(title, some[0].candidate), some[0]) for title, some in chosen if some]

    def picks(self, count: int = 1) -> list[Row]:
        """What was found and is taken home: the recommended one, then the others that were trained, best first."""
        first = self.choice.candidate if self.choice else None
        trained = [row for row in self.found if row.scores]
        return sorted(trained, key=lambda row: row.candidate.number != first)[:count]

    @property
    def metric(self) -> str:
        """What the scores are, as the evaluator calls it."""
        return str(self.trained.get("metric", "mAP"))

    @property
    def own(self) -> Row | None:
        """The detector's own loss, once it is there."""
        return next((row for row in self.rows if row.candidate.number == OWN), None)

    @property
    def found(self) -> list[Row]:
        """What the search found."""
        return [row for row in self.rows if row.candidate.kind is Kind.FOUND]

    @property
    def given(self) -> list[Row]:
        """What it is compared with: own, known, controls."""
        return [row for row in self.rows if row.candidate.kind is not Kind.FOUND]

    def evidence(self, row: Row) -> Evidence:
        """What stands here of a row, and of the given losses beside it."""
        return Evidence(row, self.rungs, [one for one in self.given if one is not row], self.metric)

    def best(self, count: int | None) -> Leaderboard:
        """The first rows; the detector's own loss is always among them."""
        rest = self.rows[count or len(self.rows) :]
        own = tuple(row for row in rest if row.candidate.number == OWN)
        return replace(self, rows=(*self.rows[:count], *own))


def _is_published(one: Candidate, slots: Collection[str]) -> bool:
    """Whether it is, in all of some slots, of the paper whose method the toolkit follows."""
    return one.losses.keys() >= {*slots} and all(title.startswith(_PUBLISHED) for title in one.origin.titles)


def _named(title: str, one: Candidate) -> str:
    return f"{title}: {' + '.join(one.origin.titles)}" if one.origin.titles else title


def _row(
    candidate: Candidate,
    evaluations: Sequence[Evaluation],
    rungs: Sequence[str],
    over_own: Difference | None,
    pareto: bool,
) -> Row:
    scores: dict[str, Score] = {}
    error = None
    for rung in rungs:
        mine = [e for e in evaluations if e.rung == rung]
        found = [e.score for e in mine if e.score is not None]
        error = next((e.error for e in mine if e.state is State.FAILED), error)
        if found:
            spread = statistics.stdev(found) if len(found) > 1 else None
            scores[rung] = Score(statistics.fmean(found), spread, len(found))
    return Row(candidate, scores, error, over_own, pareto)


def _counts(
    run: Run, candidates: Sequence[Candidate], evaluations: Sequence[Evaluation], rungs: Sequence[str]
) -> Counts:
    refused = run.refused_by_gate()
    born = sum(candidate.kind is Kind.FOUND for candidate in candidates)

    def ended(state: State) -> dict[str, int]:
        return {rung: len({e.candidate for e in evaluations if e.rung == rung and e.state is state}) for rung in rungs}

    return Counts(
        proposed=born + sum(refused.values()),
        refused={gate: refused.get(gate, 0) for gate in GATES},
        passed=born,
        given=len(candidates) - born,
        trained=ended(State.DONE),
        failed=ended(State.FAILED),
    )

"""Several: an evaluator that asks several others, so that a loss that fits one set-up alone is not chosen."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from autoloss.evaluator import BESIDE, Detecting, Evaluator, Measurable, SideBySide, build
from primitives.errors import InputError


def part(index: int, name: str) -> str:
    """Name of a metric of one of them, counted from 0."""
    return f"{index + 1}: {name}"


class SeveralEvaluators:
    """Evaluates with each; the score is the mean, metrics have the number of the evaluator before their names.

    What a search ranks by is made of these, see `autoloss.search.selection.objective`.

    Args:
        evaluators: `type` and arguments of each.
        objective: how scores over the own loss's become one, for people.
        beside: folders in which they look for the paths of their config.
    """

    def __init__(self, evaluators: Sequence[Mapping[str, Any]], objective: str, beside: Sequence[str] = ()) -> None:
        self._evaluators = [build({BESIDE: list(beside), **spec}) for spec in evaluators]
        self._objective = objective

    def prepare(self, slots: Mapping[str, str], tasks: Sequence[Mapping[str, object]]) -> None:
        """Lets each prepare, and says which of them cannot; see `Evaluator`."""
        for index, evaluator in enumerate(self._evaluators):
            try:
                evaluator.prepare(slots, tasks)
            except InputError as error:
                raise InputError(f"search.evaluators.{index}: {error}") from None

    def describe(self) -> dict[str, Any]:
        """What each trains on what."""
        each = [dict(evaluator.describe()) for evaluator in self._evaluators]
        metrics = dict.fromkeys(str(one.get("metric", "mAP")) for one in each)
        folders = list(dict.fromkeys(folder for one in each for folder in one.get(BESIDE, ())))
        detectors = dict.fromkeys(str(one.get("detector", "an evaluator of its own")) for one in each)
        metric = f"{self._objective} {' and '.join(metrics)} over own"
        return {
            "detector": " and ".join(detectors),
            "metric": metric,
            "evaluators": each,
            **({BESIDE: folders} if folders else {}),
        }

    def evaluate(
        self, losses: Mapping[str, Mapping[str, object]], rung: Mapping[str, object], seed: int
    ) -> dict[str, float]:
        """Metrics of one training by each."""
        return _together([one.evaluate(losses, rung, seed) for one in self._evaluators])

    def warm(self, rung: Mapping[str, object], seed: int) -> None:
        """Lets those that share something make it."""
        for evaluator in self._evaluators:
            if isinstance(evaluator, SideBySide):
                evaluator.warm(rung, seed)

    def evaluate_many(
        self, losses: Sequence[Mapping[str, Mapping[str, object]]], rung: Mapping[str, object], seed: int
    ) -> list[dict[str, float] | str]:
        """Metrics of every candidate by each, or the first reason why there are none."""
        columns = [_many(evaluator, losses, rung, seed) for evaluator in self._evaluators]
        found: list[dict[str, float] | str] = []
        for row in zip(*columns, strict=True):
            reasons = [part(index, one) for index, one in enumerate(row) if isinstance(one, str)]
            found.append(reasons[0] if reasons else _together([one for one in row if not isinstance(one, str)]))
        return found

    def detect(
        self, losses: Mapping[str, Mapping[str, object]], rung: Mapping[str, object], seed: int, most: int
    ) -> list[Mapping[str, Any]]:
        """What the detectors of those that can show it find."""
        showing = [evaluator for evaluator in self._evaluators if isinstance(evaluator, Detecting)]
        if not showing:
            raise InputError("search.evaluators: none shows detections; see Detecting in autoloss/evaluator.py")
        return [found for evaluator in showing for found in evaluator.detect(losses, rung, seed, most)]

    def measure_shared(self, rung: Mapping[str, object], seconds: float, folder: str) -> dict[str, float]:
        """What it costs by all of them; see `Measurable`."""
        found = [
            evaluator.measure_shared(rung, seconds, _own_folder(folder, index))
            for index, evaluator in enumerate(self._measurable())
        ]
        return _added([one for one in found if one])

    def measure(
        self,
        losses: Sequence[Mapping[str, Mapping[str, object]]],
        rung: Mapping[str, object],
        seconds: float,
        folder: str,
    ) -> dict[str, float]:
        """What an evaluation costs by all of them; see `Measurable`."""
        return _added(
            [
                evaluator.measure(losses, rung, seconds, _own_folder(folder, index))
                for index, evaluator in enumerate(self._measurable())
            ]
        )

    def _measurable(self) -> list[Measurable]:
        found: list[Measurable] = [evaluator for evaluator in self._evaluators if isinstance(evaluator, Measurable)]
        if len(found) < len(self._evaluators):
            raise InputError("search.evaluators: not all can be measured; see Measurable in autoloss/evaluator.py")
        return found


def _many(
    evaluator: Evaluator,
    losses: Sequence[Mapping[str, Mapping[str, object]]],
    rung: Mapping[str, object],
    seed: int,
) -> Sequence[Mapping[str, float] | str]:
    """Of every candidate, side by side where the evaluator can."""
    if isinstance(evaluator, SideBySide):
        return evaluator.evaluate_many(losses, rung, seed)
    return [evaluator.evaluate(one, rung, seed) for one in losses]


def _together(found: Sequence[Mapping[str, float]]) -> dict[str, float]:
    named = {part(index, name): value for index, one in enumerate(found) for name, value in one.items()}
    return {"score": statistics.fmean(float(one["score"]) for one in found), **named}


def _added(found: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Costs of one after the other: the iterations are those of the task, so they are as many."""
    names = dict.fromkeys(name for one in found for name in one)
    most = ("iterations", "memory_more")
    return {name: (max if name in most else sum)(one.get(name, 0.0) for one in found) for name in names}


def _own_folder(folder: str, index: int) -> str:
    place = Path(folder) / str(index)
    place.mkdir(exist_ok=True)
    return str(place)

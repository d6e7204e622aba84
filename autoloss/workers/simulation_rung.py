"""Simulation rung: an evaluator without a detector, for rungs of kind `descend`; and which evaluator a rung asks."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from autoloss.candidate import Loss
from autoloss.evaluator import Evaluator, build
from autoloss.gates import simulation
from autoloss.rungs.rung import DESCEND


class SimulationEvaluator:
    """Free boxes and logits descend under the losses alone; see `autoloss.gates.simulation`.

    Args:
        own: the known losses that stand for the detector's own in slots left out.
    """

    def __init__(self, own: Mapping[str, Loss]) -> None:
        self._own = own

    def prepare(self, slots: Mapping[str, str], tasks: Sequence[Mapping[str, object]]) -> None:
        """There is nothing to prepare."""

    def describe(self) -> dict[str, Any]:
        """Nothing is trained."""
        return {}

    def evaluate(
        self,
        losses: Mapping[str, Mapping[str, Any]],
        rung: Mapping[str, object],  # noqa: ARG002  it has no options
        seed: int,  # noqa: ARG002  its sample is fixed
    ) -> dict[str, float]:
        """Numbers of the descent, `score` among them."""
        return simulation.scored({**self._own, **{slot: Loss.of(loss) for slot, loss in losses.items()}})

    def warm(self, rung: Mapping[str, object], seed: int) -> None:
        """Candidates share nothing."""

    def evaluate_many(
        self, losses: Sequence[Mapping[str, Mapping[str, Any]]], rung: Mapping[str, object], seed: int
    ) -> list[dict[str, float]]:
        """One after another."""
        return [self.evaluate(one, rung, seed) for one in losses]

    def measure_shared(self, rung: Mapping[str, object], seconds: float, folder: str) -> dict[str, float]:  # noqa: ARG002
        """Candidates share nothing."""
        return {}

    def measure(
        self,
        losses: Sequence[Mapping[str, Mapping[str, Any]]],
        rung: Mapping[str, object],
        seconds: float,  # noqa: ARG002  it takes a fraction of a second whole
        folder: str,  # noqa: ARG002
    ) -> dict[str, float]:
        """The whole of it."""
        begin = time.perf_counter()
        self.evaluate_many(losses, rung, 0)
        return {"fixed": time.perf_counter() - begin, "iteration": 0.0, "evaluate": 0.0, "iterations": 0}


class Evaluators:
    """The evaluator that a config names, and the simulation: each has rungs of its own.

    Args:
        spec: of the evaluator, as the config has it.
        own: see `SimulationEvaluator`.
    """

    def __init__(self, spec: Mapping[str, Any], own: Mapping[str, Loss]) -> None:
        self.trained, self._simulated = build(spec), SimulationEvaluator(own)

    def of(self, task: Mapping[str, object]) -> Evaluator:
        """Who evaluates a rung with this task."""
        return self._simulated if task.get("kind") == DESCEND else self.trained

    def prepare(self, slots: Mapping[str, str], tasks: Sequence[Mapping[str, object]]) -> None:
        """Lets each prepare its own tasks; see `Evaluator`."""
        for evaluator in (self.trained, self._simulated):
            evaluator.prepare(slots, [task for task in tasks if self.of(task) is evaluator])

"""Budget: what the steps of a pipeline cost here, and what of a time each of them gets."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from autoloss.evaluator import Measurable, class_of
from autoloss.pipeline.kinds.kind import Costs
from autoloss.pipeline.kinds.table import KINDS
from autoloss.pipeline.plan import Pipeline, Step, placed
from autoloss.search import profiling
from autoloss.search.cost_model import MachineCosts
from autoloss.settings import Settings
from primitives.errors import InputError

Projected = Mapping[str, Costs]
"""Costs of every step by its name; empty of one that nothing is known of."""


def projected(pipeline: Pipeline, steps: Sequence[Step], seconds: float, watch: profiling.Watch) -> dict[str, Costs]:
    """What steps cost here, by doing a little of everything that their searches do; alike ones are measured once.

    Args:
        pipeline: that they are of.
        steps: some of its steps.
        seconds: about so many for each thing that is measured.
        watch: sees the progress.
    """
    measured: dict[str, MachineCosts] = {}
    found: dict[str, Costs] = {}
    for step in steps:
        costs = _NOTHING
        with placed(step.name):
            settings = KINDS[step.kind].measured(pipeline, step)
            if settings is not None:
                key = _key(settings)
                if not issubclass(class_of(settings.evaluator_spec), Measurable):
                    found[step.name] = {}
                    continue
                if key not in measured:
                    measured[key] = profiling.measure_costs(settings, seconds, watch)
                costs = measured[key]
            found[step.name] = KINDS[step.kind].costs(pipeline, step, costs)
    return found


_NOTHING = MachineCosts("", 1, 1, 0.0, 0.0, (0.0, 0.0), {})


def _key(settings: Settings) -> str:
    """The same of searches whose parts cost the same."""
    kept: dict[str, Any] = settings.identity()  # but for what is proposed, and how often
    for name in ("seed", "generations", "births", "known", "controls", "init", "fixed", "strategy"):
        kept.pop(name)
    return json.dumps([kept, settings.workers], sort_keys=True)


def digest(pipeline: Pipeline, step: Step) -> str:
    """The same while what a step costs here is the same."""
    kind = KINDS[step.kind]
    settings = kind.measured(pipeline, step)
    parts = None if settings is None else [settings.identity(), settings.workers]
    whole = [kind.inputs(pipeline, step), parts, pipeline.workers(step.section)]
    return hashlib.sha256(json.dumps(whole, sort_keys=True, default=str).encode()).hexdigest()[:16]


def check_known(costs: Projected) -> None:
    """Refuses to share a time out among steps of which one may take any.

    Raises:
        InputError: with the step.
    """
    if unknown := [name for name, one in costs.items() if not one]:
        raise InputError(
            f"--time: what {unknown[0]} takes is not known before it is done, so no time can be shared out"
        )


def check(budget: float, costs: Projected, spent: float) -> None:
    """Refuses a budget that is smaller than the cheapest plan.

    Args:
        budget: seconds of the whole.
        costs: of the steps that are not done, whole.
        spent: seconds that others took before.

    Raises:
        InputError: with what the cheapest plan takes.
    """
    least = sum(min(one.values()) for one in costs.values())
    if budget - spent < least:
        left = f"; {_minutes(spent)} were spent before" if spent else ""
        raise InputError(f"--time {_minutes(budget)}: the cheapest plan takes about {_minutes(least)} here{left}")


def share(budget: float, spent: float, step: str, costs: Projected) -> float:
    """Seconds that a step gets of what is left, in proportion to what it and the steps after it would like to have.

    Args:
        budget: of the whole.
        spent: by steps that are not among `costs`.
        step: that is to be done.
        costs: of it and of the steps after it.
    """
    wanted = {name: max(one.values()) for name, one in costs.items()}
    others = sum(min(one.values()) for name, one in costs.items() if name != step)
    left = budget - spent
    return max(min(left * wanted[step] / sum(wanted.values()), left - others), min(costs[step].values()))


def fitting(costs: Costs, seconds: float) -> int:
    """The most that a step may have in a time; the least that it needs where there is too little."""
    return max((amount for amount, one in costs.items() if one <= seconds), default=min(costs))


def _minutes(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds >= 2 * 3600 else f"{math.ceil(seconds / 60)} min"

"""Small searches, what is left of them, and the ways in which candidates may be proposed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from autoloss.config import from_mapping
from autoloss.search.loop import discover
from autoloss.store.run import Run
from tests.helpers.small import section

INITIAL = [
    {"loss_cls": "abs(y - sigmoid(x))"},
    {"loss_bbox": "1 - i/u"},
    {"loss_cls": "square(y - sigmoid(x)) * 2", "loss_bbox": "diou"},
]
"""Formulas to begin with: none must be found first, so a search takes a second."""
_BOX = {"grammar": "box_extended", "like": "giou"}
_SLOTS = {"loss_cls": {"grammar": "sigmoid", "like": "focal", "alpha": 0.25}, "loss_bbox": _BOX}
_EACH = ["evolution", "ageing", "nsga2", "refine", "tune"]
WAYS: dict[str, dict[str, Any]] = {
    **{name: {"strategy": {"type": name}, "slots": _SLOTS, "init": INITIAL, "births": 3} for name in _EACH},
    "random": {"strategy": {"type": "random", "slots": ["loss_bbox"]}, "births": 3},
    "schedule": {
        "strategy": {
            "type": "schedule",
            "steps": [["refine", 5], [{"type": "tune", "slots": ["loss_cls"]}, 2], ["nsga2", 1], ["evolution", 9]],
        },
        "slots": _SLOTS,
        "init": INITIAL,
        "births": 4,
    },
}
"""Every strategy that comes with the toolkit, as changes of the small config."""


def facts(directory: Path) -> tuple[Any, ...]:
    """Everything a run holds but times."""
    with Run.open(directory) as run:
        return (
            run.candidates(),
            run.refusals(),
            [(e.candidate, e.rung, e.seed, e.state, e.score, e.error) for e in run.evaluations()],
        )


def searched(directory: Path, **changes: Any) -> tuple[Any, ...]:
    """What a small search finds, begun or gone on with."""
    settings = from_mapping(section(**changes))
    with Run.create(directory, settings.identity(), ["evaluator"]) as run:
        discover(settings, run)
    return facts(directory)

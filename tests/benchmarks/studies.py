"""Studies of searches: which variants are compared, and on what."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from autoloss.candidate import GATES
from primitives.catalog import slots

TASK = {"iterations": 1200, "train_on": "train", "evaluate_on": "test"}
"""That judges what a search recommends."""


@dataclass(frozen=True)
class Study:
    """Variants of a search that are compared.

    Args:
        question: that it answers.
        config: whose data and detector judge.
        variants: a config's name, and what is changed in its `search`.
        given: changes in the `search` of every variant.
        shares: of the time after which a search is asked what it recommends.
        stops: share of the time at which a variant is stopped; the others have all of it.
        target: the variant whose last score the others are timed to, if any.
    """

    question: str
    config: str
    variants: dict[str, tuple[str, dict[str, Any]]]
    given: dict[str, Any] = field(default_factory=dict)
    shares: tuple[float, ...] = (0.25, 0.5, 0.75, 1.0)
    stops: dict[str, float] = field(default_factory=dict)
    target: str = ""

    def stop(self, variant: str) -> float:
        """Share of the time that a variant has."""
        return self.stops.get(variant, 1.0)


NOISY = "digits_noisy.py"
ALONE: dict[str, Any] = {"known": [], "controls": []}
"""Nothing but the own loss is given: what a search recommends it found."""
PAPER = {"slots": {slot: {"language": "paper"} for slot in slots()}, "variation": {"numbers": "constants"}}
IN_FULL = {"ladder": [{"name": "full", "task": {**TASK, "evaluate_on": "val"}, "seeds": [5]}]}
STUDIES = {
    "ladders": Study(
        "two ladders, on clean digits",
        "digits_fcos.py",
        {"default": ("digits_fcos.py", {}), "paper": ("paper_ladder.py", {})},
    ),
    "language": Study(
        "formulas of the paper's inputs, operators and constants beside those of all, on noisy digits",
        NOISY,
        {"all inputs": (NOISY, {}), "the paper's": (NOISY, PAPER)},
    ),
    "speedup": Study(
        "vanilla evolution beside the method, on noisy digits",
        NOISY,
        {
            "the method": (NOISY, {}),
            "vanilla": (NOISY, {"gates": ["structure", "finite"], "calibrate": False, **IN_FULL}),
        },
        ALONE,
        shares=tuple(2 ** (-half / 2) for half in range(10, -1, -1)),
        stops={"the method": 2**-1.5},
        target="vanilla",
    ),
    "ablation": Study(
        "the method without one of its parts, on noisy digits",
        NOISY,
        {
            "the method": (NOISY, {}),
            "no convergence properties": (NOISY, {"gates": ["structure", "finite", "distinct", "converges"]}),
            "no simulation": (NOISY, {"gates": [name for name in GATES if name != "converges"]}),
            "no check for duplicates": (NOISY, {"gates": [name for name in GATES if name != "distinct"]}),
            "no frozen rungs": (NOISY, IN_FULL),
            "no calibration": (NOISY, {"calibrate": False}),
            "no evolution": (NOISY, {"strategy": "random"}),
        },
        ALONE,
        shares=(1.0,),
    ),
}

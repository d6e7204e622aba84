"""A small search with the fast evaluator."""

from __future__ import annotations

from typing import Any


def section(**changes: Any) -> dict[str, Any]:
    """The `search` section of a config: 3 generations of 4, no detector."""
    return {
        "seed": 7,
        "generations": 3,
        "births": 4,
        "known": [{"loss_cls": "quality_focal"}, {"loss_cls": "cse_b_cls", "loss_bbox": "cse_b_reg"}],
        "slots": {
            "loss_cls": {"grammar": "sigmoid", "like": "focal", "alpha": 0.25},
            "loss_bbox": {"grammar": "box", "like": "giou"},
        },
        "ladder": [
            {"name": "verify", "task": {"steps": 2}, "keep": {"of_own": 0.5}, "ranks": False},
            {"name": "proxy", "task": {"steps": 8}, "seeds": [1]},
        ],
        "finale": {"rung": {"name": "full", "task": {"steps": 8}, "seeds": [2, 3]}, "count": 2, "known": [1]},
        "evaluator": {"type": "tests.helpers.fast_evaluator:DescentEvaluator"},
        "workers": 1,
        "isolate": False,
        **changes,
    }

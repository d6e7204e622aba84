"""Known: inputs that training knows and hands over, in every kind of losses by the same name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from torch import Tensor

from primitives.kinds.terminal import Terminal

PROGRESS = Terminal(
    "t",
    (0, 1),
    "share",
    "progress of the training",
    predicted=False,
    given="progress",
    per="training",
    levels=(0.0, 0.5, 1.0),
)
"""What is over of the training, one number for all samples."""


def score(text: str) -> Terminal:
    """What the classifying branch says of the target's class."""
    return Terminal(
        "s", (0, 1), "probability", text, predicted=False, given="score", levels=(0.01, 0.1, 0.3, 0.7, 0.99)
    )


def frequency(
    text: str,
    per: Literal["sample", "class"],
    compute: Callable[[Any], Tensor] | None = None,
    code: Mapping[str, str] | None = None,
) -> Terminal:
    """How frequent classes are in training, in (0, 1]."""
    levels = (0.01, 0.03, 0.1, 0.3, 1.0)
    return Terminal(
        *("f", (0, 1), "share of the most frequent", text, compute, code or {}),
        predicted=False,
        positive=True,
        given="frequency",
        per=per,
        levels=levels,
    )


def size(text: str, compute: Callable[[Any], Tensor] | None = None, code: Mapping[str, str] | None = None) -> Terminal:
    """How large targets are in their image, in (0, 1]."""
    return Terminal(
        *("a", (0, 1), "side of the image", text, compute, code or {}),
        predicted=False,
        positive=True,
        given="size",
        levels=(0.02, 0.07, 0.25, 1.0),
    )

"""Terminal: an input of a formula, one table row."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from torch import Tensor

Interval = tuple[float, float]


@dataclass(frozen=True)
class Terminal:
    """An input of a formula; everything the toolkit knows of it stands here.

    Args:
        name: canonical lower-case name.
        interval: values it can take.
        unit: what one unit is.
        text: one line for people.
        compute: its values, one per sample, or one per sample and class, from what its kind derives from a `Sample`
            (see `Kind.derived`). None takes what the head hands over as `given`, without a gradient.
        code: lines of generated code by backend (`torch`, `numpy`, `jax`) that end with its assignment; none where it
            is an argument of the generated function, or taken as it is given. Class inputs that are given may say how
            PyTorch computes them `at label`, and what differs where the `background` has a column.
        aliases: names that published text uses for it.
        predicted: a gradient flows through it to the prediction.
        positive: it is above 0, which SymPy may rely on; else it is real.
        given: what must be handed over for it beside prediction and target, as its keyword; empty for nothing.
        per: what is given is one number a `sample` (N,), a `class` (C,) or (N, C), or a `training` ().
        levels: where gates judge a formula that reads what is given, both ends among them; it is drawn between them.
        moves: its value changes with the prediction, though no gradient flows through it.
        usual: value at which the weight of a formula that reads it is found; None for all that is drawn.

    Raises:
        ValueError: there is no way to compute it, or no finite interval to draw what is given from.
    """

    name: str
    interval: Interval
    unit: str
    text: str
    compute: Callable[[Any], Tensor] | None = field(default=None, compare=False, repr=False)
    code: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)
    aliases: tuple[str, ...] = ()
    predicted: bool = True
    positive: bool = False
    given: str = ""
    per: Literal["sample", "class", "training"] = "sample"
    levels: tuple[float, ...] = ()
    moves: bool = False
    usual: float | None = None

    def __post_init__(self) -> None:
        if self.compute is None and not self.given:
            raise ValueError(f"input {self.name}: neither computed nor given by the head")
        if self.given and not all(map(math.isfinite, self.interval)):
            raise ValueError(f"input {self.name}: is given, so its interval must be finite, got {self.interval}")
        if self.compute is None and self.predicted:
            raise ValueError(f"input {self.name}: what a head hands over is detached; say predicted=False")

    def __hash__(self) -> int:
        return hash((self.name, self.unit))


class Terminals(tuple[Terminal, ...]):
    """Inputs in their order; probes are looked up by them with every formula that is judged, so the hash is kept."""

    @cached_property
    def _hash(self) -> int:
        return super().__hash__()

    def __hash__(self) -> int:
        return self._hash

    def __reduce__(self) -> tuple[type[Terminals], tuple[tuple[Terminal, ...]]]:
        return Terminals, (tuple(self),)  # another process hashes text otherwise


# What training knows and hands over: in every kind of losses by the same name.
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
    """How frequent classes are in training, in (0, 1]; a formula has its usual weight for the most frequent one."""
    levels = (0.01, 0.03, 0.1, 0.3, 1.0)
    return Terminal(
        *("f", (0, 1), "share of the most frequent", text, compute, code or {}),
        predicted=False,
        positive=True,
        given="frequency",
        per=per,
        levels=levels,
        usual=1.0,
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

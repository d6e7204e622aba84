"""Terminal: an input of a formula, one table row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

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
        compute: its values from a `Sample` of its kind, one per box, or one per sample and class.
        code: how it is written in generated code, a line by backend (`torch`, `numpy`, `jax`).
        aliases: names that published text uses for it.
        predicted: a gradient flows through it to the prediction.
        positive: it is above 0, which SymPy may rely on; else it is real.
        given: what the head must hand over for it beside prediction and target, as its keyword; empty for nothing.
        one_column: a class input with one value per sample, the same in every column.
    """

    name: str
    interval: Interval
    unit: str
    text: str
    compute: Callable[[Any], Tensor] = field(compare=False, repr=False)
    code: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)
    aliases: tuple[str, ...] = ()
    predicted: bool = True
    positive: bool = False
    given: str = ""
    one_column: bool = False

"""Way: a prediction on its way to what it should be, along which a loss is a function of one number."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from primitives.symbolic import Case


@dataclass(frozen=True)
class Way:
    """One number that says how good a prediction is, and the inputs of a formula as functions of it.

    Args:
        name: of the number, for people, such as `IoU`.
        symbol: SymPy's name of it.
        text: what is on its way, and how.
        far: where it starts: as far off as it gets.
        optimum: where it ends.
        inputs: of a formula, by name, a row per number, from (T,) numbers; derivatives go through it.
        case: the formula as SymPy's function of the number.
    """

    name: str
    symbol: str
    text: str
    far: float
    optimum: float
    inputs: Callable[[Tensor], Mapping[str, Tensor]]
    case: Case

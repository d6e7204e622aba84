"""Initial: who may have children beside what a search finds, and losses that stay as they are."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from autoloss.values import MOST_FACTOR, Section
from primitives.text.printable import printable

OWN = "own"
"""Stands for the loss that a detector has in a slot."""


class Weighted(Section):
    """A loss with what a search may have changed of its weight.

    Args:
        formula: its text, or the name of a known loss.
        alpha: weight of the target outside a class formula, None for none; left out, that of the known loss, or slot.
        times: of the weight that is usual for it.
    """

    formula: str
    alpha: float | None = Field(default=None, gt=0, lt=1)
    times: float = Field(default=1.0, gt=0, le=MOST_FACTOR)

    def __str__(self) -> str:
        return self.formula


_FORM = "'known', 'random', or rows of your own such as [dict(loss_bbox='1 - i/u')]"


def _of_one_form(given: Any) -> Any:
    """What a config says, if it is of one of the forms: then one of the types below takes it."""
    if isinstance(given, str) and given in ("known", "random"):
        return given
    rows = list(given) if isinstance(given, (list, tuple)) else []
    if not rows or not all(isinstance(row, dict) and row for row in rows):
        raise ValueError(f"init is {_FORM}, got {printable(repr(given))}")
    for name, text in (pair for row in rows for pair in row.items()):
        if not isinstance(name, str) or not isinstance(text, (str, dict, Weighted)):
            got = f"{printable(repr(name))}: {printable(repr(text))}"
            raise ValueError(f"a row of init has a formula, or the name of a known loss, per slot, got {got}")
    return rows


Initial = Annotated[Literal["known", "random"] | list[dict[str, str | Weighted]], BeforeValidator(_of_one_form)]

"""Initial: who may have children beside what a search finds."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from primitives.text.printable import printable

_FORM = "'known', 'random', or rows of your own such as [dict(loss_bbox='1 - i/u')]"


def _of_one_form(given: Any) -> Any:
    """What a config says, if it is of one of the forms: then one of the types below takes it."""
    if isinstance(given, str) and given in ("known", "random"):
        return given
    rows = list(given) if isinstance(given, (list, tuple)) else []
    if not rows or not all(isinstance(row, dict) and row for row in rows):
        raise ValueError(f"init is {_FORM}, got {printable(repr(given))}")
    for name, text in (pair for row in rows for pair in row.items()):
        if not isinstance(name, str) or not isinstance(text, str):
            got = f"{printable(repr(name))}: {printable(repr(text))}"
            raise ValueError(f"a row of init has a formula, or the name of a known loss, per slot, got {got}")
    return rows


Initial = Annotated[Literal["known", "random"] | list[dict[str, str]], BeforeValidator(_of_one_form)]

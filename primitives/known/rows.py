"""Rows: every known loss by its name; what stands first is told first, and earlier grammars come before later ones."""

from __future__ import annotations

from typing import Any

from primitives.known import boxes, classes

ROWS: dict[str, tuple[Any, ...]] = {
    **boxes.USUAL,
    **classes.USUAL,
    **{
        f"cse_{pair}_{part}": rows[pair]
        for pair in "ab"
        for part, rows in (("cls", classes.PUBLISHED), ("reg", boxes.PUBLISHED))
    },
    **boxes.LATER,
    **classes.LATER,
}

"""Data tables: what a look through a data set found, as tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from primitives.text.printable import printable

_ROWS = 40  # classes; more are in --json


def checked_splits(found: Mapping[str, Any]) -> RenderableType:
    """Every split, and what was found between them.

    Args:
        found: as `detectors.data.check.checked_splits` gives it.
    """
    splits = list(found["splits"].values())
    if len(splits) == 1:
        (one,) = splits
        return checked({**one, "problems": one["problems"] + found["problems"], "usable": found["usable"]})
    parts = [checked(one) for one in splits]
    parts.append(_problems(found, "Problems between the splits") or Text("No problems between the splits."))
    usable = "" if found["usable"] else "The data cannot be used before what stops a training is mended."
    return Group(*parts, *([Text(usable)] if usable else []))


def checked(found: Mapping[str, Any]) -> RenderableType:
    """Counts, classes, sizes and problems.

    Args:
        found: as `detectors.data.check.checked` gives it.
    """
    head = (
        f"{printable(found['annotations'])}: {found['images']:,} images ({found['opened']:,} opened), "
        f"{found['boxes']:,} boxes of {len(found['classes'])} classes, {found['crowd']:,} crowd regions, "
        f"{found['left_out']:,} boxes left out"
    )
    verdict = "It can be used." if found["usable"] else "It cannot be used before what stops a training is mended."
    parts = [_classes(found), _sizes(found), _problems(found) or Text("No problems found.")]
    return Group(Text(head), *(part for part in parts if part is not None), Text(verdict))


def _classes(found: Mapping[str, Any]) -> RenderableType:
    table = Table(title="Classes", title_justify="left")
    table.add_column("class")
    for name in ("boxes", "of all", "images"):
        table.add_column(name, justify="right")
    rows = sorted(found["classes"], key=lambda row: -row["boxes"])
    for row in rows[:_ROWS]:
        share = row["boxes"] / max(found["boxes"], 1)
        table.add_row(Text(printable(row["name"], 60)), f"{row['boxes']:,}", f"{share:.1%}", f"{row['images']:,}")
    if len(rows) > _ROWS:
        rest = sum(row["boxes"] for row in rows[_ROWS:])
        table.add_row(f"{len(rows) - _ROWS} more", f"{rest:,}", f"{rest / max(found['boxes'], 1):.1%}", "")
    return table


def _sizes(found: Mapping[str, Any]) -> RenderableType | None:
    if not found["boxes"]:
        return None
    shares = ", ".join(f"{name} {count:,} ({count / found['boxes']:.1%})" for name, count in found["sizes"].items())
    table = Table(title=f"Boxes by COCO's areas: {shares}", title_justify="left")
    table.add_column("px")
    for share in next(iter(found["quantiles"].values())):
        table.add_column(f"{float(share):.0%}", justify="right")
    for name, values in found["quantiles"].items():
        label = "square root of width x height" if name == "side" else name
        table.add_row(label, *(f"{value:.1f}" for value in values.values()))
    return table


def _problems(found: Mapping[str, Any], title: str = "Problems") -> RenderableType | None:
    if not found["problems"]:
        return None
    table = Table(title=title, title_justify="left")
    table.add_column("what")
    table.add_column("count", justify="right")
    table.add_column("stops")
    table.add_column("first example")
    for row in found["problems"]:
        table.add_row(
            row["name"], f"{row['count']:,}", "yes" if row["stops"] else "", Text(printable(row["first"], 600))
        )
    return table

"""Inspection tables: a formula seen from all sides, for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from primitives.text.printable import printable


def inspected(found: Mapping[str, Any], slot: str = "") -> RenderableType:
    """What is known of one formula.

    Args:
        found: what `inspection.inspected` gave.
        slot: that the formula is of, where a run has several.
    """
    refused = next((one for one in found["verdicts"] if not one["passed"]), None)
    gates = f"{refused['gate']} refuses it: {refused['reason']}" if refused else "it passes every gate"
    lines = {
        "slot": slot,
        "as typed": found["infix"],
        "simplified": found["simplified"],
        "grammar": f"{found['grammar']} ({found['slot']}), {found['size']} nodes, depth {found['depth']}",
        "gates": gates,
        "nearest": _nearest(found["nearest"]),
        "LaTeX": found["simplified latex"],
    }
    top = Table.grid(padding=(0, 2))
    for name, text in lines.items():
        if text:
            top.add_row(Text(name, "dim"), Text(printable(text, None)))
    drawn = found["pretty"]["value"]
    pretty = Text(drawn if drawn is not None else found["pretty"]["cause"] or "SymPy does not show it", no_wrap=True)
    parts: list[RenderableType] = [top, "", pretty, "", _derivatives(found)]
    if found["ways"]:
        parts.append(_ways(found["ways"]))
    if found["certificates"]:
        parts.append(_table(("certificate", "what is known", "how"), map(_certificate, found["certificates"])))
    return Group(*parts)


def latex(found: Mapping[str, Any]) -> Iterator[str]:
    """Lines of LaTeX: the formula as typed, in short, its derivatives by inputs and along its ways."""
    yield found["latex"]
    if found["simplified latex"] != found["latex"]:
        yield found["simplified latex"]
    slopes = [*found["derivatives"], *(one["derivative"] for one in found["ways"])]
    for one in slopes:
        yield _slope_latex(one)


def _slope_latex(one: Mapping[str, Any]) -> str:
    left = rf"\frac{{\partial L}}{{\partial {one['by']}}}"
    return f"{left} = {one['latex']}" if one["latex"] is not None else f"% {left}: {one['cause']}"


def _nearest(one: Mapping[str, Any] | None) -> str:
    if one is None:
        return "no known loss: it has no gradient to compare"
    return f"{one['title']}, {'equal up to an affine map' if one['equal'] else one['differs']}"


def _derivatives(found: Mapping[str, Any]) -> RenderableType:
    rows = [(f"dL/d{one['by']}", _said(one)) for one in found["derivatives"]]
    rows += [(f"dL/d{one['derivative']['by']}", f"{_said(one['derivative'])}   {_on(one)}") for one in found["ways"]]
    return _table(("derivative", "is"), rows)


def _on(one: Mapping[str, Any]) -> str:
    return f"by {one['by']} {one['derivative']['by']} of {one['text']}"


def _said(one: Mapping[str, Any]) -> str:
    if one["text"] is None:
        return f"not known: {one['cause']}"
    return f"{one['text']} ({one['cause']})" if one["cause"] else str(one["text"])


def _ways(found: Sequence[Mapping[str, Any]]) -> RenderableType:
    rows = []
    for one in found:
        ends = [f"{_number(one[end]['value'])}, slope {_number(one[end]['slope'])}" for end in ("optimum", "far end")]
        places = [f"{one['by']} {one[end]['at']:g}" for end in ("optimum", "far end")]
        cells = [f"{place}: {end}" for place, end in zip(places, ends, strict=True)]
        shape = "; ".join(f"{word} on {_intervals(one[word])}" for word in ("falls", "rises", "convex"))
        rows.append((one["text"], *cells, shape))
    return _table(("on the way of", "at the optimum", "at the far end", "where"), rows)


def _number(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.4g}"


def _intervals(found: Sequence[Sequence[float]]) -> str:
    return " and ".join(f"{low:.3g} to {high:.3g}" for low, high in found) or "nothing"


def _certificate(one: Mapping[str, Any]) -> tuple[str, str, str]:
    return one["name"], one["statement"], one["how"]


def _table(titles: Sequence[str], rows: Any) -> Table:
    table = Table(header_style="bold")
    for title in titles:
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(cell, None)) for cell in row))
    return table

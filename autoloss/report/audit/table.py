"""Table: what an audit says, for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from autoloss.audit.verdict import Audit, Comparison, Place
from autoloss.candidate import Loss
from autoloss.report.audit import words
from autoloss.report.tables import short
from autoloss.values import POWER
from primitives.catalog import slots
from primitives.text.printable import printable

_LONGEST = 300


def table(found: Audit) -> RenderableType:
    """Every set-up: its noise, the losses, and every finalist against every control; then the verdict."""
    parts: list[RenderableType] = [Text(_planned(found), style="dim")]
    for place in found.places:
        parts += [Text(_noise(place), style="dim"), _losses(place, found), _comparisons(place)]
    return Group(*parts, Text(_legend(found), style="dim"), Text(words.paragraph(found), style="green"))


def _planned(found: Audit) -> str:
    seeds = ", ".join(map(str, found.seeds))
    trials = ", ".join(f"{slot} {count}" for slot, count in found.trials.items())
    return (
        f"Audit of {printable(found.search)}: seeds {seeds} ({found.planned}); weights tuned by evaluations: {trials}"
    )


def _noise(place: Place) -> str:
    tuned = "" if place.home else " (weights as tuned elsewhere)"
    differ = f"seeds differ by {100 * place.noise:.1f} points (pooled standard deviation)"
    shown = ""
    if place.smallest is not None:
        shown = f"; differences from {100 * place.smallest:.1f} points are shown with a chance of {POWER:g}"
    return f"On {printable(place.on)}{tuned}: {differ}{shown}"


def _losses(place: Place, found: Audit) -> Table:
    rows = Table(title=f"Losses, {len(found.seeds)} seeds each", title_justify="left", header_style="bold")
    for name in ("", "loss"):
        rows.add_column(name)
    for name in ("weights", printable(place.metric)):
        rows.add_column(name, justify="right", no_wrap=True)
    for one in place.contenders:
        score = "failed" if one.failed else f"{one.mean:.3f} ± {one.deviation:.3f}"
        weights = ", ".join(f"{slot.removeprefix('loss_')} x {factor:.3g}" for slot, factor in one.factors.items())
        role, what = (one.control, one.what) if one.control else (one.what, _formulas(found.losses[one.candidate or 0]))
        rows.add_row(role, printable(what, _LONGEST), weights, score, style="" if one.control else "bold")
    return rows


def _formulas(losses: Mapping[str, Any]) -> str:
    """Of a finalist, in short."""
    return "; ".join(short(Loss.of(losses[slot])) for slot in slots() if slot in losses)


def _comparisons(place: Place) -> Table:
    rows = Table(title="Finalists against controls, in points", title_justify="left", header_style="bold")
    for name in ("finalist", "against"):
        rows.add_column(name, no_wrap=True)
    for name in ("difference", "95 % interval", "p(better)", "Holm"):
        rows.add_column(name, justify="right", no_wrap=True)
    for one in sorted(
        place.comparisons, key=lambda one: [row.finalist for row in place.comparisons].index(one.finalist)
    ):
        rows.add_row(*_row(one))
    return rows


def _row(one: Comparison) -> tuple[str, ...]:
    return (
        f"#{one.finalist}",
        one.control,
        words.points(one.difference),
        words.interval(one),
        f"{one.p_better:.3f}",
        "< 0.001" if one.holm < 0.001 else f"{one.holm:.3f}",
    )


def _legend(found: Audit) -> str:
    over = (
        "seeds and images" if found.places[0].images else "seeds (the evaluator does not tell what images contribute)"
    )
    return (
        f"intervals: paired, over {over}; p(better): probability that the finalist is better; Holm: chance of such a "
        "difference where there is none, corrected for the number of finalists"
    )

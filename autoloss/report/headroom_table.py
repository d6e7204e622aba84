"""Headroom table: what known losses say of a search, for people."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from autoloss.report.cost_tables import clock
from autoloss.search.headroom.verdict import Headroom, Scored
from autoloss.search.results import TRAINS
from autoloss.values import LEVEL, POWER
from primitives.text.printable import printable

_LONGEST = 80


def table(found: Headroom) -> RenderableType:
    """Every loss beside the own one, what is noise, and the verdict."""
    title = f"Known losses at {printable(found.rung)!r}, {len(found.seeds)} seeds each, best first"
    rows = Table(title=title, title_justify="left", header_style="bold")
    rows.add_column("loss")
    for name in (printable(found.metric), "over own", "chance"):
        rows.add_column(name, justify="right", no_wrap=True)
    for one in found.losses:
        rows.add_row(*_row(one, found), style="bold" if one in (found.own, found.best) else "")
    return Group(rows, Text(_says(found), style="dim"), Text(found.verdict, style="green"))


def _row(one: Scored, found: Headroom) -> tuple[str, ...]:
    gain = "" if one is found.own else f"{100 * (one.mean - found.own.mean):+.1f}"
    chance = "" if one.chance is None else "< 0.001" if one.chance < 0.001 else f"{one.chance:.3f}"
    score = f"{one.mean:.3f} ± {one.deviation:.3f}"
    return printable(one.name, _LONGEST), score, gain, chance if one.trains else "does not train"


def _says(found: Headroom) -> str:
    smallest = ", ".join(f"{seeds}: {100 * least:.1f}" for seeds, least in found.smallest.items())
    lines = [
        f"noise between seeds {100 * found.noise:.1f} points (pooled standard deviation), spread between losses "
        f"{100 * found.spread:.1f} (best less worst that trains)",
        f"best known {found.best.mean:.3f}, own {found.own.mean:.3f}, own with the best weight {found.tuned.mean:.3f}",
        f"least difference of two losses, in points, that so many seeds show: {smallest}",
        f"  (t({1 - LEVEL / 2:g}) + t({POWER:g})) x noise x sqrt(2 / seeds); level {LEVEL:g}, two-sided, power "
        f"{POWER:g}",
        "over own: points; chance: that noise makes the best of so many look so much better (Dunnett's test)",
    ]
    if any(not one.trains for one in found.losses):
        lines.append(f"does not train: with a seed less than {TRAINS:g} of the own loss; not in noise, spread, chance")
    if found.failed:
        lines.append(f"failed: {', '.join(printable(name, _LONGEST) for name in found.failed)}")
    if found.needed is not None and found.needed > len(found.seeds):
        lines.append(f"to show what the best known loss gains would take {found.needed} seeds")
    if found.ranks:
        shown = ", ".join(
            f"{printable(rung)} {r:.2f} [{low:.2f}, {high:.2f}]" for rung, (r, low, high) in found.ranks.items()
        )
        lines.append(f"cheap rungs of the search rank these losses as {printable(found.rung)} does: {shown}")
        lines.append("  (Spearman's correlation, 95 % intervals by bootstrap over losses)")
    span = " to ".join(dict.fromkeys(map(clock, found.seconds)))
    lines.append(f"the search would take about {span} here" if span else "what the search would take is not known")
    return "\n".join(lines)

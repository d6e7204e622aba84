"""Cost tables: what a search will cost, as plain values and as a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from autoloss.search.cost_model import MachineCosts, halving, project
from autoloss.search.selection.visits import reaching
from autoloss.settings import Settings


def summary(settings: Settings, measured: MachineCosts) -> dict[str, Any]:
    """The projection with its bounds, what would halve it, and what was measured, as plain values."""
    most, least = (project(settings, measured, reaching(settings, passing)) for passing in (True, False))
    return {
        "device": measured.device,
        "devices here": measured.devices,
        "workers on a device": measured.side_by_side,
        "stages": [asdict(stage) for stage in most.stages],
        "seconds": {"at most": most.wall, "at least": least.wall},
        "device hours": {"at most": most.work / 3600, "at least": least.work / 3600},
        "device hours held": {devices: devices * wall / 3600 for devices, wall in most.wall.items()},
        "bytes": most.disk,
        "halving": asdict(halving(settings, measured)),
        "measured": asdict(measured),
    }


def table(found: Mapping[str, Any]) -> RenderableType:
    """The same as a table.

    Args:
        found: what `summary` gave.
    """
    unit = "core" if found["device"] == "cpu" else "GPU"
    here, walls = found["devices here"], found["seconds"]["at most"]
    rows = Table(title="What the search will cost", title_justify="left", header_style="bold")
    rows.add_column("stage", no_wrap=True)
    for title in ("losses", "trainings", f"{unit}\nhours", "share"):
        rows.add_column(title, justify="right")
    for devices in walls:
        name = f"{devices} {unit}{'s' if devices > 1 else ''}"
        rows.add_column(f"{name}\n(here)" if devices == here else name, justify="right", no_wrap=True)
    for title in ("memory", "disk"):
        rows.add_column(title, justify="right", no_wrap=True)
    for stage in found["stages"]:
        rows.add_row(
            stage["name"],
            f"{stage['candidates']:,}" if stage["candidates"] else "",
            f"{stage['evaluations']:,}" if stage["evaluations"] else "",
            _hours(stage["work"] / 3600),
            f"{stage['share']:.0%}",
            *map(clock, stage["wall"].values()),
            size(stage["memory"]) if stage["memory"] else "",
            size(stage["disk"]),
        )
    rows.add_section()
    hours = found["device hours"]
    bounded = found["seconds"]["at least"] != walls
    trained = f"{sum(stage['evaluations'] for stage in found['stages']):,}"
    rows.add_row(
        "at most" if bounded else "all",
        *("", trained, _hours(hours["at most"]), "100%"),
        *map(clock, walls.values()),
        *("", size(found["bytes"])),
        style="bold",
    )
    if bounded:
        least = found["seconds"]["at least"]
        rows.add_row("at least", "", "", _hours(hours["at least"]), "", *map(clock, least.values()), "", "")
    held = found["device hours held"]
    rows.add_row("hours held", "", "", "", "", *map(_hours, held.values()), "", "", style="dim")
    return Group(rows, Text(_says(found, unit, bounded), style="dim"), Text(_halving(found["halving"]), style="green"))


def _says(found: Mapping[str, Any], unit: str, bounded: bool) -> str:
    here, side = found["devices here"], found["workers on a device"]
    workers = f"{here * side} worker{'s' if here * side > 1 else ''} at once"
    lines = [
        f"measured with {workers} on {here} {unit}{'s' if here > 1 else ''} ({found['device']}), {side} on each; "
        "share: of the wall-clock here; memory: of a worker",
        f"{unit} hours: of work; hours held: of all {unit}s from beginning to end, those that wait among them",
    ]
    if bounded:
        lines.append("at most: every loss found passes keep.of_own; at least: none does, so that only given ones climb")
    return "\n".join(lines)


def _halving(change: Mapping[str, Any]) -> str:
    told = f"{change['what']}: {clock(change['wall'])} here, {change['share']:.0%} of it, {change['but']}"
    return f"To halve it: {told}." if change["share"] <= 0.5 else f"No single number halves it; most saves {told}."


def clock(seconds: float) -> str:
    """A time with its unit."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:,.1f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"


def size(count: float) -> str:
    """Bytes with their unit."""
    for unit, length in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if count >= length:
            return f"{count / length:,.1f} {unit}"
    return f"{count / 1e3:.0f} kB"


def _hours(hours: float) -> str:
    return f"{hours:,.0f}" if hours >= 100 else f"{hours:.3g}" if hours >= 0.01 else f"{hours:.3f}"

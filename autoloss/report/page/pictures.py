"""Pictures: the figures of a run, each with what it shows in words: in a page as SVG, or as files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from markupsafe import Markup
from matplotlib.figure import Figure

from autoloss.candidate import OWN, Kind, Loss
from autoloss.gates.inspection import nearest
from autoloss.report.page import facts
from autoloss.report.page.answer import Difference
from autoloss.report.page.inline import svg
from autoloss.report.page.told import Told
from autoloss.report.plots import loss_plot, run_plots
from autoloss.report.plots.detections_plot import detections
from autoloss.report.plots.fidelity_plot import save
from autoloss.report.plots.loss_plot import Drawn
from autoloss.report.plots.style import styled
from autoloss.settings import Settings
from primitives.catalog import GRAMMARS, KNOWN
from primitives.errors import InputError

_PANELS = 2
"""Panels of a loss on the page: its value and its gradient."""
_DPI = 120


@dataclass(frozen=True)
class Picture:
    """A figure that can be drawn.

    Args:
        group: what it belongs to on the page.
        name: of its own among all of a run.
        draw: makes it, within the style.
        says: what is seen, for those who do not see it.
    """

    group: str
    name: str
    draw: Callable[[], Figure]
    says: str


def of(told: Told) -> dict[str, list[Markup]]:
    """Every picture of a run as SVG, by group."""
    found: dict[str, list[Markup]] = {name: [] for name in ("answer", "generations", "front", "rungs", "curves")}
    for one in pictures(told):
        found.setdefault(one.group, []).append(svg(one.draw, one.name, one.says))
    return found


def write(told: Told, folder: Path) -> list[Path]:
    """The same as files of PNG, and the funnel, and what the detectors see.

    Raises:
        InputError: they cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {str(folder)!r}: {error.strerror}") from None
    counts = told.board.counts
    funnel = Picture("funnel", "funnel", lambda: run_plots.funnel(counts), "the funnel")
    written = []
    seen = (
        Picture("detections", f"detections{place}", partial(detections, one), "what the detectors see")
        for place, one in enumerate(told.seen)
    )
    for one in (*pictures(told), funnel, *seen):
        file = folder / f"{one.name}.png"
        with styled():
            save(one.draw(), file, dpi=_DPI)
        written.append(file)
    return written


def pictures(told: Told) -> Iterator[Picture]:
    """What can be drawn of a run as it stands."""
    yield from _answer(told)
    yield from _progress(told)
    kinds = {one.number: one.kind for one in told.candidates}
    for place, (low, dear, pairs) in enumerate(told.paired_rungs()):
        says = f"scores at {low} and at {dear}: {run_plots.correlation_text(list(pairs.values()))}"
        yield Picture(
            "rungs", f"rungs{place}", partial(run_plots.rungs, pairs, kinds, (low, dear), told.board.metric), says
        )
    if told.winner:
        for slot, loss in told.winner.candidate.losses.items():
            yield from _curves(slot, loss, f"#{told.winner.candidate.number}", told.board.settings)


def _answer(told: Told) -> Iterator[Picture]:
    places = {one.on for one in told.answer.differences}
    rows = [interval(_row_title(one, told.answer.audited, len(places) > 1), one) for one in told.answer.differences]
    if rows:
        says = "differences with their intervals; the numbers stand in the table"
        yield Picture("answer", "answer", lambda: run_plots.forest(rows, told.board.metric), says)


def interval(title: str, one: Difference) -> run_plots.Interval:
    """A difference in points, to be drawn."""
    low, high = (None if value is None else 100 * value for value in (one.low, one.high))
    return run_plots.Interval(title, 100 * one.difference, low, high)


def _row_title(one: Difference, audited: bool, several: bool) -> str:
    """In a few words; the table beside the picture has the rest."""
    control = one.control.partition(": ")[0]
    text = f"{one.named} over {control}{f' on {one.on}' if several else ''}" if audited else f"over {control}"
    return text if len(text) <= 44 else f"{text[:43]}\u2026"


def _progress(told: Told) -> Iterator[Picture]:
    own, metric = told.scores.get(OWN), told.board.metric
    born = facts.generations(told.candidates, told.scores)
    if born:
        rows = [(one.number, one.scores, one.best) for one in born]
        says = f"best and median score by generation, from {born[0].best:.3f} to {born[-1].best:.3f}"
        yield Picture("generations", "generations", lambda: run_plots.by_generation(rows, own, metric), says)
    sized = {
        row.candidate.number: (row.candidate.size, told.scores[row.candidate.number], row.candidate.kind)
        for row in told.board.rows
        if row.candidate.number in told.scores and row.candidate.losses
    }
    if sized:
        front = [number for number in told.board.front if number in sized]
        says = "score against size; on the front: " + ", ".join(f"#{number}" for number in front)
        yield Picture("front", "front", lambda: run_plots.size_and_score(sized, front, own, metric), says)


def _curves(slot: str, loss: Loss, title: str, settings: Settings) -> Iterator[Picture]:
    """Loss and gradient beside the own loss and the nearest known one."""
    drawn = [*beside(slot, loss, settings), Drawn(title, loss.expression, loss.grammar, loss.alpha)]
    panels = [(one, loss_plot.panels(one, _PANELS)) for one in drawn]
    for place in range(_PANELS):
        several = [(one, found[place]) for one, found in panels if place < len(found)]
        says = f"{several[0][1].ylabel} of {', '.join(one.title for one in drawn)}"
        yield Picture("curves", f"curve-{slot}-{place}", partial(_one_panel, several, slot), says)


def _one_panel(several: Sequence[tuple[Drawn, Any]], slot: str) -> Figure:
    figure = Figure(figsize=(5.0, 3.5), layout="constrained")
    axes = figure.subplots()
    loss_plot.add(axes, several)
    axes.set_title(f"{slot}: {several[0][1].ylabel}")
    return figure


def beside(slot: str, loss: Loss, settings: Settings) -> Iterator[Drawn]:
    """The loss that stands for the detector's own, and the known one whose gradients are the most alike."""
    own: Mapping[str, Loss] = settings.stand_ins
    like = settings.slots[slot].like if slot in settings.slots else ""
    if like:
        one = own[slot]
        yield Drawn(f"own: {KNOWN[like].title}", one.expression, one.grammar, one.alpha, Kind.OWN)
    kin = nearest(loss.expression, loss.grammar, loss.alpha)
    if kin and kin["name"] != like:
        known = KNOWN[kin["name"]]
        rules = GRAMMARS[known.grammar]
        if rules.kind is loss.grammar.kind:
            yield Drawn(known.title, known.expression, rules, known.alpha, Kind.KNOWN)

"""Pictures: the figures of a page, each as SVG with what it shows in words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
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
from autoloss.report.plots.loss_plot import Drawn
from autoloss.settings import Settings
from primitives.catalog import GRAMMARS, KNOWN

_PANELS = 2
"""Panels of a loss on the page: its value and its gradient."""


def of(told: Told) -> dict[str, Any]:
    """Every picture of a run by its name; a list where there are several of a kind."""
    found: dict[str, Any] = {"answer": _answer(told), "generations": "", "front": ""}
    own, metric = told.scores.get(OWN), told.board.metric
    born = facts.generations(told.candidates, told.scores)
    if born:
        rows = [(one.number, one.scores, one.best) for one in born]
        says = f"best and median score by generation, from {born[0].best:.3f} to {born[-1].best:.3f}"
        found["generations"] = svg(lambda: run_plots.by_generation(rows, own, metric), "generations", says)
    sized = {
        row.candidate.number: (row.candidate.size, told.scores[row.candidate.number], row.candidate.kind)
        for row in told.board.rows
        if row.candidate.number in told.scores and row.candidate.losses
    }
    if sized:
        front = [number for number in told.board.front if number in sized]
        says = "score against size; on the front: " + ", ".join(f"#{number}" for number in front)
        found["front"] = svg(lambda: run_plots.size_and_score(sized, front, own, metric), "front", says)
    found["rungs"] = list(_rungs(told))
    found["curves"] = list(_curves(told)) if told.winner else []
    return found


def _answer(told: Told) -> Markup | str:
    rows = [
        run_plots.Interval(
            _row_title(one, told.answer.audited),
            *(None if value is None else 100 * value for value in (one.difference, one.low, one.high)),  # type: ignore[arg-type]
        )
        for one in told.answer.differences
    ]
    if not rows:
        return ""
    says = "differences with their intervals; the numbers stand in the table"
    return svg(lambda: run_plots.forest(rows, told.board.metric), "answer", says)


def _row_title(one: Difference, audited: bool) -> str:
    """In a few words; the table beside the picture has the rest."""
    control = one.control.partition(": ")[0]
    text = f"{one.named} over {control}{f' on {one.on}' if one.on else ''}" if audited else f"over {control}"
    return text if len(text) <= 44 else f"{text[:43]}\u2026"


def _rungs(told: Told) -> Iterator[Markup]:
    kinds = {one.number: one.kind for one in told.candidates}
    for place, (low, dear, pairs) in enumerate(told.paired_rungs()):
        says = f"scores at {low} and at {dear}: {run_plots.correlation_text(list(pairs.values()))}"
        draw = partial(run_plots.rungs, pairs, kinds, (low, dear), told.board.metric)
        yield svg(draw, f"rungs{place}", says)


def _curves(told: Told) -> Iterator[Markup]:
    """Loss and gradient of the winner beside the own loss and the nearest known one, slot by slot."""
    assert told.winner is not None
    for slot, loss in told.winner.candidate.losses.items():
        yield from curves(slot, loss, f"#{told.winner.candidate.number}", told.board.settings)


def curves(slot: str, loss: Loss, title: str, settings: Settings) -> Iterator[Markup]:
    """The first panels of a loss beside those it is compared with."""
    drawn = [*beside(slot, loss, settings), Drawn(title, loss.expression, loss.grammar, loss.alpha)]
    panels = [(one, loss_plot.panels(one, _PANELS)) for one in drawn]
    for place in range(_PANELS):
        several = [(one, found[place]) for one, found in panels if place < len(found)]
        names = ", ".join(one.title for one in drawn)
        yield svg(_one_panel(several, slot), f"curve-{slot}-{place}", f"{several[0][1].ylabel} of {names}")


def _one_panel(several: Sequence[tuple[Drawn, Any]], slot: str) -> Callable[[], Figure]:
    def draw() -> Figure:
        figure = Figure(figsize=(5.0, 3.5), layout="constrained")
        axes = figure.subplots()
        loss_plot.add(axes, several)
        axes.set_title(f"{slot}: {several[0][1].ylabel}")
        return figure

    return draw


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

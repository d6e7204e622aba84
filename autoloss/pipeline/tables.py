"""Tables: what a pipeline will cost, and what became of its steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from autoloss.pipeline import budget
from autoloss.pipeline.index import Entry, Index
from autoloss.pipeline.kinds.kind import Costs
from autoloss.pipeline.kinds.table import KINDS
from autoloss.pipeline.plan import Pipeline, Step
from autoloss.report.cost_tables import clock
from primitives.text.printable import printable


def outline(pipeline: Pipeline, index: Index, left: Sequence[Step], costs: Mapping[str, Costs]) -> RenderableType:
    """What would be done, and what it would take.

    Args:
        pipeline: of the steps.
        index: what became of them.
        left: steps that are left to do.
        costs: of these, where they are known.
    """
    rows = Table(title=f"Pipeline {printable(pipeline.name)}", title_justify="left", header_style="bold")
    for name in ("step", "does", "if"):
        rows.add_column(name)
    for name in ("has", "takes about", "at least"):
        rows.add_column(name, justify="right", no_wrap=True)
    names = [step.name for step in left]
    for step in pipeline.steps:
        state = "" if step.name in names else "done" if index.steps[step.name].state == "done" else "left out"
        rows.add_row(step.name, does(step), step.condition.text if step.condition else "", *_cost(step, costs, state))
    known = [costs[name] for name in names if costs.get(name)]
    unknown = len(names) - len(known)
    rows.add_section()
    more = " + ?" if unknown else ""
    whole = [clock(sum(how(one.values()) for one in known)) + more for how in (max, min)]
    rows.add_row("all", "", "", "", *whole, style="bold")
    note = "at least: with the fewest seeds and generations, which --time may come down to"
    if unknown:
        note += "; ?: not known before it is done"
    return Group(rows, Text(note, style="dim"))


def _cost(step: Step, costs: Mapping[str, Costs], state: str) -> tuple[str, str, str]:
    if state:
        return state, "", ""
    mine = costs.get(step.name)
    if not mine:
        return "", "?", "?"
    most, least = max(mine), min(mine)
    unit = KINDS[step.kind].amount
    return _amount(most, unit), clock(mine[most]), clock(mine[least]) if most != least else clock(mine[most])


def _amount(count: int, unit: str) -> str:
    return f"{count} {unit.removesuffix('s') if count == 1 else unit}" if unit else ""


def does(step: Step) -> str:
    """What a step does, in a few words."""
    section = step.section
    if step.kind in ("headroom", "search"):
        slots = getattr(section, "slots", None)
        of = f" ({', '.join(slots)})" if slots else ""
        return f"{step.kind} {Path(section.config).stem}{of}"
    if step.kind == "report":
        return f"report {', '.join(step.before['search'])}"
    if step.kind == "export":
        return f"export {step.search} to {', '.join(section.to)}"
    if step.kind == "train" and section.detector:
        return f"train {Path(section.detector).stem} with {step.search}"
    return f"{step.kind} {step.search}"


def shares(index: Index, shared: Mapping[str, Costs], whole: float) -> RenderableType:
    """How what is left of a budget is shared out.

    Args:
        index: what became of the steps.
        shared: costs of those that are to be done, in order.
        whole: seconds.
    """
    rows = Table(title=f"A budget of {clock(whole)}, shared out", title_justify="left", header_style="bold")
    rows.add_column("step")
    for name in ("would like", "gets", "has"):
        rows.add_column(name, justify="right", no_wrap=True)
    spent = index.spent(but=shared)
    for number, (name, mine) in enumerate(shared.items()):
        entry = index.steps[name]
        seconds = budget.share(whole, spent, name, dict(list(shared.items())[number:]))
        amount = (entry.amount or max(mine)) if entry.begun else budget.fitting(mine, seconds)
        amount = amount if amount in mine else max(mine)  # it is to be done anew, with fewer
        rows.add_row(name, clock(max(mine.values())), clock(seconds), _amount(amount, KINDS[entry.kind].amount))
        spent += min(seconds, mine[amount])
    note = "what a step leaves goes to those after it"
    return Group(rows, Text(note, style="dim"))


def given(step: Step, amount: int | None, seconds: float) -> str:
    """What a step was given of a budget."""
    unit = KINDS[step.kind].amount
    fewer = "" if amount is None else f", so it has {_amount(amount, unit)}"
    return f"{clock(seconds)} of the budget are its share{fewer}"


def ending(index: Index, pipeline: Pipeline, folder: Path) -> RenderableType:
    """What became of every step, and where that lies."""
    rows = Table(title=f"Pipeline {printable(pipeline.name)}", title_justify="left", header_style="bold")
    for name in ("step", "state"):
        rows.add_column(name, no_wrap=True)
    rows.add_column("time", justify="right", no_wrap=True)
    rows.add_column("what came of it")
    for name, entry in index.steps.items():
        said = "; ".join(filter(None, [printable(entry.why, 300), printable(entry.told, _LONGEST)]))
        rows.add_row(name, entry.state, clock(entry.seconds) if entry.seconds else "", Text(said))
    lines = [printable(folder / path, None) for entry in index.steps.values() for path in _files(entry)]
    return Group(rows, *([Text("\n".join(["To look at:", *(f"  {line}" for line in lines)]))] if lines else []))


_LONGEST = 400


def _files(entry: Entry) -> list[str]:
    """What a person opens first of what a step left."""
    gave = entry.gave
    tables = [gave["table"]] if "table" in gave else [f"{gave['audit']}/table.txt"] if "audit" in gave else []
    return [*tables, *gave.get("folders", {}).values(), *gave.get("pages", {}).values()]

"""The commands about formulas and the gates; nothing is trained."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autoloss.commands.options import ANY_GRAMMAR, MOST, MOST_SEED, Alpha, Candidate, Canonical, finite, stderr, stdout
from primitives.errors import InputError

if TYPE_CHECKING:
    from autoloss.candidate import Loss


def check(
    formula: Annotated[
        str, typer.Argument(help='The formula, such as "1 - i/u" or "neg(log(div(i, u)))", or as published.')
    ],
    grammar: Annotated[
        str | None,
        typer.Option(help=f"{ANY_GRAMMAR}; found from the inputs where it can be."),
    ] = None,
    alpha: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, callback=finite, help="Weight of the target column of a sigmoid loss outside the formula."
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Draw it beside a known loss: PNG, SVG or PDF by the file's ending."),
    ] = None,
    beside: Annotated[str | None, typer.Option(help="The known loss to draw beside it, such as giou or focal.")] = None,
    canonical: Canonical = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print plain values for scripts.")] = False,
) -> None:
    """Check a formula: its short form, size, what every gate says of it, and what else is known of it.

    Exit code 0 when it passes, 1 when a gate refuses it, 2 when the text is wrong.

    Example: `autoloss check "1 - i/u" --plot iou.png`
    """
    from autoloss.gates.analysis import examined
    from autoloss.report import tables
    from primitives import catalog
    from primitives.expression import Expression
    from primitives.operators import OPERATORS

    if plot is not None:
        from autoloss.report.plots import fidelity_plot, loss_plot

        fidelity_plot.check_file(plot)
    elif beside is not None:
        raise InputError(f"--beside {beside} is drawn beside the formula: give --plot FILE, too")
    expression, rules, alpha = catalog.named(formula, grammar, alpha)
    found = examined(expression, rules, alpha)
    if plot is not None:
        # Not `judged` parsed again: negated it may be nested one deeper than text may be.
        judged = Expression(OPERATORS["neg"], (expression,)) if found["negated"] else expression
        mine = loss_plot.Drawn("this", judged, rules, alpha)
        loss_plot.draw(mine, loss_plot.beside(mine, beside), plot)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    else:
        stdout().print(tables.examined(found, canonical=canonical))
    raise typer.Exit(0 if found["passed"] else 1)


def inspect(
    what: Annotated[
        str,
        typer.Argument(metavar="FORMULA|RUN", help='Such as "1 - i/u", a known loss such as giou, or a run\'s folder.'),
    ],
    candidate: Candidate = None,
    grammar: Annotated[str | None, typer.Option(help="As of check.")] = None,
    alpha: Alpha = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print plain values for scripts.")] = False,
    as_latex: Annotated[bool, typer.Option("--latex", help="Print LaTeX: the formula, in short, its slopes.")] = False,
) -> None:
    """See a formula from all sides: derivatives, its ways to the optimum, certificates, and the nearest known loss.

    Of a run it is what that recommends, or --candidate N. SymPy has 5 seconds for each question; what it does not
    answer in that time says so.

    Examples: `autoloss inspect "3 - i/u"`, `autoloss inspect runs/digits_fcos --candidate 51`
    """
    from autoloss.gates.inspection import inspected
    from autoloss.report import inspection_tables
    from primitives import catalog
    from primitives.system import places

    if as_json and as_latex:
        raise InputError("--json and --latex print one thing each; one of the two")
    if places.is_folder(what):
        if grammar is not None or alpha is not None:
            raise InputError("--grammar and --alpha are for a formula given as text; a run knows its own")
        losses = {
            slot: (one.expression, one.grammar, one.alpha) for slot, one in _of_run(Path(what), candidate).items()
        }
    elif candidate is not None:
        raise InputError(f"--candidate {candidate} chooses among the losses of a run; there is no folder {what!r}")
    else:
        losses = {"": catalog.named(what, grammar, alpha)}
    found = {slot: inspected(*loss) for slot, loss in losses.items()}
    if as_json:
        typer.echo(json.dumps(found.get("", found), indent=2))
    elif as_latex:
        typer.echo("\n".join(line for one in found.values() for line in inspection_tables.latex(one)))
    else:
        for slot, one in found.items():
            stdout().print(inspection_tables.inspected(one, slot))


def _of_run(run: Path, candidate: int | None) -> Mapping[str, Loss]:
    """The losses of a candidate, or of what is recommended."""
    from autoloss.export import selection
    from autoloss.store.run import Run

    with Run.open(run) as store:
        (chosen,) = selection.of_run(store, candidate)
    return chosen.losses


def funnel(
    grammar: Annotated[str, typer.Option(help=f"{ANY_GRAMMAR}.")],
    n: Annotated[int, typer.Option(min=1, max=MOST, help="How many random formulas.")] = 100_000,
    seed: Annotated[int, typer.Option(min=0, max=MOST_SEED, help="Of the drawing.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print plain values for scripts.")] = False,
) -> None:
    """Draw random formulas and lead them through all gates: how many fall where, how fast, and what is rediscovered.

    Example: `autoloss funnel --grammar box --n 10000`
    """
    import torch
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from autoloss.report import tables
    from autoloss.search.funnel import run_funnel
    from primitives import catalog

    rules = catalog.grammar(grammar)
    torch.set_num_threads(1)  # the tensors are small; the figures are those of one core
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=stderr(), transient=True) as progress:
        task = progress.add_task("0 passed", total=n)

        def watch(done: int, passed: int) -> None:
            progress.update(task, completed=done, description=f"{passed} passed")

        found = run_funnel(rules, n, seed, watch=watch)
    if as_json:
        typer.echo(json.dumps({**asdict(found), "rate": found.rate}, indent=2))
    else:
        stdout().print(tables.funnel(found))


def thresholds(
    as_json: Annotated[bool, typer.Option("--json", help="Print plain values for scripts.")] = False,
) -> None:
    """Derive the thresholds of the gate `converges`: descend boxes and logits under every known loss.

    A config overrides them with `search.thresholds=dict(iou=0.9)`.
    """
    from autoloss.gates import simulation
    from autoloss.gates.analysis import descended
    from autoloss.report import tables

    rows = descended()
    derived = simulation.derived(rows)
    if as_json:
        typer.echo(json.dumps({"known": rows, "margin": simulation.MARGIN, "derived": derived}, indent=2))
    else:
        stdout().print(tables.thresholds(rows, derived, simulation.MARGIN))

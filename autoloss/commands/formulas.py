"""The commands about formulas and the gates; nothing is trained."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from autoloss.commands.options import MOST, MOST_SEED, Canonical, finite, stderr, stdout
from primitives.errors import InputError


def check(
    formula: Annotated[
        str, typer.Argument(help='The formula, such as "1 - i/u" or "neg(log(div(i, u)))", or as published.')
    ],
    grammar: Annotated[
        str | None,
        typer.Option(help="box, box_pixels, box_extended, softmax or sigmoid; found from the inputs where it can be."),
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
    rules = catalog.grammar(grammar) if grammar else catalog.find_grammar(formula)
    catalog.check_alpha(alpha, rules)
    expression = rules.parse(formula)
    found = examined(expression, rules, alpha)
    if plot is not None:
        known = catalog.known_loss(beside or rules.kind.beside(rules.terminals))
        if catalog.GRAMMARS[known.grammar].slot != rules.slot:
            raise InputError(f"--beside {known.name} is a loss for {catalog.GRAMMARS[known.grammar].slot}")
        other = loss_plot.Drawn(known.title, known.expression, catalog.GRAMMARS[known.grammar], known.alpha)
        # Not `judged` parsed again: negated it may be nested one deeper than text may be.
        judged = Expression(OPERATORS["neg"], (expression,)) if found["negated"] else expression
        loss_plot.draw(loss_plot.Drawn("this", judged, rules, alpha), other, plot)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    else:
        stdout().print(tables.examined(found, canonical=canonical))
    raise typer.Exit(0 if found["passed"] else 1)


def funnel(
    grammar: Annotated[str, typer.Option(help="box, box_pixels, box_extended, softmax or sigmoid.")],
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

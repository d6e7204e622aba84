"""The command line: puts the commands together. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import logging
import sys

import typer

from autoloss.commands import data, estimate, export, fidelity, formulas, search, show, train
from primitives.errors import InputError

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Discovers loss functions for object detectors: proposes formulas, refuses nearly all of them by cheap "
    "checks, trains the rest on a real detector and ranks them.",
    epilog="Exit codes: 0 it is done, 1 a gate refused the formula, 2 the input is wrong, 130 stopped by Ctrl-C.",
)

for command in (
    search.search,
    show.show,
    export.export,
    train.train,
    estimate.estimate,
    fidelity.fidelity,
    formulas.check,
    formulas.funnel,
    formulas.thresholds,
):
    app.command()(command)
app.add_typer(data.app, name="data")


def _spread_options(arguments: list[str]) -> list[str]:
    """`--cfg-options a=1 b=2`, as mmdetection takes it, as the repeated flag that the parser takes."""
    spread: list[str] = []
    inside = False
    for argument in arguments:
        if argument == "--cfg-options":
            inside, first = True, True
            continue
        if inside and "=" in argument and not argument.startswith("-"):
            spread += ["--cfg-options", argument]
            first = False
            continue
        if inside and first:
            spread.append("--cfg-options")
        inside = False
        spread.append(argument)
    return spread


def main() -> None:
    """Entry point: a user's mistake is one line and exit code 2."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    try:
        app(_spread_options(sys.argv[1:]), prog_name="autoloss")
    except InputError as error:
        typer.echo(f"autoloss: {error}", err=True)
        raise SystemExit(2) from None

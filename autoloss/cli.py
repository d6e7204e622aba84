"""The command line; thin. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from primitives.errors import InputError

if TYPE_CHECKING:
    from autoloss.gates import Judgement
    from primitives.grammar import Grammar

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Discovers loss functions for object detectors: proposes formulas, refuses nearly all of them by cheap "
    "checks, trains the rest on a real detector and ranks them.",
    epilog="Exit codes: 0 it is done, 1 a gate refused the formula, 2 the input is wrong, 130 stopped by Ctrl-C.",
)


@app.command()
def search(
    config: Annotated[Path, typer.Argument(help="A search config, such as configs/search/digits_fcos.py.")],
    run: Annotated[
        Path | None, typer.Argument(help="Directory of the run; one that is there goes on. Default: runs/CONFIG-NAME.")
    ] = None,
    cfg_options: Annotated[
        list[str] | None,
        typer.Option(
            "--cfg-options",
            metavar="KEY=VALUE ...",
            help="Overrides config values, as in mmdetection: `--cfg-options search.generations=2 search.births=6`.",
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=0, help="Processes, one thread each; 0 is one per core. The result is the same.")
    ] = None,
) -> None:
    """Search for losses: propose, refuse, train, rank.

    The same command with the same directory goes on where it stopped, also after it was killed.

    Example: `autoloss search configs/search/digits_fcos.py`
    """
    from rich.console import Console

    from autoloss import report
    from autoloss.discover import discover
    from autoloss.run import Run
    from autoloss.screen import Screen
    from autoloss.settings import load

    options = list(cfg_options or [])
    if workers is not None:
        options.append(f"search.workers={workers}")
    settings = load(config, options)
    directory = run or Path("runs") / config.stem
    console = Console(stderr=True)
    with Run.create(directory, settings.identity()) as store:
        try:
            with Screen(settings, console) as screen:
                discover(settings, store, screen)
        except KeyboardInterrupt:
            console.print(f"Stopped. What finished is kept in {directory}; the same command goes on from there.")
            raise typer.Exit(130) from None
        _console().print(report.ending(report.summary(store)))


@app.command()
def check(
    formula: Annotated[str, typer.Argument(help='The formula, such as "neg(log(div(i, u)))", or as it was published.')],
    grammar: Annotated[
        str | None,
        typer.Option(help="box, box_pixels, box_extended, softmax or sigmoid; found from the inputs where it can be."),
    ] = None,
    alpha: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Weight of the target column of a sigmoid loss outside the formula."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print plain values for scripts.")] = False,
) -> None:
    """Check a formula: canonical text, size, and what every gate says of it.

    Exit code 0 when it passes, 1 when a gate refuses it, 2 when the text is wrong.

    Example: `autoloss check "sub(1, div(i, u))"`
    """
    from autoloss import gates
    from primitives import catalog

    rules = catalog.grammar(grammar) if grammar else catalog.find_grammar(formula)
    if alpha is not None and rules.name != "sigmoid":
        raise InputError(f"--alpha {alpha:g} is for sigmoid losses, this formula's grammar is {rules.name}")
    expression = rules.parse(formula)
    judgement = gates.judge(expression, rules, alpha)
    known = gates.recognise(judgement.identity, rules)
    found = {
        "formula": str(expression),
        "grammar": rules.name,
        "slot": rules.slot,
        "size": expression.size,
        "depth": expression.depth,
        "passed": judgement.passed,
        "negated": judgement.negated,
        "judged": str(judgement.expression),
        "known": known and {"name": known.name, "title": known.title, "source": known.source},
        "verdicts": [
            {"gate": v.gate, "passed": v.passed, "reason": v.reason, "numbers": dict(v.numbers)}
            for v in judgement.verdicts
        ],
    }
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    else:
        _print_check(found, judgement, rules)
    raise typer.Exit(0 if judgement.passed else 1)


def _print_check(found: dict[str, Any], judgement: Judgement, rules: Grammar) -> None:
    from rich.table import Table

    console = _console()
    console.print(found["formula"], style="bold", highlight=False, soft_wrap=True)
    console.print(
        f"grammar {rules.name} ({rules.slot}), {found['size']} nodes, depth {found['depth']}", highlight=False
    )
    table = Table(header_style="bold")
    for title in ("gate", "verdict", "why"):
        table.add_column(title)
    for verdict in judgement.verdicts:
        word, style = ("pass", "green") if verdict.passed else ("refused", "red")
        table.add_row(verdict.gate, f"[{style}]{word}[/]", verdict.reason)
    if judgement.passed:
        known = found["known"]
        what = (
            f"{known['title']} up to an affine map ({known['source']})" if known else "no known loss has its gradient"
        )
        table.add_row("distinct", "[green]pass[/]", what)
    console.print(table)
    if judgement.negated:
        console.print("It runs the wrong way round and was judged negated; a search keeps the negated formula.")


@app.command()
def show(
    run: Annotated[Path, typer.Argument(help="Directory of a run.")],
    top: Annotated[int, typer.Option(min=1, help="Rows of the leaderboard.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as plain values for scripts.")] = False,
) -> None:
    """Show a run: the leaderboard, and the funnel from proposals to trainings.

    Example: `autoloss show runs/digits_fcos`
    """
    from autoloss import report
    from autoloss.run import Run

    with Run.open(run) as store:
        found = report.summary(store)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    console = _console()
    console.print(report.leaderboard(found, top))
    console.print(report.funnel(found))


def _console() -> Any:
    from rich.console import Console

    # Formulas are long: where nobody watches, lines may be longer than a terminal of 80 columns.
    return Console() if sys.stdout.isatty() else Console(width=120)


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

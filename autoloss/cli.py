"""The command line: puts the commands together. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import difflib
import logging
import os
import signal
import sys
from contextlib import suppress
from typing import Any, NoReturn

import typer

from autoloss.commands import configs, data, estimate, export, formulas, run, search, show, train
from autoloss.commands.measured import audit, fidelity, headroom
from autoloss.commands.pages import report, serve
from primitives.errors import InputError
from primitives.text.printable import printable

_LONGEST = 2000
"""Characters of a line about a mistake."""

_ParserError: type[Exception] = typer.BadParameter.__mro__[2]
"""ClickException, of which typer brings its own."""

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Discovers loss functions for object detectors: proposes formulas, refuses nearly all of them by cheap "
    "checks, trains the rest on a real detector and ranks them.\n\nThe way through it:\n\n"
    "- `autoloss search digits_fcos` finds losses for a tiny detector in minutes (`autoloss configs` has others)\n"
    "- `autoloss search digits_fcos --data train.json --images images` does so on your data\n"
    "- `autoloss show runs/digits_fcos` ranks what was found beside the losses people use\n"
    "- `autoloss report runs/digits_fcos` writes a page that one can put in front of colleagues\n"
    "- `autoloss export runs/digits_fcos` writes the best for stock mmdetection\n"
    "- `autoloss run digits_noisy` does all of it in one folder",
    epilog="Exit codes: 0 it is done, 1 a gate refused the formula, 2 the input is wrong, 130 stopped by Ctrl-C.",
)

for command in (
    search.search,
    show.show,
    report.report,
    serve.serve,
    export.export,
    train.train,
    estimate.estimate,
    headroom.headroom,
    audit.audit,
    run.run,
    fidelity.fidelity,
    formulas.check,
    formulas.inspect,
    formulas.funnel,
    formulas.thresholds,
):
    app.command()(command)
app.add_typer(data.app, name="data")
app.add_typer(configs.app, name="configs")


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


def _with_signs(arguments: list[str]) -> list[str]:
    """A formula that begins with a sign, `-log(i/u)`, is no option; a space before it says so, and its parser skips it.

    The commands have no options of one dash.
    """
    if arguments[:1] not in (["check"], ["inspect"]):
        return arguments
    return [f" {text}" if text.startswith("-") and text[1:2] not in ("-", "") else text for text in arguments]


class _Lines(logging.Formatter):
    """Lines of bounded length, without anything that acts on a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """See logging.Formatter."""
        return "\n".join(printable(line, _LONGEST) for line in super().format(record).split("\n"))


def main() -> None:
    """Entry point: a user's mistake is one line and exit code 2, also where the parser finds it."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Lines("%(levelname)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    command = typer.main.get_command(app)
    try:
        with command.make_context("autoloss", _with_signs(_spread_options(sys.argv[1:]))) as context:
            command.invoke(context)
    except typer.Exit as end:
        code = end.exit_code
    except InputError as error:
        _end(str(error), 2)
    except _ParserError as error:
        _refuse(error)
    except KeyboardInterrupt:
        _end("stopped", 130)
    except OSError as error:
        _end_without_output(error)
    except SystemExit as end:
        if isinstance(end.__context__, OSError):  # Rich ends so where nobody reads any more
            _end_without_output(end.__context__)
        _end(f"what a config is, or imports, ended the process by sys.exit({end.code!r})", 2)
    else:
        code = 0
    try:
        sys.stdout.flush()
    except OSError as error:
        _end_without_output(error)
    raise SystemExit(code)


def _refuse(error: Any) -> NoReturn:
    """What the parser says, which for a command without arguments is its help."""
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        if error.format_message():
            error.show()
        raise SystemExit(error.exit_code) from None
    where = f" ({context.command_path} --help says more)" if context else ""
    _end(f"{_one_line(error)}{where}", error.exit_code)


def _one_line(error: Any) -> str:
    """What the parser says in the words of all other mistakes, with what was meant."""
    said = " ".join(str(error.format_message()).split()).rstrip(".")
    command = getattr(error.ctx, "command", None)
    if type(error).__name__ == "NoSuchOption" and command:
        known = [name for one in command.get_params(error.ctx) for name in one.opts if name.startswith("--")]
        close = difflib.get_close_matches(error.option_name, known, n=1)
        meant = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(sorted(known))}"
        return f"no such option {error.option_name!r}; {meant}"
    if said.startswith("No such command") and command:
        said = said.replace(". Did you mean", "; did you mean")
        said += "" if "did you mean" in said else f"; known: {', '.join(command.list_commands(error.ctx))}"
    return f"{said[:1].lower()}{said[1:]}"


def _end(text: str, code: int) -> NoReturn:
    """Ends with one line of bounded length."""
    with suppress(OSError):  # stderr may be closed, too
        typer.echo(f"autoloss: {printable(text, _LONGEST)}", err=True)
    raise SystemExit(code) from None


def _end_without_output(error: OSError) -> NoReturn:
    """Ends where something cannot be written or read; what Python still holds of the output goes nowhere.

    A reader that has read enough, as `head` does, is no mistake.
    """
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if isinstance(error, BrokenPipeError):
        raise SystemExit(128 + signal.SIGPIPE) from None
    place = f"{error.filename}: " if error.filename else "cannot write or read: "
    _end(f"{place}{error.strerror or error}", 2)

"""The command that tests what a search found, on test images and seeds that took no part in it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Any

import typer

from autoloss.commands.options import MOST, Workers, stderr, stdout
from primitives.errors import InputError
from primitives.text.printable import printable


def audit(
    run: Annotated[
        Path, typer.Argument(help="Directory of a search. Or that of an audit, RUN/audit, to read what it holds.")
    ],
    on: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CONFIG",
            help="Compare the same losses on the detector and data of this search config, too; may be given often.",
        ),
    ] = None,
    seeds: Annotated[
        str | None,
        typer.Option(
            metavar="N",
            help="How many, 5 at least, or which: 201,202,203,204,205. Default: what a power calculation says, 5 to "
            "10; none that took part in the search.",
        ),
    ] = None,
    random: Annotated[
        Path | None, typer.Option(metavar="RUN", help="A random search of the same budget: its best is a control.")
    ] = None,
    headroom: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN",
            help="A measurement of headroom: its best known loss is a control. Default: the best one of the search.",
        ),
    ] = None,
    trials: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=1000,
            help="Evaluations of each slot when a control's weights are tuned. Default: as many as a finalist had.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Of the audit; one that is there goes on. Default: RUN/audit.")
    ] = None,
    workers: Workers = None,
    ray: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Train on a Ray cluster: its address, auto, or local to start one."),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw the differences here, too: PNG, SVG or PDF.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print plain values for scripts.")] = False,
) -> None:
    """Test what a search found, on test images and seeds that took no part in it.

    Up to three finalists meet the controls that a gain must beat: the detector's own loss, as it is, with both weights
    tuned, and balanced by itself; the published pair; the best known loss, tuned; the best of a random search. All are
    trained with the same new seeds and scored on the test split. Stopped, it goes on where it was.

    In the folder lie then audit.json, table.txt and forest.png.

    Examples: `autoloss audit runs/digits_noisy`, `autoloss audit runs/mine --on bccd_fcos --seeds 8 --workers 4`
    """
    from autoloss.audit.document import FOLDER, plain_values
    from autoloss.audit.measure import AUDIT
    from autoloss.audit.verdict import analysed
    from autoloss.pipeline.kinds.audit import elsewhere, held
    from autoloss.report.audit.table import table
    from autoloss.report.plots import audit_plot, fidelity_plot
    from autoloss.store.run import Run

    if plot is not None:
        fidelity_plot.check_file(plot)
    with Run.open(run) as search:
        read = AUDIT in search.description
    if read:
        if any(value is not None for value in (on, seeds, random, headroom, trials, out, workers, ray)):
            raise InputError(f"{run} is an audit that is read, no search; it takes --plot and --json alone")
        found = analysed(run)
    else:
        directory, console, who = out or run / FOLDER, stderr(), _workers(workers, ray)
        others, count = elsewhere(on or []), _seeds(seeds)
        try:
            found = held(run, directory, others, count, random, headroom, trials, who, console)
        except KeyboardInterrupt:
            console.print(f"Stopped. What finished is kept in {directory}; the same command goes on from there.")
            raise typer.Exit(130) from None
    if plot is not None:
        audit_plot.draw(found, plot)
    if as_json:
        typer.echo(json.dumps(plain_values(found), indent=2))
    else:
        stdout().print(table(found))


def _seeds(text: str | None) -> int | list[int] | None:
    """A number of seeds, or seeds."""
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(re.fullmatch("[0-9]{1,10}", part) and int(part) <= MOST for part in parts):
        raise InputError(f"--seeds is how many, such as 8, or which, such as 201,202,203, got {printable(repr(text))}")
    numbers = [int(part) for part in parts]
    if len(numbers) > 1:
        return numbers
    if numbers[0] > _MOST_SEEDS:
        raise InputError(f"--seeds is {_MOST_SEEDS:,} at most, got {numbers[0]:,}; a seed alone is no audit")
    return numbers[0]


_MOST_SEEDS = 1000


def _workers(workers: int | None, ray: str | None) -> dict[str, Any]:
    """Settings of who evaluates."""
    from autoloss.settings import Ray

    found: dict[str, Any] = {}
    if workers is not None:
        found["workers"] = workers
    if ray is not None:
        found["ray"] = Ray(address=ray)
    return found

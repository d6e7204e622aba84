"""The command that measures how well cheap rungs rank."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from autoloss.commands.options import MOST, stderr, stdout
from primitives.errors import InputError


def fidelity(
    config: Annotated[
        Path,
        typer.Argument(
            help="A search config, a path or a name that `autoloss configs` lists; its ladder is measured, its finale "
            "is the truth. Or the directory of a measurement, "
            "to read what it holds."
        ),
    ],
    run: Annotated[
        Path | None, typer.Argument(help="Directory; one that is there goes on. Default: runs/fidelity-CONFIG-NAME.")
    ] = None,
    of: Annotated[
        Path | None, typer.Option(help="Measure on the last losses that this search found, not on random ones.")
    ] = None,
    last: Annotated[int | None, typer.Option(min=2, max=MOST, help="How many of them; 24 if not given.")] = None,
    cfg_options: Annotated[
        list[str] | None, typer.Option("--cfg-options", metavar="KEY=VALUE ...", help="As of `autoloss search`.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=0, max=MOST, help="Processes; 0: one per GPU or core.")] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw every rung against the truth: PNG, SVG or PDF.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print plain values for scripts.")] = False,
) -> None:
    """Measure how well the cheap rungs of a ladder rank: every loss at every rung, and at a long training.

    The losses are the first generation of the config: known ones, and random formulas that pass the gates.

    Examples: `autoloss fidelity configs/fidelity/digits_fcos.py`, `autoloss fidelity results/fidelity/digits_fcos`
    """
    from autoloss.report import tables
    from autoloss.search.fidelity import analysed
    from autoloss.store.run import Run

    if plot is not None:
        from autoloss.report.plots import fidelity_plot

        fidelity_plot.check_file(plot)
    if config.is_dir():
        if cfg_options or any(one is not None for one in (run, of, last, workers)):
            raise InputError(f"{config} is a measurement that is read, not a config; it takes --plot and --json alone")
        with Run.open(config) as store:
            found = analysed(store)
    else:
        if last is not None and of is None:
            raise InputError(f"--last {last} is of the losses that a search found: give --of RUN, too")
        found = _measured(config, run, of, last or 24, list(cfg_options or []), workers)
    if plot is not None:
        fidelity_plot.fidelity(found, plot)
    if as_json:
        typer.echo(json.dumps([asdict(row) for row in found], indent=2))
    else:
        stdout().print(tables.fidelity(found))


def _measured(
    config: Path, run: Path | None, of: Path | None, last: int, options: list[str], workers: int | None
) -> list[Any]:
    """Measures what is missing, with the progress on the screen."""

    from autoloss.config import load
    from autoloss.report.live import Screen
    from autoloss.search.fidelity import FREE, analysed, late, measure_fidelity, rungs
    from autoloss.store.run import Run

    if workers is not None:
        options.append(f"search.workers={workers}")
    settings = load(config, options, "fidelity")
    rungs(settings)
    directory = run or Path("runs") / f"fidelity-{config.stem}"
    console = stderr()
    population = []
    if of is not None:
        with Run.open(of) as search:
            population = late(search, last)
    with Run.create(directory, settings.identity(), FREE) as store:
        try:
            with Screen(settings, console) as screen:
                measure_fidelity(settings, store, population, screen)
        except KeyboardInterrupt:
            console.print(f"Stopped. What finished is kept in {directory}; the same command goes on from there.")
            raise typer.Exit(130) from None
        return analysed(store)

"""The command that searches."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from autoloss.commands.options import (
    MOST,
    CfgOptions,
    Config,
    Data,
    GroupBy,
    Images,
    ImagesToo,
    Size,
    TestData,
    ValData,
    Workers,
    on_data,
    stderr,
    stdout,
)
from primitives.errors import InputError


def search(
    config: Config,
    run: Annotated[
        Path | None, typer.Argument(help="Directory of the run; one that is there goes on. Default: runs/CONFIG-NAME.")
    ] = None,
    cfg_options: CfgOptions = None,
    workers: Workers = None,
    data: Data = None,
    images: Images = None,
    val_data: ValData = None,
    val_images: ImagesToo = None,
    test_data: TestData = None,
    test_images: ImagesToo = None,
    group_by: GroupBy = None,
    size: Size = None,
    ray: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Evaluate on a Ray cluster: its address, auto, or local to start one."),
    ] = None,
    time: Annotated[
        str | None, typer.Option(help="Stop after so much time, such as 2h or 1h30m, earlier sessions included.")
    ] = None,
    evaluations: Annotated[
        int | None,
        typer.Option(min=1, max=MOST, help="Stop after so many trainings, those of earlier sessions included."),
    ] = None,
    generations: Annotated[
        int | None,
        typer.Option(min=1, max=MOST, help="So many generations, then the finale, in place of the config's number."),
    ] = None,
    log_json: Annotated[
        str | None, typer.Option(metavar="FILE", help="Append what happens, a line of JSON each; - for stderr.")
    ] = None,
    tensorboard: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write scalars for TensorBoard; one of its own per session.")
    ] = None,
) -> None:
    """Search for losses: propose, refuse, train, rank.

    The same command with the same directory goes on where it stopped, also after it was killed. Ctrl-C once lets what
    ends within 10 seconds end, twice stops at once.

    Whichever of --time, --evaluations and --generations ends first ends the search with a report. One that --time or
    --evaluations ends has no finale unless it got there; the same command with more of it goes on from there, and ends
    as if it had never stopped. Candidates that are trained together (a rung's batch) are never parted by it.

    Example: `autoloss search digits_fcos`, or `autoloss search my_config.py --time 2h --workers 4`
    """

    from autoloss.config import seconds
    from autoloss.pipeline.kinds.search import searched
    from autoloss.report import tables
    from autoloss.report.logs import json_log
    from autoloss.report.logs import tensorboard as scalars
    from autoloss.store.file import FILE

    options = list(cfg_options or [])
    for key, value in (
        ("workers", workers),
        ("generations", generations),
        ("budget.evaluations", evaluations),
        ("budget.time", None if time is None else seconds(time)),
        ("ray.address", ray),
        ("evaluator.size", size),
    ):
        if value is not None:
            options.append(f"search.{key}={value}")
    settings = on_data(config, options, data, images, val_data, val_images, test_data, test_images, group_by=group_by)
    directory = run or Path("runs") / config.stem
    for option, place in (("--log-json", log_json), ("--tensorboard", tensorboard)):
        inside = place not in (None, "-") and Path(str(place)).absolute().is_relative_to(directory.absolute())
        if inside and not (directory / FILE).exists():
            raise InputError(f"{option} {place} lies in {directory}, which the search makes: name a place beside it")
    console = stderr()
    with json_log.as_json(log_json), scalars.watching(tensorboard) as scalar:
        try:
            board = searched(settings, directory, console, scalar)
        except KeyboardInterrupt:
            console.print(f"Stopped. What finished is kept in {directory}; the same command goes on from there.")
            raise typer.Exit(130) from None
    tables.ending(board, stdout())

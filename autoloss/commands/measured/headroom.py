"""The command that says what a better loss could gain before a search is paid for."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from autoloss.commands.options import (
    CfgOptions,
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


def headroom(
    config: Annotated[
        Path,
        typer.Argument(
            help="A search config, a path or a name that `autoloss configs` lists. Or the directory of a measurement, "
            "to read what it holds."
        ),
    ],
    run: Annotated[
        Path | None, typer.Argument(help="Directory; one that is there goes on. Default: runs/headroom-CONFIG-NAME.")
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(
            min=2, max=1000, help="Trainings of each loss. Default: those of the config's last rung, at least 3."
        ),
    ] = None,
    loss_cls: Annotated[
        list[str] | None,
        typer.Option("--loss-cls", metavar="TEXT", help="A class loss beside the known ones; may be given often."),
    ] = None,
    loss_bbox: Annotated[
        list[str] | None, typer.Option("--loss-bbox", metavar="TEXT", help="The same for a box loss.")
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
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw every training beside the own loss: PNG, SVG or PDF.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print plain values for scripts.")] = False,
) -> None:
    """Say what a better loss could gain here, before a search is paid for.

    Trains the known losses that fit the config, and the own loss with other weights, at the config's last rung with a
    few seeds: whether they differ by more than seeds do, the best of them beside the own loss, the least difference
    that seeds can show, and the time that the search would take. Stopped, it goes on where it was.

    Examples: `autoloss headroom digits_noisy`, `autoloss headroom own_fcos --data my_data --size small --seeds 5`
    """
    from autoloss.pipeline.kinds.headroom import measured
    from autoloss.report import headroom_table
    from autoloss.search.headroom.verdict import analysed
    from autoloss.store.run import Run

    if plot is not None:
        from autoloss.report.plots import fidelity_plot, headroom_plot

        fidelity_plot.check_file(plot)
    options = list(cfg_options or [])
    given = (data, images, val_data, val_images, test_data, test_images)
    if config.is_dir():
        if (
            options
            or loss_cls
            or loss_bbox
            or any(value is not None for value in (run, seeds, workers, group_by, size, *given))
        ):
            raise InputError(f"{config} is a measurement that is read, not a config; it takes --plot and --json alone")
        with Run.open(config) as store:
            found = analysed(store)
    else:
        for key, value in (("workers", workers), ("evaluator.size", size)):
            if value is not None:
                options.append(f"search.{key}={value}")
        settings = on_data(config, options, *given, group_by=group_by)
        texts = {"loss_cls": loss_cls or [], "loss_bbox": loss_bbox or []}
        directory, console = run or Path("runs") / f"headroom-{config.stem}", stderr()
        try:
            found = measured(settings, directory, seeds, texts, console)
        except KeyboardInterrupt:
            console.print(f"Stopped. What finished is kept in {directory}; the same command goes on from there.")
            raise typer.Exit(130) from None
    if plot is not None:
        headroom_plot.draw(found, plot)
    if as_json:
        typer.echo(json.dumps(asdict(found), indent=2))
    else:
        stdout().print(headroom_table.table(found))

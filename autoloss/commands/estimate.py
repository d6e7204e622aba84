"""The command that says what a search will cost."""

from __future__ import annotations

import json
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
    finite,
    on_data,
    stderr,
    stdout,
)


def estimate(
    config: Config,
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
    generations: Annotated[int | None, typer.Option(min=1, max=MOST, help="As of `autoloss search`.")] = None,
    seconds: Annotated[
        float,
        typer.Option(
            min=0.1,
            max=86400,
            callback=finite,
            help="About so many for each thing that is measured; more comes closer.",
        ),
    ] = 8.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print plain values for scripts.")] = False,
) -> None:
    """Estimate what a search will cost: wall-clock, core-hours or GPU-hours, memory and disk, rung by rung.

    Does a little of everything on this machine with the config's evaluator: proposals and gates, and some real
    iterations and images of every rung, with as many workers at once as the search would have. Nothing is kept but
    prepared data.

    Example: `autoloss estimate configs/search/digits_fcos.py --cfg-options search.generations=12`
    """

    from autoloss.report import cost_tables
    from autoloss.report.live import Steps
    from autoloss.search import profiling

    options = list(cfg_options or [])
    for key, value in (("workers", workers), ("generations", generations), ("evaluator.size", size)):
        if value is not None:
            options.append(f"search.{key}={value}")
    settings = on_data(config, options, data, images, val_data, val_images, test_data, test_images, group_by=group_by)
    with Steps(stderr()) as steps:
        try:
            measured = profiling.measure_costs(settings, seconds, steps)
        except KeyboardInterrupt:
            typer.echo("Stopped; nothing is kept of an estimate.", err=True)
            raise typer.Exit(130) from None
    found = cost_tables.summary(settings, measured)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    else:
        stdout().print(cost_tables.table(found))

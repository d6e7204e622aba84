"""The command that runs a pipeline: from data to a trained detector in one file."""

from __future__ import annotations

import json
from math import inf
from pathlib import Path
from typing import Annotated, Any

import typer

from autoloss.commands.data import described
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
    finite,
    stderr,
    stdout,
)


def run(
    pipeline: Annotated[
        Path, typer.Argument(help="A pipeline config: a path, or the name of one that `autoloss configs` lists.")
    ],
    folder: Annotated[
        Path | None, typer.Argument(help="Of all steps; one that is there goes on. Default: runs/pipeline-NAME.")
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
    time: Annotated[
        str | None,
        typer.Option(
            help="Of all steps and sessions, such as 12h: it is shared out among the steps, and said; none lifts it."
        ),
    ] = None,
    first: Annotated[
        str | None,
        typer.Option("--from", metavar="STEP", help="Begin with this step; what is needed of those before it is done."),
    ] = None,
    only: Annotated[str | None, typer.Option(metavar="STEP", help="Do this step and no other.")] = None,
    anew: Annotated[
        bool,
        typer.Option("--anew", help="Steps that have changed are done anew; what they left is kept beside them."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done and what it would take; nothing is kept.")
    ] = False,
    seconds: Annotated[
        float,
        typer.Option(
            min=0.1, max=86400, callback=finite, help="Of --dry-run and --time: about so many for each measurement."
        ),
    ] = 8.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the index as plain values for scripts.")] = False,
) -> None:
    """Run a pipeline: headroom, searches, audit, training, export and report, each with what those before it found.

    Every step does what the command of its name does, in a folder of its own; pipeline.json in FOLDER says what became
    of each. Stopped or killed, the same command goes on where it was.

    Examples: `autoloss run digits_noisy`, `autoloss run own_data --data my_data --time 12h --dry-run`
    """
    from autoloss.config import seconds as parsed
    from autoloss.pipeline import plan, tables
    from autoloss.pipeline.flow import Asked, Flow
    from autoloss.pipeline.kinds.table import FIGURES

    given = described(data, images, val_data, val_images, test_data, test_images, group_by)
    more: dict[str, Any] = {"workers": workers, "size": size}
    whole = None if time is None else inf if time == "none" else parsed(time)
    asked = Asked(first, only, anew, whole, seconds)
    found = plan.load(pipeline, cfg_options or [], given, more, FIGURES)
    place = folder or Path("runs") / f"pipeline-{pipeline.stem}"
    flow = Flow(found, place, asked, stderr())
    if dry_run:
        _outline(flow, as_json)
        return
    try:
        flow.run()
    except KeyboardInterrupt:
        said = f"Stopped. What finished is kept in {place}; the same command goes on from there."
        stderr().print(said, soft_wrap=True)
        raise typer.Exit(130) from None
    if as_json:
        typer.echo((place / "pipeline.json").read_text(encoding="utf-8"), nl=False)
    else:
        stdout().print(tables.ending(flow.index, found, place))


def _outline(flow: Any, as_json: bool) -> None:
    """Says what would be done."""
    from autoloss.pipeline import tables

    todo = flow.check()
    left = flow.left(todo)
    costs = flow.projected(left)
    shares = flow.shares(todo)
    if as_json:
        whole = {name: {str(amount): one for amount, one in each.items()} for name, each in costs.items()}
        typer.echo(json.dumps({"steps": [step.name for step in left], "seconds": whole}, indent=2))
        return
    stdout().print(tables.outline(flow.pipeline, flow.index, left, costs))
    if shares is not None:
        stdout().print(shares)

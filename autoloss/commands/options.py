"""Options, and what a command does with them, that several commands share."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any

import typer

from autoloss.commands.data import described

MOST = 2**31 - 1
"""Of anything that is counted."""
MOST_SEED = 2**32 - 1


def finite(value: float | None) -> float | None:
    """Refuses nan, which a range of the parser may let pass."""
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value} is not a finite number")
    return value


Alpha = Annotated[
    float | None,
    typer.Option(min=0, max=1, callback=finite, help="Weight of the target column of a sigmoid loss given as text."),
]
WeightCls = Annotated[
    float | None,
    typer.Option(
        min=0, max=1e9, callback=finite, help="loss_weight. Default: that of the run, or as the loss it replaces."
    ),
]
WeightBbox = Annotated[float | None, typer.Option(min=0, max=1e9, callback=finite, help="The same for the box loss.")]
Candidate = Annotated[int | None, typer.Option(min=0, max=MOST, help="This candidate of the run.")]
Config = Annotated[Path, typer.Argument(help="A search config, such as configs/search/digits_fcos.py.")]
CfgOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--cfg-options",
        metavar="KEY=VALUE ...",
        help="Overrides config values, as in mmdetection: `--cfg-options search.generations=2 search.births=6`.",
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(min=0, max=MOST, help="Processes, one thread each; 0 is one per core. The result is the same."),
]
Data = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Annotations in COCO format to train on, or a dataset config (.py)."),
]
Images = Annotated[Path | None, typer.Option(metavar="FOLDER", help="Of the images of --data.")]
ValData = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Default: a fixed fifth of the images of --data is held out.")
]
TestData = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Default: without --val-data another fifth, with it none.")
]
ImagesToo = Annotated[Path | None, typer.Option(metavar="FOLDER", help="Default: that of --images.")]


def on_data(config: Path, options: list[str], *data: Path | None) -> Any:
    """The settings of a search, on the data that options name."""
    from autoloss.settings import load

    settings = load(config, options)
    given = described(*data)
    return settings if given is None else settings.on(given)


def stdout() -> Any:
    """Where tables go."""
    from autoloss import terminal

    return terminal.stdout()


def stderr() -> Any:
    """Where progress goes."""
    from autoloss import terminal

    return terminal.stderr()

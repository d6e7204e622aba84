"""Options, and what a command does with them, that several commands share."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from autoloss.commands.data import described

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
    int | None, typer.Option(min=0, help="Processes, one thread each; 0 is one per core. The result is the same.")
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
    from rich.console import Console

    # Formulas are long: where nobody watches, lines may be longer than a terminal of 80 columns.
    return Console() if sys.stdout.isatty() else Console(width=120)

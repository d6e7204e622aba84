"""Options, and what a command does with them, that several commands share."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from autoloss.commands.data import described
from primitives.errors import InputError
from primitives.text.printable import printable

Given = TypeVar("Given")
MOST = 2**31 - 1
"""Of anything that is counted."""
MOST_SEED = 2**32 - 1


def finite(value: float | None) -> float | None:
    """Refuses nan, which a range of the parser may let pass."""
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value} is not a finite number")
    return value


def by_slot(**given: Given | None) -> dict[str, Given]:
    """What was given of options that each slot has one of, by the names of the slots."""
    return {slot: value for slot, value in given.items() if value is not None}


# Names of the rows of primitives.catalog, which would bring torch for a line of help; a test holds them equal.
BOX_GRAMMARS = ("box", "box_pixels", "box_extended", "box_wide")
CLASS_GRAMMARS = ("softmax", "sigmoid", "softmax_wide", "sigmoid_wide")
ANY_GRAMMAR = ", ".join((*BOX_GRAMMARS, *CLASS_GRAMMARS))
ClassGrammar = Annotated[
    str | None,
    typer.Option(help=f"Of a class formula, where it fits more than one: {', '.join(CLASS_GRAMMARS)}."),
]
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
Config = Annotated[
    Path, typer.Argument(help="A search config: a path, or the name of one that `autoloss configs` lists: digits_fcos.")
]
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
    typer.Option(
        min=0, max=MOST, help="Processes, one thread each; 0: one per GPU, else per core. The result is the same."
    ),
]
Data = Annotated[
    Path | None,
    typer.Option(
        metavar="PATH",
        help="What to train on: COCO JSON, a folder (COCO, YOLO, VOC, LabelImg, what Roboflow exports) with its "
        "splits, or a dataset config (.py).",
    ),
]
Images = Annotated[
    Path | None, typer.Option(metavar="FOLDER", help="Of the images of COCO JSON. Default: it is found.")
]
ValData = Annotated[
    Path | None,
    typer.Option(metavar="PATH", help="Default: that of --data, or a fixed fifth of its images is held out."),
]
TestData = Annotated[
    Path | None,
    typer.Option(metavar="PATH", help="Default: that of --data, or without --val-data another fifth, with it none."),
]
GroupBy = Annotated[
    str | None,
    typer.Option(
        metavar="REGEX",
        help="Images whose file names it matches alike (its first bracket, or all of it) are held out together: frames "
        "of a film, tiles of a scene.",
    ),
]
ImagesToo = Annotated[Path | None, typer.Option(metavar="FOLDER", help="Default: that of --images.")]

Canonical = Annotated[
    bool, typer.Option("--canonical", help="Formulas in full, in call form, as JSON and the run file have them.")
]


_OF_DATA = "search.evaluator.data"


Size = Annotated[
    str | None,
    typer.Option(
        metavar="SIZE",
        help="small (a laptop), medium (one GPU) or full (mmdetection's own R-50): image size, strides and anchors are "
        "chosen from the boxes. Default: the config's.",
    ),
]


def on_data(config: Path, options: list[str], *data: Path | None, group_by: str | None = None) -> Any:
    """The settings of a search, on the data that options name; --cfg-options about the data then change that."""
    from autoloss.config import load, parsed

    train, images, val, val_images, test, test_images = data
    given = described(train, images, val, val_images, test, test_images, group_by)
    if given is None:
        return load(config, options)
    of_data = [text for text in options if text.partition("=")[0].strip().split(".")[:3] == _OF_DATA.split(".")]
    settings = load(config, [text for text in options if text not in of_data])
    for key, value in parsed(of_data, f"{_OF_DATA}.hold_out=100").items():
        _put(given, key, value)
    return settings.on(given)


def _put(given: dict[str, Any], key: str, value: object) -> None:
    """Sets a key of data that options name, unless they name it."""
    inner = key.split(".")[3:]
    if not inner or inner[0] in ("type", "train", "val", "test"):
        named = "--data, --val-data and --test-data name what is trained and evaluated on"
        raise InputError(f"--cfg-options {printable(key, 80)} beside --data: {named}; leave one of them out")
    place = given
    for name in inner[:-1]:
        place = place.setdefault(name, {})
        if not isinstance(place, dict):
            raise InputError(f"--cfg-options {printable(key, 80)}: {name} of the data has no keys")
    place[inner[-1]] = value


def stdout() -> Any:
    """Where tables go."""
    from autoloss.report import terminal

    return terminal.stdout()


def stderr() -> Any:
    """Where progress goes."""
    from autoloss.report import terminal

    return terminal.stderr()

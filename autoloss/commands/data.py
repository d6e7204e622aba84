"""The commands about data; thin. What reads data lies in another package and is reached by its name."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from primitives.errors import InputError
from primitives.system.files import write_whole
from primitives.system.names import reached
from primitives.text.printable import printable

CHECK = "detectors.data.check:checked_splits"
CONVERTERS = {
    "voc": "detectors.data.convert.voc:voc",
    "yolo": "detectors.data.convert.yolo:yolo",
    "bdd100k": "detectors.data.convert.bdd100k:bdd100k",
    "auto": "detectors.data.convert.converted:any_format",
}
"""Who makes COCO files of a format, as 'module:function'."""
DESCRIBED = "detectors.data.splits:described"
DIGITS = "detectors.data.digits:write"
LOOK = "detectors.data.splits:look"
PART, PARTS = "detectors.data.convert.layouts:part", "detectors.data.convert.layouts:parts"
VOC = "detectors.data.convert.voc:VOC"

app = typer.Typer(no_args_is_help=True, help="Look through a data set, convert one, or write the digit scenes.")


def described(
    data: Path | None,
    images: Path | None,
    val: Path | None,
    val_images: Path | None,
    test: Path | None,
    test_images: Path | None,
    group_by: str | None = None,
) -> dict[str, Any] | None:
    """A description of data from options; None where none was given.

    Args:
        data: in any known format, a folder with its splits, or a dataset config (.py), which takes no other option.
        images: folder of the images of all splits that do not name their own.
        val: in any known format; in place of the split that `data` has.
        val_images: folder.
        test: in any known format; in place of the split that `data` has.
        test_images: folder.
        group_by: regular expression on file names.

    Raises:
        InputError: options that do not belong together, or a path that is no data in a known format at first sight.
    """
    others = {
        "--images": images,
        "--val-data": val,
        "--val-images": val_images,
        "--test-data": test,
        "--test-images": test_images,
        "--group-by": group_by,
    }
    given = [option for option, value in others.items() if value is not None]
    if data is None:
        if given:
            raise InputError(f"{given[0]} needs --data, the annotations to train on")
        return None
    if data.suffix == ".py":
        if given:
            raise InputError(f"--data {data} is a dataset config and names every split; {given[0]} is for annotations")
        found: dict[str, Any] = reached(DESCRIBED)(data)
        reached(LOOK)(found)
        return found
    parts: dict[str, Any] = reached(PARTS)(data, images)
    if "train" not in parts:
        raise InputError(f"--data {printable(data)} has no split to train on; it has {', '.join(parts)}")
    for name, file, folder in (("val", val, val_images), ("test", test, test_images)):
        if file is not None:
            parts[name] = reached(PART)(name, file, folder or (None if file.is_dir() else images))
        elif folder is not None:
            raise InputError(f"--{name}-images needs --{name}-data, the annotations")
    description = {"type": "coco", **parts, **({} if group_by is None else {"group_by": group_by})}
    reached(LOOK)(description)
    return description


@app.command()
def check(
    annotations: Annotated[
        Path, typer.Argument(help="COCO JSON, or a folder: COCO, YOLO, VOC, LabelImg, what Roboflow exports.")
    ],
    images: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="That the file names of COCO JSON are relative to. Default: it is found."),
    ] = None,
    group_by: Annotated[
        str | None,
        typer.Option(
            metavar="REGEX",
            help="Images whose file names it matches alike belong together. Default: what the names suggest.",
        ),
    ] = None,
    read: Annotated[bool, typer.Option("--read", help="Open every image; else 32 of them, spread evenly.")] = False,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw sizes and classes: PNG, SVG or PDF by the file's ending.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print plain values for scripts.")] = False,
) -> None:
    """Look through a data set: counts, classes, box sizes, and everything that is wrong, also between its splits.

    Exit code 0 when it can be used, 1 when a problem stops a training, 2 when the input is no data set. `--plot` draws
    the split that is trained on.

    Examples:

    - `autoloss data check train.json --images images`
    - `autoloss data check my_data --group-by '^(.+)_frame'`
    """
    found = reached(CHECK)(annotations, images, read, group_by)
    splits = found["splits"]
    if plot is not None:
        from autoloss.report.plots import data_plot

        data_plot.draw(splits.get("train") or next(iter(splits.values())), plot)
    if as_json:
        typer.echo(json.dumps(_alone(found) if len(splits) == 1 else found, indent=2))
    else:
        from rich.console import Console

        from autoloss.report import data_tables

        console = Console() if sys.stdout.isatty() else Console(width=120)
        console.print(data_tables.checked_splits(found))
    raise typer.Exit(0 if found["usable"] else 1)


def _alone(found: Mapping[str, Any]) -> dict[str, Any]:
    """Of data without splits, what was found in it and of it."""
    (one,) = found["splits"].values()
    return {**one, "problems": one["problems"] + found["problems"], "usable": found["usable"]}


@app.command()
def convert(
    kind: Annotated[
        str,
        typer.Argument(
            metavar="FORMAT",
            help="voc: Pascal VOC and LabelImg's XML; yolo; bdd100k; auto: any but that, recognised by itself.",
        ),
    ],
    source: Annotated[
        Path,
        typer.Argument(help="Folder (VOCdevkit/VOC2007; any with XML; of YOLO, or its data.yaml), or BDD100K's JSON."),
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The COCO JSON to write.")],
    split: Annotated[
        str | None,
        typer.Option(
            help="voc: the list in ImageSets/Main, such as trainval, or a folder; yolo, auto: train, val, test. "
            "Default: all."
        ),
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,...",
            help="voc, yolo: names in this order, or `voc` for VOC's 20. Default: those of the source.",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
) -> None:
    """Convert labels to COCO format.

    Examples:

    - `autoloss data convert voc VOCdevkit/VOC2007 --split trainval --out voc07_trainval.json`
    - `autoloss data convert yolo my_data --split train --out my_data/train.json`
    - `autoloss data convert auto roboflow_export --split val --out val.json`
    """
    if kind not in CONVERTERS:
        raise InputError(f"unknown format {kind!r}; choices: {', '.join(CONVERTERS)}")
    if out.exists() and not force:
        raise InputError(f"{out} is there; write over it with --force")
    for option, value in (("--split", split), ("--classes", classes)):
        if value is not None and kind == "bdd100k":
            raise InputError(f"{option} is for voc and yolo; a file of {kind} is one split of 10 classes")
    names = None if classes is None else _names(classes)
    options = {name: value for name, value in (("split", split), ("classes", names)) if value is not None}
    made = reached(CONVERTERS[kind])(source, **options)
    _write(out, json.dumps(made))
    counts = ", ".join(f"{len(made[name])} {word}" for name, word in _WORDS.items())
    typer.echo(f"{printable(out, None)}: {counts}")


def _names(text: str) -> list[str]:
    """Names of classes, of an option."""
    names = list(reached(VOC)) if text == "voc" else [name.strip() for name in text.split(",")]
    if not all(names) or len(set(names)) != len(names):
        raise InputError(f"--classes takes different names with commas between, got {printable(repr(text))}")
    return names


_WORDS = {"images": "images", "annotations": "boxes", "categories": "classes"}


@app.command()
def digits(
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Made where it is missing.")],
    train: Annotated[int, typer.Option(min=1, help="Number of scenes.")] = 1000,
    val: Annotated[int, typer.Option(min=1, help="Number of scenes.")] = 200,
    test: Annotated[int, typer.Option(min=1, help="Number of scenes.")] = 300,
    seed: Annotated[int, typer.Option(min=0, help="Of the drawing.")] = 0,
    long_tail: Annotated[
        float, typer.Option(min=1, help="How many times as frequent digit 0 is as digit 9; not in test.")
    ] = 1.0,
    label_noise: Annotated[float, typer.Option(min=0, help="Share of boxes with a wrong class; not in test.")] = 0.0,
    box_noise: Annotated[
        float,
        typer.Option(min=0, help="How far edges are off: s.d. as a share of the side; not in test."),
    ] = 0.0,
    missing: Annotated[float, typer.Option(min=0, help="Share of boxes that are left out; not in test.")] = 0.0,
) -> None:
    """Write the scenes of handwritten digits as a data set in COCO format: train, val and test.

    Examples: `autoloss data digits --out digits`, `autoloss data digits --out noisy --label-noise 0.3`
    """
    counts = {"train": train, "val": val, "test": test}
    harm = {"long_tail": long_tail, "label_noise": label_noise, "box_noise": box_noise, "missing": missing}
    reached(DIGITS)(out, counts, seed, harm)
    typer.echo("\n".join(f"{out / split}.json: {count} images in {out / split}" for split, count in counts.items()))


def _write(file: Path, text: str) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write {file}: {error}") from None
    write_whole(file, text)

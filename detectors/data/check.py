"""Data check: what a data set in COCO format holds, and everything that is wrong with it, as plain values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from detectors.data import images as pictures
from detectors.data.annotations import inspect, is_ignored, read, uncollected
from detectors.data.between import groups
from detectors.data.between.classes import foreign
from detectors.data.convert.converted import as_coco
from detectors.data.convert.layouts import parts
from detectors.data.findings import Findings
from primitives.errors import InputError

_AREAS = {"small": (0, 32**2), "medium": (32**2, 96**2), "large": (96**2, np.inf)}  # COCO's, px
_SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)
_BINS = 48


def checked(annotations: str | Path, images: str | Path, read_all: bool = False) -> dict[str, Any]:
    """Looks through a data set.

    Args:
        annotations: path of the JSON file.
        images: folder of the images.
        read_all: open every image, not a sample.

    Returns:
        `images`, `boxes`, `crowd` and `left_out` counts; `opened`, the images that were opened; `classes`, each with
        `name`, `boxes` and `images`; `sizes`, boxes by COCO's areas; `quantiles` of width, height and side (square
        root of width times height) in px; `histogram` of widths and heights; `problems`, each with `name`, `count`,
        `first` and `stops`; `usable`.

    Raises:
        InputError: no COCO JSON, or no folder.
    """
    file, folder = Path(annotations), Path(images)
    content = read(file)
    if not folder.is_dir():
        raise InputError(f"no image folder at {str(images)!r}")
    with uncollected():
        found = inspect(content)
    entries = found.content["images"]
    absent = set(pictures.missing([image["file_name"] for image in entries], folder))
    if absent:
        first = next(image["file_name"] for image in entries if image["file_name"] in absent)
        found.findings.stop("missing image", "{!r} is not in {}", first, folder, count=len(absent))
    there = [image for image in entries if image["file_name"] not in absent]
    opened = there if read_all else pictures.sample(there)
    pictures.look(opened, folder, found.findings)
    boxes = [entry for entry in found.content["annotations"] if not is_ignored(entry)]
    problems = found.findings.problems()
    return {
        "annotations": str(file),
        "folder": str(folder),
        "images": len(entries),
        "opened": len(opened),
        "boxes": len(boxes),
        "crowd": sum(entry["iscrowd"] for entry in found.content["annotations"]),
        "left_out": found.left_out,
        "classes": _classes(found.content["categories"], boxes),
        **_sizes(boxes),
        "problems": [asdict(problem) for problem in problems],
        "usable": not any(problem.stops for problem in problems),
    }


def checked_splits(
    path: str | Path, images: str | Path | None = None, read_all: bool = False, group_by: str | None = None
) -> dict[str, Any]:
    """Looks through every split of data in any known format, and at what must hold between them.

    Args:
        path: as of `layouts.parts`.
        images: folder of the images, for COCO JSON; None for where they are found.
        read_all: open every image, not a sample.
        group_by: regular expression on file names, by which images belong together; None to look for one.

    Returns:
        `splits`, each as `checked` gives it; `problems` between them; `usable`.

    Raises:
        InputError: no data in a known format, no folder, or no regular expression.
    """
    if group_by is not None:
        groups.expression(group_by)
    found: dict[str, dict[str, Any]] = {}
    names: dict[str, list[str]] = {}
    there = parts(path, images)
    for split, part in there.items():
        file, folder = as_coco(part["annotations"], part.get("images"), part.get("split"))
        called = f"{part['annotations']} ({split})" if len(there) > 1 else part["annotations"]
        found[split] = checked(file, folder, read_all) | {"annotations": called}
        with uncollected():
            content = read(file)
        names[split] = [image["file_name"] for image in content["images"] if _is_named(image)]
        if "images" not in part:
            found[split]["problems"] += content.get("info", {}).get("notes", [])  # of our own conversion
    between = Findings()
    _compare_classes(found, between)
    _look_at_groups(names, group_by, between)
    problems = between.problems()
    usable = all(one["usable"] for one in found.values()) and not any(problem.stops for problem in problems)
    return {"splits": found, "problems": [asdict(problem) for problem in problems], "usable": usable}


def _is_named(image: object) -> bool:
    return isinstance(image, dict) and isinstance(image.get("file_name"), str)


def _compare_classes(found: Mapping[str, Mapping[str, Any]], between: Findings) -> None:
    """By their names: what a search would refuse, and what it would tell."""
    if "train" not in found:
        between.stop("no training split", "there is none for train; there are {}", ", ".join(found))
        return
    trained = [row["name"] for row in found["train"]["classes"]]
    for split in (split for split in found if split != "train"):
        rows = found[split]["classes"]
        here = tuple(row["name"] for row in rows)
        bare = tuple(row["name"] for row in rows if not row["boxes"])
        refusal = foreign(here, bare, trained, split, "train")
        if refusal:
            between.stop("class that training lacks", "{}", refusal)
        for name in trained:
            if name not in here or name in bare:
                between.tell(f"class without boxes in {split}: mAP is over the others", "no box of class {!r}", name)


def _look_at_groups(names: Mapping[str, list[str]], group_by: str | None, between: Findings) -> None:
    """Images of one group on both sides of splits that are given, or of one that would be held out."""
    every = [name for part in names.values() for name in part]
    told = (group_by, "a group") if group_by else groups.looks_grouped(every)
    if told is None or "train" not in names:
        return
    text, what = told
    for split, (count, number, first) in groups.straddling(names, text).items():
        template = "{} images of {} share one of {} groups with train, first {!r}: its scores flatter (group_by {!r})"
        between.tell(f"{what} on both sides", template, count, split, number, first, text, count=count)
    if len(names) == 1 and group_by is None:
        template = "images held out would be of groups that are trained on, such as {!r}; --group-by {!r} keeps these"
        together = Counter(groups.group(name, text) for name in every)
        count = sum(size for size in together.values() if size > 1)
        between.tell(f"{what} on both sides", template + " together", together.most_common(1)[0][0], text, count=count)


def _classes(categories: Sequence[Mapping[str, Any]], boxes: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    counts = Counter(entry["category_id"] for entry in boxes)
    pairs = Counter(category for category, _ in {(entry["category_id"], entry["image_id"]) for entry in boxes})
    return [{"name": str(c["name"]), "boxes": counts[c["id"]], "images": pairs[c["id"]]} for c in categories]


def _sizes(boxes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    areas = np.array([entry["area"] for entry in boxes], dtype=float)
    wide, high = np.array([entry["bbox"][2:] for entry in boxes], dtype=float).reshape(-1, 2).T
    sides = {"width": wide, "height": high, "side": np.sqrt(wide * high)}
    quantiles = {
        name: {f"{share:g}": float(value) for share, value in zip(_SHARES, np.quantile(side, _SHARES), strict=True)}
        for name, side in sides.items()
        if len(side)
    }
    edges = np.geomspace(1, max(2.0, *wide, *high), _BINS + 1) if len(boxes) else np.geomspace(1, 2, _BINS + 1)
    grid, _, _ = np.histogram2d(wide, high, bins=(edges, edges))
    return {
        "sizes": {name: int(((areas >= low) & (areas < high_)).sum()) for name, (low, high_) in _AREAS.items()},
        "quantiles": quantiles,
        "histogram": {
            "edges": edges.tolist(),
            "side": np.histogram(sides["side"], edges)[0].tolist(),
            "width by height": grid.astype(int).tolist(),
        },
    }

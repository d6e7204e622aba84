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

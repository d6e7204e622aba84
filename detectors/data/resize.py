"""Resized: a data set with its images made smaller once, so that small detectors do not decode large files."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from detectors.data.cache import cache_folder, once
from detectors.data.coco import CocoSource, coco_source
from primitives.errors import InputError
from primitives.text.printable import printable


def resized(source: CocoSource, longest: int) -> CocoSource:
    """The same images, none of them longer than `longest` px, kept in the cache; outlines of objects are dropped.

    Args:
        source: checked.
        longest: most pixels of the longer side, from 16.

    Raises:
        InputError: `longest` is no such number, or an image cannot be read.
    """
    if not isinstance(longest, int) or isinstance(longest, bool) or not 16 <= longest < 2**31:
        raise InputError(f"data.longest must be a whole number of pixels from 16, got {longest!r}")
    key = hashlib.sha256(f"{source.annotations} {source.images} {longest}".encode()).hexdigest()[:12]
    place = once(cache_folder() / f"resized-{key}", lambda fresh: _write(source, longest, fresh))
    found = coco_source(place / "annotations.json", place / "images", source.name)
    return replace(found, left_out=source.left_out + found.left_out, held_out_of=source.held_out_of)


def _write(source: CocoSource, longest: int, folder: Path) -> None:
    import cv2

    content = json.loads(source.annotations.read_text())
    (folder / "images").mkdir()
    factors: dict[Any, tuple[float, float]] = {}
    images = []
    for number, image in enumerate(content["images"]):
        pixels = cv2.imread(str(source.images / image["file_name"]))
        if pixels is None:
            raise InputError(f"{printable(source.images / image['file_name'])}: not an image that can be read")
        height, width = pixels.shape[:2]
        share = min(1.0, longest / max(height, width))
        size = (max(1, round(width * share)), max(1, round(height * share)))
        name = f"{number:06d}.png"
        cv2.imwrite(str(folder / "images" / name), cv2.resize(pixels, size, interpolation=cv2.INTER_AREA))
        factors[image["id"]] = (size[0] / width, size[1] / height)
        images.append({"id": image["id"], "file_name": name, "width": size[0], "height": size[1]})
    boxes = []
    for entry in content["annotations"]:
        x, y, w, h = entry["bbox"]
        across, down = factors[entry["image_id"]]
        scaled = {"bbox": [x * across, y * down, w * across, h * down], "area": entry["area"] * across * down}
        boxes.append({name: value for name, value in entry.items() if name != "segmentation"} | scaled)
    clean = {"images": images, "annotations": boxes, "categories": content["categories"]}
    (folder / "annotations.json").write_text(json.dumps(clean))

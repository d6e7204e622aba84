"""One data set in the formats that people keep their boxes in."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

Content = Mapping[str, Any]


def part_of(file: Path, count: int) -> dict[str, Any]:
    """The first images of a file in COCO format, with whole boxes."""
    content = json.loads(file.read_text())
    images = content["images"][:count]
    ids = {image["id"] for image in images}
    entries = [e for e in content["annotations"] if e["image_id"] in ids and min(e["bbox"][2:]) >= 1]
    return {"images": images, "annotations": entries, "categories": content["categories"]}


def names_of(content: Content) -> list[str]:
    return [category["name"] for category in sorted(content["categories"], key=lambda one: one["id"])]


def write_coco(root: Path, splits: Mapping[str, Content], images: Path, roboflow: bool = False) -> Path:
    """train.json and its kin beside folders of images, or what Roboflow exports."""
    for split, content in splits.items():
        folder = root / ("valid" if roboflow and split == "val" else split)
        _copy(content, images, folder)
        file = folder / "_annotations.coco.json" if roboflow else root / f"{split}.json"
        file.write_text(json.dumps(content))
    return root


def write_yolo(root: Path, splits: Mapping[str, Content], images: Path, roboflow: bool = False) -> Path:
    """images/SPLIT with labels/SPLIT, or SPLIT/images with SPLIT/labels as Roboflow has them; with data.yaml."""
    lines = [f"names: {json.dumps(names_of(splits['train']))}"]
    for split, content in splits.items():
        inner = "valid" if split == "val" else split
        folder = root / inner / "images" if roboflow else root / "images" / split
        labels = root / inner / "labels" if roboflow else root / "labels" / split
        _copy(content, images, folder)
        labels.mkdir(parents=True)
        lines.append(f"{split}: {'../' + inner + '/images' if roboflow else 'images/' + split}")
        for image, entries in _by_image(content):
            rows = (_yolo_line(entry, image, content) for entry in entries)
            (labels / Path(image["file_name"]).with_suffix(".txt").name).write_text("\n".join(rows))
    (root / "data.yaml").write_text("\n".join(lines))
    return root


def write_voc(root: Path, splits: Mapping[str, Content], images: Path, devkit: bool = False) -> Path:
    """XML beside the images of a folder for each split, or a devkit with ImageSets."""
    for split, content in splits.items():
        inner = "valid" if split == "val" else split
        folder = root / "JPEGImages" if devkit else root / inner
        labels = root / "Annotations" if devkit else folder
        _copy(content, images, folder)
        labels.mkdir(parents=True, exist_ok=True)
        for image, entries in _by_image(content):
            (labels / Path(image["file_name"]).with_suffix(".xml").name).write_text(_xml(image, entries, content))
        if devkit:
            (root / "ImageSets" / "Main").mkdir(parents=True, exist_ok=True)
            stems = "\n".join(Path(image["file_name"]).stem for image in content["images"])
            (root / "ImageSets" / "Main" / f"{split}.txt").write_text(stems)
    return root


def permuted(content: Content, classes: Sequence[str]) -> dict[str, Any]:
    """The same with other category ids: in the order of some names."""
    ids = {name: 10 * place + 3 for place, name in enumerate(classes)}
    names = {category["id"]: category["name"] for category in content["categories"]}
    return {
        **content,
        "categories": [{"id": ids[name], "name": name} for name in classes],
        "annotations": [{**e, "category_id": ids[names[e["category_id"]]]} for e in content["annotations"]],
    }


def _copy(content: Content, images: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for image in content["images"]:
        shutil.copy(images / image["file_name"], folder / image["file_name"])


def _by_image(content: Content) -> list[tuple[Content, list[Content]]]:
    return [(one, [e for e in content["annotations"] if e["image_id"] == one["id"]]) for one in content["images"]]


def _name(entry: Content, content: Content) -> str:
    return next(str(one["name"]) for one in content["categories"] if one["id"] == entry["category_id"])


def _yolo_line(entry: Content, image: Content, content: Content) -> str:
    x, y, w, h = entry["bbox"]
    shares = ((x + w / 2) / image["width"], (y + h / 2) / image["height"], w / image["width"], h / image["height"])
    return " ".join([str(names_of(content).index(_name(entry, content))), *(f"{share:.12f}" for share in shares)])


def _xml(image: Content, entries: Sequence[Content], content: Content) -> str:
    objects = "".join(
        f"<object><name>{escape(_name(entry, content))}</name><bndbox><xmin>{x + 1}</xmin><ymin>{y + 1}</ymin>"
        f"<xmax>{x + w + 1}</xmax><ymax>{y + h + 1}</ymax></bndbox></object>"
        for entry in entries
        for x, y, w, h in [entry["bbox"]]
    )
    size = f"<size><width>{image['width']}</width><height>{image['height']}</height><depth>3</depth></size>"
    return f"<annotation><filename>{escape(image['file_name'])}</filename>{size}{objects}</annotation>"

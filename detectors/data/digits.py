"""Scenes of handwritten digits: the data set that comes with the toolkit."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from detectors.data.cache import cache_folder, once
from detectors.data.coco import CocoSource
from detectors.data.description import Digits
from detectors.data.spoilt.labels import Harm, spoilt
from primitives.errors import InputError

SCENE = 96
_DIGITS = 1797  # in scikit-learn's set
_VERSION = 3  # of the scenes; part of the name of their folder


def digit_scenes(data: Digits) -> dict[str, CocoSource]:
    """Scenes of 2 to 6 handwritten digits of varied size and aspect on a noisy ground, 96 x 96 px, 10 classes.

    Train, val and test are made from disjoint digits of scikit-learn's 1,797. They are drawn once and kept.

    Args:
        data: number of scenes of each split, and seed; what of train and val is spoilt, which test never is.

    Returns:
        A source per split.

    Raises:
        InputError: a split would get no digits, or `missing` leaves none.

    Source: Alpaydin and Kaynak 1998, UCI Optical Recognition of Handwritten Digits, through scikit-learn.
    """
    counts, seed = data.counts, data.seed
    for split, count in counts.items():
        if not _share(count, counts):
            raise InputError(f"{split}: {count} of {sum(counts.values())} scenes leaves it none of {_DIGITS} digits")
    harmed = ("train", "val") if data.spoil_val else ("train",)
    tails = dict.fromkeys(harmed, data.long_tail) if data.long_tail > 1 else {}
    facts = [_VERSION, sorted(counts.items()), seed, *([sorted(tails.items())] if tails else [])]
    key = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:12]
    folder = once(cache_folder() / f"digits-{key}", lambda fresh: _draw_splits(fresh, counts, seed, tails))
    classes = tuple(str(digit) for digit in range(10))
    found = {
        split: CocoSource(folder / f"{split}.json", folder / split, classes, count) for split, count in counts.items()
    }
    harm = Harm(data.label_noise, data.box_noise, data.missing, seed)
    found |= {split: spoilt(found[split], harm, split) for split in harmed}
    return found | {split: _with_tail(found[split]) for split in tails}


def _with_tail(source: CocoSource) -> CocoSource:
    """What a person should know of a split with a long tail."""
    boxes = Counter(entry["category_id"] for entry in json.loads(source.annotations.read_text())["annotations"])
    bare = tuple(name for number, name in enumerate(source.classes) if not boxes[number])
    most, least = (boxes[number] for number in (0, len(source.classes) - 1))
    tail = f"a long tail of {most:,} boxes of '{source.classes[0]}' to {least:,} of '{source.classes[-1]}'"
    return replace(source, bare=bare, spoilt=(tail, *source.spoilt))


def _share(count: int, counts: Mapping[str, int]) -> int:
    """Number of digits that the scenes of a split are made from."""
    return round(_DIGITS * count / sum(counts.values()))


def _frequencies(digits: Sequence[int], tail: float) -> np.ndarray[Any, Any]:
    """Chance of each digit: class c has tail^(-c / 9) of that of class 0, as in Cui et al. 2019, arXiv 1901.05555."""
    labels = np.asarray(digits)
    chances = tail ** (-labels / 9) / np.bincount(labels, minlength=10)[labels]
    found: np.ndarray[Any, Any] = chances / chances.sum()
    return found


def _draw_splits(folder: Path, counts: Mapping[str, int], seed: int, tails: Mapping[str, float]) -> None:
    from PIL import Image
    from sklearn.datasets import load_digits

    digits = load_digits()
    order = np.random.default_rng(seed).permutation(len(digits.images))
    first = 0
    for number, (split, count) in enumerate(counts.items()):
        last = first + _share(count, counts)
        mine, rng = order[first:last], np.random.default_rng([seed, number])
        first = last
        chances = _frequencies(digits.target[mine], tails[split]) if split in tails else None
        (folder / split).mkdir()
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for index in range(count):
            size = rng.integers(2, 7)
            drawn = rng.integers(len(mine), size=size) if chances is None else rng.choice(len(mine), size, p=chances)
            picks = [int(mine[k]) for k in drawn]
            scene, boxes = _draw_scene([digits.images[k] for k in picks], rng)
            name = f"{index:05d}.png"
            Image.fromarray(scene).save(folder / split / name)
            images.append({"id": index, "file_name": name, "width": SCENE, "height": SCENE})
            for pick, box in zip(picks, boxes, strict=True):
                if box is not None:
                    entry = _annotation(len(annotations) + 1, index, int(digits.target[pick]), box)
                    annotations.append({**entry, "digit": pick})
        categories = [{"id": digit, "name": str(digit)} for digit in range(10)]
        content = {"images": images, "annotations": annotations, "categories": categories}
        (folder / f"{split}.json").write_text(json.dumps(content))


def _annotation(number: int, image: int, category: int, box: list[int]) -> dict[str, Any]:
    return {
        "id": number,
        "image_id": image,
        "category_id": category,
        "bbox": box,
        "area": box[2] * box[3],
        "iscrowd": 0,
    }


def _draw_scene(
    digits: list[np.ndarray[Any, Any]], rng: np.random.Generator
) -> tuple[np.ndarray[Any, Any], list[list[int] | None]]:
    """One scene (96, 96, 3) uint8 and a tight xywh box per digit, None where there was no room."""
    from PIL import Image

    ground = rng.uniform(20, 100) + rng.uniform(-10, 10, (SCENE, SCENE, 3))
    placed: list[tuple[int, int, int, int]] = []
    boxes: list[list[int] | None] = []
    for digit in digits:
        height = int(rng.integers(18, 45))
        width = int(np.clip(height * rng.uniform(0.6, 1.3), 12, 48))
        stroke = np.asarray(Image.fromarray((digit * 15).astype(np.uint8)).resize((width, height)), dtype=float) / 240
        place = _free_place(placed, width, height, rng)
        if place is None:
            boxes.append(None)
            continue
        x, y = place
        placed.append((x, y, width, height))
        colour = rng.uniform(170, 255)
        patch = ground[y : y + height, x : x + width]
        patch += stroke[..., None] * (colour - patch)
        rows, columns = np.nonzero(stroke.max(1) > 0.25)[0], np.nonzero(stroke.max(0) > 0.25)[0]
        left, top = x + int(columns[0]), y + int(rows[0])
        boxes.append([left, top, int(columns[-1] - columns[0]) + 1, int(rows[-1] - rows[0]) + 1])
    return np.clip(ground, 0, 255).astype(np.uint8), boxes


def _free_place(
    placed: list[tuple[int, int, int, int]], width: int, height: int, rng: np.random.Generator
) -> tuple[int, int] | None:
    """A corner where the digit covers at most a fifth of any other, or None after 20 tries."""
    for _ in range(20):
        x, y = int(rng.integers(0, SCENE - width + 1)), int(rng.integers(0, SCENE - height + 1))
        covered = (
            max(0, min(x + width, a + w) - max(x, a))
            * max(0, min(y + height, b + h) - max(y, b))
            / min(w * h, width * height)
            for a, b, w, h in placed
        )
        if all(share <= 0.2 for share in covered):
            return x, y
    return None


def write(
    folder: str | Path, counts: Mapping[str, int], seed: int = 0, harm: Mapping[str, float] | None = None
) -> None:
    """Writes the scenes as files: an annotation file and a folder of images for each split.

    Args:
        folder: made where it is missing.
        counts: number of scenes of each split.
        seed: of the drawing.
        harm: `long_tail`, `label_noise`, `box_noise` and `missing`, as of `Digits`.

    Raises:
        InputError: a count or the seed is no whole number, a share is none, a split would get no digits, or the folder
            holds such files already.
    """
    data = Digits.read({**counts, "seed": seed, **(harm or {})}, "data of type 'digits'", "data.")
    for split, source in digit_scenes(data).items():
        file, images = Path(folder) / f"{split}.json", Path(folder) / split
        if file.exists() or images.exists():
            raise InputError(f"{folder} holds {split} already; name another folder")
        try:
            shutil.copytree(source.images, images)
            shutil.copy(source.annotations, file)
        except OSError as error:
            raise InputError(f"cannot write to {folder}: {error}") from None

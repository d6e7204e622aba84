"""Detections: a few images of a split, with what they show and what a detector found in them, for people to look at."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import cv2
import numpy as np

from detectors.data.coco import CocoSource, came_as
from detectors.data.images import pixels, sample
from detectors.training.coco_metric import JUDGED
from detectors.training.matches import Judged

NO_DETECTOR = "example detections are of whole detectors, this task is of kind 'frozen'; give the search a finale"
_SIZES = ((480, 85), (480, 60), (320, 60), (240, 40), (120, 40))
"""Most pixels of the longer side of a picture, and JPEG's quality: the first that is small enough."""
_MOST_BYTES = 150_000
"""Of a picture."""
_MOST_BOXES = 1000
"""Of an image that are shown: its first objects, and the surest detections."""


def examples(source: CocoSource, metrics: Mapping[str, Any], score: float, most: int) -> dict[str, Any]:
    """What the engine's `Detecting` gives of a split.

    The images are spread evenly over those that show an object, whatever was found in them.

    Args:
        source: of the images.
        metrics: of a training, `judged` among them.
        score: of the training.
        most: images.
    """
    judged: Mapping[int, Judged] = metrics[JUDGED]
    least, precision, recall = threshold(judged.values())
    entries = json.loads(source.annotations.read_text())["images"]
    shown = sample([one for one in entries if one["id"] in judged and judged[one["id"]].objects], most)
    says = f"from score {least:.2f} up, where F1 over all {len(judged):,} images is best: "
    return {
        "score": score,
        "says": f"{says}precision {precision:.2f}, recall {recall:.2f} at IoU 0.5",
        "images": [_image(source, one, judged[one["id"]], least) for one in shown],
    }


def threshold(judged: Iterable[Judged]) -> tuple[float, float, float]:
    """The score from which up detections have the best F1, and their precision and recall.

    Losses scale scores differently, so a fixed one would flatter some of them.
    """
    every = list(judged)
    scores = np.array([score for one in every for _, _, score, _ in one.found])
    right = np.array([hit for one in every for *_, hit in one.found], bool)
    objects = sum(len(one.objects) for one in every)
    if not right.any():
        return 1.0, 0.0, 0.0
    order = np.argsort(-scores)
    places = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)  # the last of those that score the same
    hits, count = np.cumsum(right[order])[places], places + 1
    best = int(np.argmax(2 * hits / (count + objects)))
    return float(scores[order][places][best]), float(hits[best] / count[best]), float(hits[best] / objects)


def _image(source: CocoSource, entry: Mapping[str, Any], judged: Judged, least: float) -> dict[str, Any]:
    return {
        "name": came_as(entry),
        "picture": _picture(source, str(entry["file_name"])),
        "width": int(entry["width"]),
        "height": int(entry["height"]),
        "objects": [
            {"box": list(box), "class": name, "found": score is not None and score >= least}
            for box, name, score in judged.objects[:_MOST_BOXES]
        ],
        "found": [
            {"box": list(box), "class": name, "score": score, "right": bool(right)}
            for box, name, score, right in sorted(judged.found, key=lambda one: -one[2])[:_MOST_BOXES]
            if score >= least
        ],
    }


def _picture(source: CocoSource, name: str) -> bytes:
    """The image as JPEG, turned as mmdetection turns it."""
    whole = pixels(source.images / name)
    found = b""
    for longest, quality in _SIZES:
        share = min(1.0, longest / max(whole.shape[:2]))
        small = cv2.resize(whole, None, fx=share, fy=share, interpolation=cv2.INTER_AREA) if share < 1 else whole
        found = bytes(cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, quality])[1])
        if len(found) <= _MOST_BYTES:
            break
    return found

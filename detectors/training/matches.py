"""Matches: what each image contributes to a COCO metric, so that it can be computed again for any choice of images."""

from __future__ import annotations

import contextlib
import copy
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from faster_coco_eval import COCO
from pycocotools.cocoeval import COCOeval

from detectors.training.metric import AREAS, OF_CLASS, Metric

Rows: TypeAlias = np.ndarray[Any, Any]
Box: TypeAlias = tuple[float, ...]
_EVERY = (0, 1e10)
_THRESHOLDS = np.linspace(0.5, 0.95, 10)


def contributions(truth: COCO, found: COCO, images: Sequence[int], metric: Metric) -> dict[str, Any]:
    """What each image contributes; the engine's `PerImage` says what the parts are.

    Detections below the last hit of their class take no part in any average precision, and are left out.

    Args:
        truth: annotated images.
        found: detections.
        images: ids of those that count.
        metric: that is to be computed again.
    """
    key = metric.keys[0]
    recall = key.startswith("AR")
    area = "" if metric.classes else key.partition("_")[2]
    evaluation = COCOeval(_copied(truth), found, "bbox")
    classes = {category["id"]: str(category["name"]) for category in truth.dataset["categories"]}
    wanted = {name.removeprefix(OF_CLASS) for name in metric.keys} if metric.classes else set(classes.values())
    params = evaluation.params
    params.imgIds = sorted(images)
    params.catIds = [number for number, name in sorted(classes.items()) if name in wanted]
    params.areaRng = [list(AREAS.get(area, _EVERY))]
    params.maxDets = [int(key[2:]) if recall and not area else 100]
    params.iouThrs = np.array([0.5 + 0.01 * (int(area) - 50)]) if area in ("50", "75") else _THRESHOLDS
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.evaluate()
    parts = _parts(evaluation.evalImgs, len(params.catIds), len(params.imgIds), len(params.iouThrs))
    if not recall:
        parts = _above_last_hit(parts)
    return {"metric": "recall" if recall else "precision", **parts}


@dataclass
class Judged:
    """What an image shows and what was found in it, at IoU 0.5; boxes are x, y, width, height in pixels.

    Args:
        objects: box, class, and the score of the detection that matches it; None for none.
        found: box, class, score, and whether it matches an object.
    """

    objects: list[tuple[Box, str, float | None]] = field(default_factory=list)
    found: list[tuple[Box, str, float, bool]] = field(default_factory=list)


def judged(truth: COCO, found: COCO, images: Sequence[int]) -> dict[int, Judged]:
    """Every image by its id; crowds, and what matches them, are left out. Arguments as of `contributions`."""
    truth = _copied(truth)
    evaluation = COCOeval(truth, found, "bbox")
    params = evaluation.params
    params.imgIds, params.areaRng, params.maxDets, params.iouThrs = sorted(images), [list(_EVERY)], [100], [0.5]
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.evaluate()
    names = {category["id"]: str(category["name"]) for category in truth.dataset["categories"]}
    told = {image: Judged() for image in params.imgIds}
    for one in filter(None, evaluation.evalImgs):
        image, name = told[one["image_id"]], names[one["category_id"]]
        scores = dict(zip(one["dtIds"], map(float, one["dtScores"]), strict=True))
        for number, match, ignored in zip(one["gtIds"], one["gtMatches"][0], one["gtIgnore"], strict=True):
            if not ignored:
                image.objects.append((tuple(truth.anns[number]["bbox"]), name, scores.get(int(match))))
        for number, match, ignored in zip(one["dtIds"], one["dtMatches"][0], one["dtIgnore"][0], strict=True):
            if not ignored:
                image.found.append((tuple(found.anns[number]["bbox"]), name, scores[number], match > 0))
    return told


def _copied(truth: COCO) -> COCO:
    """The annotations with ids from 1: to the COCO tools 0 is no id, and they write into what they are given."""
    own = COCO()
    own.dataset = {name: truth.dataset[name] for name in ("images", "categories")}
    entries = copy.deepcopy(truth.dataset["annotations"])
    own.dataset["annotations"] = [
        {**entry, "id": number, "iscrowd": entry.get("iscrowd", 0)} for number, entry in enumerate(entries, start=1)
    ]
    own.createIndex()
    return own


def _parts(judged: Sequence[Any], classes: int, images: int, thresholds: int) -> dict[str, Rows]:
    """Arrays of what the COCO tools say of every class and image; of a class the best score comes first."""
    truths = np.zeros((classes, images), np.uint32)
    columns: list[tuple[Rows, ...]] = []
    for place, one in enumerate(judged):
        if one is None:
            continue
        number, image = divmod(place, images)
        truths[number, image] = np.count_nonzero(np.asarray(one["gtIgnore"]) == 0)
        count = len(one["dtScores"])
        ignored = np.asarray(one["dtIgnore"], bool).reshape(thresholds, count).T
        hits = (np.asarray(one["dtMatches"]).reshape(thresholds, count).T > 0) & ~ignored
        columns.append(
            (np.full(count, number), np.full(count, image), np.asarray(one["dtScores"], float), hits, ignored)
        )
    if not columns:
        none = np.zeros((0, thresholds), bool)
        return {"truths": truths, "classes": np.zeros(0, int), "images": np.zeros(0, int), "hits": none, "misses": none}
    of, image, scores, hits, ignored = (np.concatenate(column) for column in zip(*columns, strict=True))
    order = np.lexsort((-scores, of))  # stable, as the COCO tools are
    return {
        "truths": truths,
        "classes": of[order].astype(np.uint16),
        "images": image[order].astype(np.uint32),
        "hits": hits[order],
        "misses": ~(hits | ignored)[order],
    }


def _above_last_hit(parts: dict[str, Rows]) -> dict[str, Rows]:
    of, hit = parts["classes"], parts["hits"].any(1)
    last = {number: int(np.flatnonzero(hit & (of == number))[-1]) for number in np.unique(of[hit])}
    kept = np.array([place <= last.get(number, -1) for place, number in enumerate(of)], bool)
    return {name: rows if name == "truths" else rows[kept] for name, rows in parts.items()}

"""Rescoring: the score of an evaluation for any choice of its images, from what each of them contributes."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np

from autoloss.store.contributions import MEAN, PRECISION

Numbers: TypeAlias = np.ndarray[Any, np.dtype[Any]]
_RECALLS = np.linspace(0.0, 1.0, 101)
"""At which COCO reads the precision."""
_MOST = 4_000_000
"""Numbers that are held at a time."""


def images(contributions: Mapping[str, Any]) -> int:
    """How many there are."""
    return int(contributions["scores" if contributions["metric"] == MEAN else "truths"].shape[-1])


def rescored(contributions: Mapping[str, Any], times: Numbers) -> Numbers:
    """The score for every choice of images.

    A choice that holds an image twice has the score of a data set in which it and all its detections are twice: copies
    stand beside each other in COCO's order, so that what counts is what was counted up to the last of them.

    Args:
        contributions: `metric` and its arrays, see `autoloss.evaluator.Auditable`.
        times: how often each choice holds each image, (choices, images).

    Returns:
        (choices,); as COCO has it, of the classes that the choice has objects of, 0 where there are none.
    """
    if contributions["metric"] == MEAN:
        found: Numbers = times @ contributions["scores"] / times.sum(1)
        return found
    step = max(1, _MOST // max(len(contributions["classes"]), 1))
    parts = [_of_classes(contributions, times[begin : begin + step]) for begin in range(0, len(times), step)]
    return np.concatenate(parts)


def _of_classes(contributions: Mapping[str, Any], times: Numbers) -> Numbers:
    """The mean over the classes that a choice has objects of; arguments and result as of `rescored`."""
    mean = _precision if contributions["metric"] == PRECISION else _recall
    objects = times @ contributions["truths"].T.astype(float)
    bounds = np.searchsorted(contributions["classes"], np.arange(len(contributions["truths"]) + 1))
    total = np.zeros(len(times))
    for number, (begin, end) in enumerate(itertools.pairwise(bounds)):
        image, hits, misses = (contributions[name][begin:end] for name in ("images", "hits", "misses"))
        # Of a class without objects there are no hits.
        total += mean(times[:, image].astype(float), np.maximum(objects[:, number], 1), hits, misses)
    found: Numbers = total / np.maximum((objects > 0).sum(1), 1)
    return found


def _precision(weights: Numbers, objects: Numbers, hits: Numbers, misses: Numbers) -> Numbers:
    """Mean over thresholds of average precision: the best precision at every recall or above it, read at `_RECALLS`.

    Args:
        weights: how often each choice has each detection, (choices, detections).
        objects: of each choice, (choices,).
        hits, misses: (detections, thresholds).

    Source: Lin et al. 2014, arXiv 1405.0312; COCOeval.accumulate.
    """
    total, every = np.zeros(len(weights)), np.cumsum(weights, axis=1)
    for hit, miss in zip(hits.T, misses.T, strict=True):
        places, counts = np.flatnonzero(hit), hit | miss
        if not len(places):
            continue
        counted = every[:, places] if counts.all() else np.cumsum(weights * counts, axis=1)[:, places]
        found = np.cumsum(weights[:, places], axis=1)
        precision = found / np.maximum(counted, 1)
        best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        reached = np.searchsorted(_RECALLS, found / objects[:, None], side="right")
        total += (best * np.diff(reached, axis=1, prepend=0)).sum(1)
    mean: Numbers = total / (hits.shape[1] * len(_RECALLS))
    return mean


def _recall(weights: Numbers, objects: Numbers, hits: Numbers, misses: Numbers) -> Numbers:  # noqa: ARG001
    """Mean share of the objects that are found; arguments as of `_precision`."""
    found: Numbers = (weights @ hits.astype(float)).mean(1) / objects
    return found

"""Contributions: what each image contributes to a score, as text that workers hand over and a run file keeps."""

from __future__ import annotations

import base64
import binascii
import io
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from primitives.errors import InputError
from primitives.text.printable import printable

MEAN, PRECISION, RECALL = "mean", "precision", "recall"
_PARTS = {
    MEAN: {"scores": "f"},
    PRECISION: {"truths": "u", "classes": "u", "images": "u", "hits": "b", "misses": "b"},
    RECALL: {"truths": "u", "classes": "u", "images": "u", "hits": "b", "misses": "b"},
}
"""Names of the arrays of each metric, and the kind of their numbers."""


def pack(given: object) -> str:
    """Contributions as text.

    Args:
        given: as `autoloss.evaluator.Auditable` says.

    Raises:
        InputError: they are none.
    """
    metric, parts = _checked(given)
    file = io.BytesIO()
    np.savez_compressed(file, metric=np.array(metric), **parts)
    return base64.b85encode(file.getvalue()).decode()


def unpack(text: str) -> dict[str, Any]:
    """Contributions, `metric` and its arrays, of a text that `pack` gave.

    Raises:
        ValueError: of another.
    """
    try:
        with np.load(io.BytesIO(base64.b85decode(text)), allow_pickle=False) as held:
            found = {name: held[name] for name in held.files}
        metric, parts = _checked({**found, "metric": str(found["metric"])})
    except (ValueError, KeyError, EOFError, OSError, binascii.Error, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"no contributions of images: {error}") from None
    return {"metric": metric, **parts}


def _checked(given: object) -> tuple[str, dict[str, Any]]:
    """The metric and its arrays, in the types they are kept in.

    Raises:
        InputError: they do not fit each other.
    """
    where = "what an evaluator says that each image contributes"
    if not isinstance(given, Mapping) or given.get("metric") not in _PARTS:
        raise InputError(f"{where}: metric is one of {', '.join(_PARTS)}, got {printable(repr(given), 80)}")
    wanted = _PARTS[given["metric"]]
    if set(given) != {"metric", *wanted}:
        raise InputError(f"{where}: needed are {', '.join(wanted)}, got {printable(', '.join(map(str, given)), 200)}")
    parts = {name: _as(np.asarray(given[name]), kind, f"{where}: {name}") for name, kind in wanted.items()}
    if given["metric"] == MEAN:
        good = parts["scores"].ndim == 1 and len(parts["scores"]) > 0 and bool(np.isfinite(parts["scores"]).all())
    else:
        good = _fits(**parts)
    if not good:
        shapes = ", ".join(f"{name} {part.shape}" for name, part in parts.items())
        raise InputError(f"{where}: the shapes, or the numbers of classes and images in them, do not fit: {shapes}")
    return given["metric"], parts


def _fits(truths: Any, classes: Any, images: Any, hits: Any, misses: Any) -> bool:
    rows = len(classes)
    if truths.ndim != 2 or classes.shape != (rows,) or images.shape != (rows,):
        return False
    if hits.ndim != 2 or hits.shape != misses.shape or len(hits) != rows:
        return False
    inside = not rows or (int(classes.max()) < truths.shape[0] and int(images.max()) < truths.shape[1])
    return truths.shape[1] > 0 and inside and bool((np.diff(classes.astype(np.int64)) >= 0).all())


def _as(part: Any, kind: str, where: str) -> Any:
    """An array of the kind, as small as it can be."""
    if kind == "f" and part.dtype.kind in "fiu":
        return part.astype(np.float64)
    if kind == "b" and part.dtype.kind == "b":
        return part
    if kind == "u" and part.dtype.kind in "iu" and not (part.size and part.min() < 0):
        return part.astype(np.min_scalar_type(int(part.max())) if part.size else np.uint8)
    word = {"f": "real numbers", "b": "true or false", "u": "whole numbers from 0"}[kind]
    raise InputError(f"{where} holds {word}, got an array of {part.dtype}")

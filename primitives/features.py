"""Features: from boxes, logits and labels to the named inputs of a formula, and from its value to losses."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from primitives.kinds.box.kind import BOX
from primitives.kinds.box.pair import AREAS, PIXELS, SHAPES, aligned_iou
from primitives.kinds.classification.kind import SIGMOID, SOFTMAX
from primitives.kinds.sample import Sample


def box_features(pred: Tensor, target: Tensor, *, pixels: bool = False, extended: bool = False) -> dict[str, Tensor]:
    """Inputs of box formulas; see `primitives.kinds.box.pair`."""
    return BOX.inputs(Sample(pred, target), (*(PIXELS if pixels else AREAS), *(SHAPES if extended else ())))


pairwise_iou = aligned_iou


def class_features(
    logits: Tensor, labels: Tensor, iou: Tensor | None = None, *, use_sigmoid: bool
) -> dict[str, Tensor]:
    """Inputs of class formulas; see `primitives.kinds.classification.scores`."""
    given = {} if iou is None else {"iou": iou}
    kind = SIGMOID if use_sigmoid else SOFTMAX
    return kind.inputs(Sample(logits, labels, given), kind.terminals)


def per_sample(value: Tensor, inputs: Mapping[str, Tensor], alpha: float | None = None) -> Tensor:
    """Losses (N,); see `Kind.losses`."""
    return (SIGMOID if "x" in inputs else BOX).losses(value, inputs, alpha)

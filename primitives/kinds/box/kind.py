"""The kind of box losses: one value per aligned pair of boxes."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from primitives.kinds.box.pair import AREAS, PIXELS, SHAPES, Pair
from primitives.kinds.kind import Kind
from primitives.kinds.sample import Sample


class BoxKind(Kind):
    """Losses of predicted boxes, (N, 4) xyxy in pixels, and their targets, the same."""

    name = word = "box"
    slot = "loss_bbox"
    terminals = (*AREAS, *PIXELS, *SHAPES)

    def derived(self, sample: Sample) -> Pair:
        """See Kind."""
        return Pair(sample)

    def losses(self, value: Tensor, inputs: Mapping[str, Tensor], alpha: float | None = None) -> Tensor:  # noqa: ARG002
        """See Kind."""
        return value.expand(next(iter(inputs.values())).shape)


BOX = BoxKind()

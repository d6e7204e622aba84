"""The kind of box losses: one value per aligned pair of boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from primitives.expression import Expression
from primitives.kinds.box import code
from primitives.kinds.box.pair import AREAS, PIXEL_AREA, PIXELS, SHAPES, TARGET_AREA, Pair
from primitives.kinds.kind import Kind
from primitives.kinds.sample import Sample
from primitives.kinds.terminal import Terminal


class BoxKind(Kind):
    """Losses of predicted boxes, (N, 4) xyxy in pixels, and their targets, the same."""

    name = word = "box"
    slot = "loss_bbox"
    terminals = (*AREAS, *PIXELS, *SHAPES)
    says = "Losses (N,) of aligned boxes, (N, 4) xyxy in pixels."

    def derived(self, sample: Sample) -> Pair:
        """See Kind."""
        return Pair(sample)

    def losses(self, value: Tensor, inputs: Mapping[str, Tensor], alpha: float | None = None) -> Tensor:  # noqa: ARG002
        """See Kind."""
        return value.expand(next(iter(inputs.values())).shape)

    def body(
        self,
        expression: Expression,
        terminals: Sequence[Terminal],
        alpha: float | None,  # noqa: ARG002
        backend: str,
    ) -> list[str]:
        """See Kind."""
        areas = {one.name: self.written(one, backend) for one in terminals if one.unit in (TARGET_AREA, PIXEL_AREA)}
        others = [self.written(one, backend) for one in terminals if one.name not in areas]
        scaled = any(one.unit == TARGET_AREA for one in terminals)
        return code.body(expression, backend, areas, others, scaled)


BOX = BoxKind()

"""Ways of boxes onto their targets, by IoU."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from primitives.kinds import draws
from primitives.kinds.box import proofs
from primitives.kinds.box.certificates import in_pixels
from primitives.kinds.course import Way
from primitives.kinds.kind import Kind
from primitives.kinds.sample import Sample
from primitives.kinds.terminal import Terminal

_SIDE = 64.0


def ways(kind: Kind, terminals: Sequence[Terminal]) -> tuple[Way, ...]:
    """See Kind.ways; areas on them are those of boxes, so intersection, union and enclosing area belong together."""
    area = " (A: the target's area)" if in_pixels(terminals) else ""
    rows = (
        ("a box of the target's size that moves onto it along one side", _moved, proofs.moved),
        ("a box inside of the target, of its shape, that grows to its size", _grown, proofs.grown),
    )
    return tuple(
        Way(
            name="IoU",
            symbol="q",
            text=f"{text}{area}",
            far=0.0,
            optimum=1.0,
            inputs=partial(_inputs, kind, tuple(terminals), place),
            case=partial(case, pixels=in_pixels(terminals)),
        )
        for text, place, case in rows
    )


def _inputs(
    kind: Kind, terminals: tuple[Terminal, ...], place: Callable[[Tensor], Tensor], iou: Tensor
) -> Mapping[str, Tensor]:
    target = iou.new_tensor([0.0, 0.0, _SIDE, _SIDE]).expand(len(iou), 4)
    return kind.inputs(Sample(place(iou), target, draws.middle(terminals, len(iou))), terminals)


def _moved(iou: Tensor) -> Tensor:
    """Moved by s sides the boxes share 1 - s of 1 + s."""
    shift, still = _SIDE * (1 - iou) / (1 + iou), torch.zeros_like(iou)
    return torch.stack((shift, still, shift + _SIDE, still + _SIDE), dim=-1)


def _grown(iou: Tensor) -> Tensor:
    half, middle = _SIDE / 2 * iou.sqrt(), torch.full_like(iou, _SIDE / 2)
    return torch.stack((middle - half, middle - half, middle + half, middle + half), dim=-1)

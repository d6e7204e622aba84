"""The kind of box losses: one value per aligned pair of boxes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from primitives.algebra import Answer
from primitives.expression import Expression
from primitives.kinds.box import certificates, code, panels, paths, samples, simulation, ways
from primitives.kinds.box.certificates import in_pixels
from primitives.kinds.box.pair import (
    AREAS,
    KNOWN_IN_TRAINING,
    PIXEL_AREA,
    PIXELS,
    SHAPES,
    SIZES,
    TARGET_AREA,
    Pair,
)
from primitives.kinds.course import Way
from primitives.kinds.field import Descend, Field
from primitives.kinds.formula import Formula
from primitives.kinds.kind import Kind
from primitives.kinds.panel import Panel
from primitives.kinds.probe import Probe
from primitives.kinds.sample import Sample
from primitives.kinds.terminal import Terminal
from primitives.kinds.verdict import Certificate, Verdict

_ALIKE = 1e-6  # relative difference of gradients that counts as none


class BoxKind(Kind):
    """Losses of predicted boxes, (N, 4) xyxy in pixels, and their targets, the same."""

    name = word = "box"
    slot = "loss_bbox"
    terminals = (*AREAS, *PIXELS, *SHAPES, *SIZES, *KNOWN_IN_TRAINING)
    arguments = ("pred", "target")
    says = "Losses (N,) of aligned boxes, (N, 4) xyxy in pixels."
    stand_in = "giou"
    outcomes = simulation.OUTCOMES
    score = "iou"
    shorthands = (("iou", "div(i, u)"), ("giou", "sub(div(i, u), div(sub(e, u), e))"))

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
        """See Written."""
        areas = self.written([one for one in terminals if one.unit in (TARGET_AREA, PIXEL_AREA)], backend)
        others = self.written([one for one in terminals if one.name not in areas], backend)
        scaled = any(one.unit == TARGET_AREA for one in terminals)
        return code.body(expression, backend, areas, [*others.values()], scaled)

    def whole_sample(self) -> Sample:
        """Pairs of every sort; off their targets by up to 1e-4 sizes at the end."""
        return samples.whole()

    def typical_sample(self) -> Sample:
        """See Kind."""
        return samples.typical()

    def reference_sample(self) -> Sample:
        """See Kind."""
        return samples.reference()

    def moved(self, sample: Sample) -> Sample:
        """See Kind."""
        wh = sample.pred[:, 2:] - sample.pred[:, :2]
        return replace(sample, pred=sample.pred + 1e-3 * torch.cat((wh, wh), dim=-1))

    def probe(self, sample: Sample, terminals: Sequence[Terminal], dtype: torch.dtype) -> Probe:
        """See Kind; the coordinates are (cx / w, cy / h, log w, log h) of the predicted box."""
        pred = sample.pred
        centre, wh = (pred[:, :2] + pred[:, 2:]) / 2, pred[:, 2:] - pred[:, :2]
        return Probe.by_jacobian(
            torch.cat((centre / wh, wh.log()), dim=-1),
            lambda place: self.inputs(replace(sample, pred=samples.boxes(place[:, :2] * wh, place[:, 2:])), terminals),
            tuple(one.name for one in terminals if one.predicted),
            self.losses,
            dtype,
        )

    def course(self, formula: Formula, everywhere: Callable[[], Verdict]) -> tuple[list[Verdict], bool]:
        """Lowest at the target, and falling as the IoU rises, on the paths of boxes onto their targets."""
        return paths.judged(self, formula, everywhere)

    def field(self, terminals: Sequence[Terminal]) -> Field:
        """See Kind."""
        return simulation.BoxField(self, terminals, simulation.sampled())

    def certificates(self, formula: Formula, descend: Descend) -> list[Certificate]:
        """Scale, optimum, monotone and what becomes of disjoint boxes."""
        return certificates.found(self, formula, descend)

    def related(
        self,
        formula: Formula,
        known: Formula,
        title: str,
        prove: Callable[..., Answer[Any]],  # noqa: ARG002
    ) -> tuple[str, str] | None:
        """Boxes go the same way under both losses, faster or slower: one is a function of the other."""
        _, mine = self.typical(formula.terminals).gradient(formula.expression)
        _, other = self.typical(known.terminals).gradient(known.expression)
        factor = mine.norm(dim=-1) / other.norm(dim=-1)
        if not bool((torch.cosine_similarity(mine, other) > 1 - _ALIKE).all()):
            return None
        factor = factor / factor.mean()
        reach = f"weighted {float(factor.min()):.2g} to {float(factor.max()):.2g} times the mean"
        return f"a function of {title} alone, {reach}", f"sampled on {len(factor)}"

    def ways(self, terminals: Sequence[Terminal]) -> tuple[Way, ...]:
        """By IoU: a box of the target's size moves onto it, and a box inside of it grows to its size."""
        return ways.ways(self, terminals)

    def panels(self, formula: Formula, scale: float, descend: Descend) -> Iterable[Panel]:
        """See Kind."""
        return panels.drawn(self, formula, scale, descend)

    def beside(self, terminals: Sequence[Terminal]) -> str:
        """See Kind; DIoU where shapes can be read."""
        return "diou" if set(terminals) & set(SHAPES) else self.stand_in

    def remark(self, terminals: Sequence[Terminal]) -> str:
        """The unit of the areas where it is not the usual one."""
        return "in pixels" if in_pixels(terminals) else ""

    def limits(self, formula: Formula) -> list[str]:
        """See Kind."""
        scale = (
            "It counts areas in square pixels, so it changes with image size; in FCOS with `norm_on_bbox` a pixel "
            "is a stride."
            if in_pixels(formula.terminals)
            else "Areas count in units of the target's area: image size does not matter."
        )
        return [
            "Box loss: for decoded boxes, in pixels (`reg_decoded_bbox=True` in heads with anchors or RoIs).",
            scale,
            *super().limits(formula),
        ]


BOX = BoxKind()

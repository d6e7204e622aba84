"""Samples of box pairs: real boxes of which areas are computed, never areas drawn apart."""

from __future__ import annotations

import torch
from torch import Tensor

from primitives.kinds import draws
from primitives.kinds.kind import BESIDE, REFERENCE, TYPICAL
from primitives.kinds.sample import Sample


def boxes(centre: Tensor, log_wh: Tensor) -> Tensor:
    """Boxes xyxy from centres and log sizes, (..., 2) each."""
    half = log_wh.exp() / 2
    return torch.cat((centre - half, centre + half), dim=-1)


def targets(count: int, low: float, high: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Centres (N, 2) and log sizes (N, 2) of boxes with sides between low and high pixels."""
    low_high = torch.tensor([low, high], dtype=torch.float64).log()
    scale = torch.rand(count, 1, generator=generator, dtype=torch.float64) * (low_high[1] - low_high[0]) + low_high[0]
    aspect = (torch.rand(count, 1, generator=generator, dtype=torch.float64) - 0.5) * 1.4
    log_wh = torch.cat((scale + aspect / 2, scale - aspect / 2), dim=-1).clamp(low_high[0], low_high[1])
    centre = torch.rand(count, 2, generator=generator, dtype=torch.float64) * 500 + 500
    return centre, log_wh


def whole() -> Sample:
    """Pairs of every sort, then BESIDE that are on or next to their targets."""
    pred, target = (torch.cat(parts) for parts in zip(_any(), _beside(), strict=True))
    return Sample(pred, target)


def _any() -> tuple[Tensor, Tensor]:
    """Shifted, inside, around, touching, disjoint and equal pairs; targets of 1 px to 1,000 px."""
    count, generator = 48, draws.generator(0)
    pred, target = [], []
    for sort in ("shifted", "inside", "around", "touching", "disjoint", "equal"):
        centre, log_wh = targets(count, 1, 1000, generator)
        wh = log_wh.exp()
        shift, stretch = torch.zeros(count, 2).double(), torch.zeros(count, 2).double()
        if sort == "shifted":
            shift, stretch = (
                draws.uniform((count, 2), -0.5, 0.5, generator),
                draws.uniform((count, 2), -0.7, 0.7, generator),
            )
        elif sort in ("inside", "around"):
            stretch = draws.uniform((count, 2), 0.1, 1.5, generator) * (-1 if sort == "inside" else 1)
            shift = draws.uniform((count, 2), -0.4, 0.4, generator) * (stretch.exp() - 1).abs()
        elif sort in ("touching", "disjoint"):
            shift = draws.uniform((count, 2), -0.3, 0.3, generator)
            gap = 0.0 if sort == "touching" else draws.uniform((count,), 0.05, 3, generator)
            shift[:, 0] = draws.signs((count,), generator) * (1 + gap)
        pred.append(boxes(centre + shift * wh, log_wh + stretch))
        target.append(boxes(centre, log_wh))
    return torch.cat(pred), torch.cat(target)


def _beside() -> tuple[Tensor, Tensor]:
    """Off by up to 1e-4 sizes."""
    generator = draws.generator(9)
    off = torch.tensor([0.0, 1e-6, 1e-4], dtype=torch.float64).repeat_interleave(BESIDE // 3)[:, None]
    centre, log_wh = targets(BESIDE, 8, 512, generator)
    shift, stretch = (off * draws.uniform((BESIDE, 2), -1, 1, generator) for _ in range(2))
    return boxes(centre + shift * log_wh.exp(), log_wh + stretch), boxes(centre, log_wh)


def typical() -> Sample:
    """Overlapping pairs as a detector in training meets them."""
    return _shifted(TYPICAL, 8, 512, 2)


def scaled(factor: float) -> Sample:
    """Targets of 32 px to 128 px at another image resolution."""
    sample = _shifted(64, 32, 128, 6)
    return Sample(sample.pred * factor, sample.target * factor)


def _shifted(count: int, low: float, high: float, offset: int) -> Sample:
    generator = draws.generator(offset)
    centre, log_wh = targets(count, low, high, generator)
    shift = draws.uniform((count, 2), -0.35, 0.35, generator)
    stretch = draws.uniform((count, 2), -0.6, 0.6, generator)
    return Sample(boxes(centre + shift * log_wh.exp(), log_wh + stretch), boxes(centre, log_wh))


def disjoint() -> Sample:
    """Pairs that do not touch, at distances up to ten sizes."""
    generator, count = draws.generator(7), 128
    centre, log_wh = targets(count, 8, 512, generator)
    shift = draws.uniform((count, 2), -1, 1, generator)
    shift[:, 0] = draws.signs((count,), generator) * draws.uniform((count,), 1.6, 10, generator)
    stretch = draws.uniform((count, 2), -0.6, 0.6, generator).clamp(max=0.1)
    return Sample(boxes(centre + shift * log_wh.exp(), log_wh + stretch), boxes(centre, log_wh))


def reference() -> Sample:
    """Boxes near their targets and, one in ten, far from them."""
    generator = draws.generator(7)
    corner = draws.uniform((REFERENCE, 2), 0, 100, generator)
    size = draws.uniform((REFERENCE, 2), 4, 64, generator)
    target = torch.cat((corner, corner + size), dim=-1)
    pred = target + draws.uniform((REFERENCE, 4), -0.4, 0.4, generator) * size.repeat(1, 2)
    pred[::10] += 200
    return Sample(pred, target)

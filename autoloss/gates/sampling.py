"""Draws: seeded boxes and logits, of which probes and paths are made, and the inputs of formulas from them.

Inputs are computed from real box pairs and logits, never drawn independently of each other: areas that no pair of
boxes has say nothing about a loss.
"""

from __future__ import annotations

import torch
from torch import Tensor

from primitives.features import box_features, class_features
from primitives.grammar import Grammar

_SEED = 2102_04700
CLASSES = 4
W_LEVELS = (0.2, 0.4, 0.6, 0.8, 1.0)


def generator(offset: int) -> torch.Generator:
    """Its own stream of random numbers for every use."""
    return torch.Generator().manual_seed(_SEED + offset)


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


def uniform(shape: tuple[int, ...], low: float, high: float, generator: torch.Generator) -> Tensor:
    """Numbers between low and high, in float64."""
    return torch.rand(shape, generator=generator, dtype=torch.float64) * (high - low) + low


def signs(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """1 or -1, in float64."""
    return torch.where(torch.rand(shape, generator=generator) < 0.5, -1.0, 1.0).double()


def box_inputs(grammar: Grammar, pred: Tensor, target: Tensor) -> dict[str, Tensor]:
    """Inputs of a box grammar from pairs (N, 4) xyxy in pixels."""
    return box_features(pred, target, pixels=grammar.name == "box_pixels", extended=grammar.name == "box_extended")


def class_rows(grammar: Grammar, x: Tensor, labels: Tensor, iou: Tensor, dtype: torch.dtype) -> dict[str, Tensor]:
    """Inputs of a class grammar from logits (N, C), labels (N,) and IoU (N,)."""
    return dict(class_features(x.to(dtype), labels, iou.to(dtype), use_sigmoid=grammar.name == "sigmoid"))


def width(grammar: Grammar) -> int:
    """Number of logits a sample."""
    return CLASSES if grammar.name == "sigmoid" else CLASSES + 1

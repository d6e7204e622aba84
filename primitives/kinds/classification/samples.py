"""Samples of logits, labels and IoU, of four classes."""

from __future__ import annotations

import torch
from torch.nn import functional

from primitives.kinds import draws
from primitives.kinds.kind import BESIDE, REFERENCE, TYPICAL
from primitives.kinds.sample import Sample

COUNT = 4
"""Classes."""
W_LEVELS = (0.2, 0.4, 0.6, 0.8, 1.0)


def width(background: bool, classes: int = COUNT) -> int:
    """Number of logits a sample."""
    return classes + background


def whole(background: bool) -> Sample:
    """Logits up to +-50, then logits of 10 to 50 where they belong."""
    generator, columns = draws.generator(1), width(background)
    x = (
        torch.randn(96, columns, generator=generator, dtype=torch.float64)
        * torch.tensor([1.0, 4.0, 15.0]).repeat(32)[:, None]
    )
    extremes = (torch.full((4, columns), 50.0), torch.full((4, columns), -50.0))
    x = torch.cat((x, *extremes, 50 * draws.signs((16, columns), generator)))
    labels = torch.arange(len(x) + BESIDE) % (COUNT + 1)
    iou = draws.uniform((len(x),), 0, 1, generator)
    iou[::7], iou[3::7] = 0.0, 1.0
    right = functional.one_hot(labels[len(x) :], COUNT + 1)[:, :columns].double()
    sure = (2 * right - 1) * torch.tensor([10.0, 20.0, 50.0]).repeat_interleave(BESIDE // 3)[:, None]
    x, iou = torch.cat((x.clamp(-50, 50), sure)), torch.cat((iou, torch.ones(BESIDE)))
    return Sample(x, labels, {"iou": iou})


def typical(background: bool) -> Sample:
    """What a detector in training meets: as many negatives as positives."""
    generator, columns = draws.generator(3), width(background)
    x = torch.randn(TYPICAL, columns, generator=generator, dtype=torch.float64) * 2 - 1
    order = torch.arange(TYPICAL)
    labels = torch.where(order % 2 == 0, COUNT, order // 2 % COUNT)
    return Sample(x, labels, {"iou": draws.uniform((TYPICAL,), 0.2, 1, generator)})


def levels(background: bool) -> Sample:
    """Positives at every level of w below 1, then background, at the same logits."""
    generator, each = draws.generator(8), 16
    x = torch.randn(each, width(background), generator=generator, dtype=torch.float64) * 1.5
    count = len(W_LEVELS)
    labels = torch.arange(each) % COUNT
    iou = torch.tensor(W_LEVELS, dtype=torch.float64).repeat_interleave(each)
    return Sample(x.repeat(count, 1), torch.cat((labels.repeat(count - 1), torch.full((each,), COUNT))), {"iou": iou})


def reference(background: bool) -> Sample:
    """Logits of five classes."""
    generator = draws.generator(7)
    x = draws.uniform((REFERENCE, width(background, 5)), -6, 6, generator)
    return Sample(x, torch.arange(REFERENCE) % 6, {"iou": draws.uniform((REFERENCE,), 0, 1, generator)})

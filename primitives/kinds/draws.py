"""Draws: seeded numbers of which samples are made."""

from __future__ import annotations

import zlib
from collections.abc import Iterable

import torch
from torch import Tensor

from primitives.kinds.terminal import Terminal

_SEED = 2102_04700


def generator(offset: int) -> torch.Generator:
    """Its own stream of random numbers for every use."""
    return torch.Generator().manual_seed(_SEED + offset)


def uniform(shape: tuple[int, ...], low: float, high: float, generator: torch.Generator) -> Tensor:
    """Numbers between low and high, in float64."""
    return torch.rand(shape, generator=generator, dtype=torch.float64) * (high - low) + low


def signs(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """1 or -1, in float64."""
    return torch.where(torch.rand(shape, generator=generator) < 0.5, -1.0, 1.0).double()


def given(terminals: Iterable[Terminal], count: int) -> dict[str, Tensor]:
    """What heads hand over, (count,) each, uniform in its interval, from a stream that only its name decides."""
    return {
        one.given: uniform((count,), *one.interval, generator(zlib.crc32(one.given.encode())))
        for one in terminals
        if one.given
    }


def middle(terminals: Iterable[Terminal], count: int) -> dict[str, Tensor]:
    """What heads hand over, (count,) each, in the middle of its interval."""
    return {one.given: torch.full((count,), sum(one.interval) / 2).double() for one in terminals if one.given}

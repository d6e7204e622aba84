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


def given(terminals: Iterable[Terminal], count: int, columns: int = 1) -> dict[str, Tensor]:
    """What is handed over, (count,), or (count, columns) of what classes have, from a stream that its name decides.

    Uniform in its interval, or between its levels, and at both ends more often.
    """
    found = {}
    for one in terminals:
        if one.given:
            shape, stream = _shape(one, count, columns), generator(zlib.crc32(one.given.encode()))
            found[one.given] = _between(one, shape, stream) if one.levels else uniform(shape, *one.interval, stream)
    return found


def middle(terminals: Iterable[Terminal], count: int, columns: int = 1) -> dict[str, Tensor]:
    """What is handed over, (count,) or (count, columns), in the middle of its interval or of its levels."""
    return {one.given: torch.full(_shape(one, count, columns), _middle(one)).double() for one in terminals if one.given}


def at_time(terminals: Iterable[Terminal], count: int, share: float) -> dict[str, Tensor]:
    """What is handed over of the training, (count,), when so much of it is over."""
    return {one.given: torch.full((count,), share) for one in terminals if one.per == "training"}


def cases(terminals: Iterable[Terminal]) -> int:
    """How many there are of `levels`."""
    return 1 + 2 * sum(bool(one.levels) for one in terminals)


def levels(terminals: Iterable[Terminal], count: int, columns: int = 1) -> dict[str, Tensor]:
    """What is handed over and has levels, (count,) or (count, columns): in turn all between, and each at either end."""
    varied = [one for one in terminals if one.levels]
    case, found = torch.arange(count) % cases(varied), {}
    for k, one in enumerate(varied):
        value = torch.full((count,), _middle(one)).double()
        value[case == 2 * k + 1], value[case == 2 * k + 2] = one.levels[0], one.levels[-1]
        if one.per == "class":
            mixed = torch.tensor(one.levels, dtype=torch.float64)[torch.arange(columns) % len(one.levels)]
            value = torch.where((case == 0)[:, None], mixed, value[:, None])
        found[one.given] = value
    return found


def _shape(one: Terminal, count: int, columns: int) -> tuple[int, ...]:
    return (count, columns) if one.per == "class" else (count,)


def _middle(one: Terminal) -> float:
    return one.levels[len(one.levels) // 2] if one.levels else sum(one.interval) / 2


def _between(one: Terminal, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    known = torch.tensor(one.levels, dtype=torch.float64)
    place = uniform(shape, -0.1, 1.1, generator).clamp(0, 1) * (len(known) - 1)
    low = place.floor().clamp(max=len(known) - 2).long()
    return torch.lerp(known[low], known[low + 1], place - low)

"""What happens to files: bytes that flip, pages that are lost."""

from __future__ import annotations

import random

PAGE = 4096


def damaged(content: bytes, rng: random.Random) -> bytes:
    """The content with one kind of damage somewhere.

    Args:
        content: of a file.
        rng: chooses the kind and the place.
    """
    found = bytearray(content)
    kind = rng.choice((_flip, _flip, _overwrite, _zero_page, _swap_pages, _truncate, _repeat))
    kind(found, rng)
    return bytes(found)


def _flip(found: bytearray, rng: random.Random) -> None:
    for _ in range(rng.choice((1, 1, 1, 8, 64))):
        found[rng.randrange(len(found))] ^= 1 << rng.randrange(8)


def _overwrite(found: bytearray, rng: random.Random) -> None:
    begin = rng.randrange(len(found))
    length = min(rng.choice((1, 4, 32, 500)), len(found) - begin)
    found[begin : begin + length] = rng.randbytes(length)


def _zero_page(found: bytearray, rng: random.Random) -> None:
    begin = rng.randrange(len(found) // PAGE) * PAGE
    found[begin : begin + PAGE] = bytes(PAGE)


def _swap_pages(found: bytearray, rng: random.Random) -> None:
    one, other = (rng.randrange(len(found) // PAGE) * PAGE for _ in range(2))
    found[one : one + PAGE], found[other : other + PAGE] = found[other : other + PAGE], found[one : one + PAGE]


def _truncate(found: bytearray, rng: random.Random) -> None:
    del found[rng.randrange(len(found)) :]


def _repeat(found: bytearray, rng: random.Random) -> None:
    """A piece of the file lies where another was."""
    length = rng.choice((8, 100, 1000))
    source, target = (rng.randrange(len(found) - length) for _ in range(2))
    found[target : target + length] = found[source : source + length]

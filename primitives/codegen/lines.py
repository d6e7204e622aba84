"""Lines: of a kind's assignments, those that a formula needs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_WORD = re.compile(r"\b[A-Za-z_]\w*")


def needed(lines: Sequence[str], names: Iterable[str]) -> list[str]:
    """Those that give the names, or what these are computed from, in their order.

    Args:
        lines: assignments such as `w, h = x2 - x1, y2 - y1`, each after what it reads.
        names: what is asked for; one that no line gives is an argument.
    """
    wanted, kept = set(names), []
    for line in reversed(lines):
        given, _, read = line.partition(" = ")
        if not wanted.isdisjoint(given.split(", ")):
            wanted.update(_WORD.findall(read))
            kept.append(line)
    return kept[::-1]

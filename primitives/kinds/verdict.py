"""Verdict and certificate: what gates say of a formula, and what else is known of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Verdict:
    """What a gate said of a formula, with its numbers."""

    gate: str
    passed: bool
    reason: str
    numbers: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Certificate:
    """One statement about a loss.

    Args:
        name: what it is about.
        statement: the finding, for people.
        how: `proved`, `computed`, or `sampled on N`.
        numbers: behind it.
    """

    name: str
    statement: str
    how: str
    numbers: Mapping[str, float] = field(default_factory=dict)

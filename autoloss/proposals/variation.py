"""Variation: how children come about."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from autoloss.values import Count, Section, Share
from primitives.parser import RANGE, in_range


class Variation(Section):
    """How children come about.

    Args:
        parents: size of the pool that parents are drawn from: the best candidates so far.
        tournament: candidates drawn for each parent, the best of them wins.
        crossover: share of children with two parents; the rest are mutations.
        both: share of children whose two slots change; the rest change one.
        draws: proposals for one slot before a candidate gives up.
        constants: numbers that formulas are drawn with; what `primitives.grammar.RANGE` says.
        numbers: `any` draws those of two digits from 0.01 to 100 in place of constants, and mutations turn them.
        extended: draw the extended operators too.
    """

    parents: Count = 8
    tournament: Count = 3
    crossover: Share = 0.4
    both: Share = 0.3
    draws: Count = 50_000
    constants: list[float] = Field(default=[1.0, 2.0, 3.0], min_length=1)
    numbers: Literal["constants", "any"] = "constants"
    extended: bool = False

    @field_validator("constants")
    @classmethod
    def _plain(cls, constants: list[float]) -> list[float]:
        if wrong := [constant for constant in constants if not in_range(constant)]:
            raise ValueError(f"constants are {RANGE} (neg is an operator), got {wrong[0]:g}")
        return constants

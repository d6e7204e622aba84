"""Kind: all that is peculiar to what a loss is about; gates, calibration, export and pictures ask it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import torch
from torch import Tensor

from primitives.algebra import Answer
from primitives.kinds import draws
from primitives.kinds.course import Way
from primitives.kinds.field import Descend, Field, Outcome
from primitives.kinds.formula import Formula
from primitives.kinds.panel import Panel
from primitives.kinds.probe import Probe
from primitives.kinds.sample import Sample
from primitives.kinds.terminal import Terminal
from primitives.kinds.verdict import Certificate, Verdict
from primitives.kinds.written import Written
from primitives.symbolic import Case, whole

BESIDE = 48
"""Last rows of a whole sample, whose predictions are right or next to it."""
TYPICAL = 256
"""Rows of a typical sample."""
REFERENCE = 1000
"""Rows of a reference sample."""


class Kind(Written, ABC):
    """What a loss is about: its inputs, and what must hold of a formula over them.

    Args:
        name: unique; losses of one kind can be compared with each other.
        word: for people and generated names, such as `box`; kinds of one slot share it.
        slot: where such a loss sits in a detector, by mmdetection's name; a name of its own where there is none.
        terminals: every input that a grammar of this kind may choose.
        stand_in: the known loss that stock detectors train with.
        outcomes: what a simulation comes to, and what is asked of it.
        score: the outcome by which a simulation ranks losses.
        shorthands: published names that stand for a formula, such as NY for 1 - y.
        marks: words that published text uses in formulas of this kind only.
        weighs_target: whether `alpha` may weight the target outside the formula.
    """

    name: str
    word: str
    slot: str
    terminals: tuple[Terminal, ...]
    stand_in: str
    outcomes: tuple[Outcome, ...]
    score: str
    shorthands: tuple[tuple[str, str], ...] = ()
    marks: frozenset[str] = frozenset()
    weighs_target: bool = False

    def __repr__(self) -> str:
        return f"Kind({self.name})"

    # Inputs and losses

    @abstractmethod
    def derived(self, sample: Sample) -> Any:
        """What the inputs of a sample have in common, computed once; `Terminal.compute` gets it.

        Raises:
            ValueError: shapes that do not belong together.
        """

    @abstractmethod
    def losses(self, value: Tensor, inputs: Mapping[str, Tensor], alpha: float | None = None) -> Tensor:
        """Losses (N,) from what a formula gave, once, outside every formula.

        Args:
            value: what the formula gave; broadcasts to the inputs' shape.
            inputs: what the formula was given.
            alpha: weight of the target; None weights nothing.
        """

    def inputs(self, sample: Sample, terminals: Sequence[Terminal]) -> dict[str, Tensor]:
        """The inputs of a formula by name; those are left out for which the sample lacks what a head must give.

        Args:
            sample: the raw input.
            terminals: the inputs.

        Raises:
            ValueError: shapes that do not belong together.
        """
        derived = self.derived(sample)
        return {
            one.name: one.compute(derived) if one.compute is not None else self.spread(sample, one.given)
            for one in terminals
            if not one.given or one.given in sample.given
        }

    def spread(self, sample: Sample, given: str) -> Tensor:
        """What was handed over of every sample, or of all, detached, in the shape and dtype of the inputs."""
        value, wanted = sample.given[given], sample.target.shape[:1]
        if value.shape not in (wanted, ()):
            raise ValueError(f"expected {given} per sample, {tuple(wanted)}, or of all, (), got {tuple(value.shape)}")
        return value.detach().to(sample.pred).expand(wanted)

    # Samples: drawn as they come about, never as inputs that are independent of each other: areas that no pair of boxes
    # has say nothing about a loss.

    @abstractmethod
    def whole_sample(self) -> Sample:
        """Everything that may come in float64: the extremes, and at the end BESIDE predictions that are right."""

    @abstractmethod
    def typical_sample(self) -> Sample:
        """What a detector in training meets, TYPICAL rows in float64: identity and scale are measured here."""

    @abstractmethod
    def moved(self, sample: Sample) -> Sample:
        """Every prediction moved by a thousandth of its size."""

    @abstractmethod
    def reference_sample(self) -> Sample:
        """REFERENCE rows in float64 on which exported functions are compared with the formula."""

    def given(self, sample: Sample, terminals: Sequence[Terminal]) -> Sample:
        """The sample, and beside it drawn numbers for whatever else the head must give."""
        drawn = draws.given(terminals, *sample.pred.shape[:2])
        return replace(sample, given={**drawn, **sample.given})

    @abstractmethod
    def probe(self, sample: Sample, terminals: Sequence[Terminal], dtype: torch.dtype) -> Probe:
        """Inputs from a sample, computed as exactly as it is given, with the way back to the prediction."""

    def whole(self, terminals: tuple[Terminal, ...]) -> Probe:
        """The whole sample as a probe, in float32."""
        return _whole(self, terminals)

    def typical(self, terminals: tuple[Terminal, ...]) -> Probe:
        """The typical sample as a probe, in float64."""
        return _typical(self, terminals)

    def usual(self, terminals: tuple[Terminal, ...]) -> Probe:
        """The typical sample, with what has a usual value at it, as a probe, in float64: weights are found here."""
        return _usual(self, terminals)

    def neighbours(self, terminals: tuple[Terminal, ...]) -> Probe:
        """The typical sample, moved, as a probe, in float64."""
        return _neighbours(self, terminals)

    # What gates, certificates and equivalence ask

    def complaint(self, names: frozenset[str]) -> str:  # noqa: ARG002
        """Why a formula that reads these inputs cannot be a loss, or nothing."""
        return ""

    @abstractmethod
    def course(self, formula: Formula, everywhere: Callable[[], Verdict]) -> tuple[list[Verdict], bool]:
        """What must hold at the optimum and on the way to it: finite, minimum and monotone up to the first refusal.

        Args:
            formula: to judge; most are refused here, so the cheapest look comes first.
            everywhere: whether the formula is finite on the whole probe; costs more than a look at a few values.

        Returns:
            The verdicts, and whether they are those of the negated formula: the loss runs the wrong way round.
        """

    @abstractmethod
    def field(self, terminals: Sequence[Terminal]) -> Field:
        """The predictions that are simulated, as they stand when a detector begins to train."""

    @abstractmethod
    def certificates(self, formula: Formula, descend: Descend) -> list[Certificate]:
        """What is known of a formula that passed the gates.

        Args:
            formula: as the gates left it.
            descend: simulates it.
        """

    @abstractmethod
    def related(
        self, formula: Formula, known: Formula, title: str, prove: Callable[..., Answer[Any]]
    ) -> tuple[str, str] | None:
        """What a formula has to do with a known loss of this kind which it does not equal.

        Args:
            formula: of this kind.
            known: the known loss.
            title: of the known loss.
            prove: asks SymPy: called with a question, a function of a module that imports no torch, it calls that with
                the kind's case, the trees of the formula and of the known loss, their positive and their fixed
                inputs, and what else it is given.

        Returns:
            The relation in words, and how it is known; None where there is none.
        """

    @property
    def case(self) -> Case:
        """What stands for a formula where two are compared by algebra; a function of a module that imports no torch."""
        return whole

    @property
    def of_target(self) -> str:
        """What follows the name of an input in `case` where it is the target's of several classes."""
        return ""

    # What people see

    def ways(self, terminals: Sequence[Terminal]) -> tuple[Way, ...]:  # noqa: ARG002
        """Ways of predictions to what they should be, on which a loss can be told as a function of one number."""
        return ()

    @abstractmethod
    def panels(self, formula: Formula, scale: float, descend: Descend) -> Iterable[Panel]:
        """What a loss does, drawn: its value and its gradient first, then what it takes a simulation to know.

        Args:
            formula: the loss.
            scale: mean length of its gradient on the typical probe; values are divided by it.
            descend: simulates it.
        """

    def beside(self, terminals: Sequence[Terminal]) -> str:  # noqa: ARG002
        """The known loss that is drawn beside a formula of these inputs."""
        return self.stand_in

    def remark(self, terminals: Sequence[Terminal]) -> str:  # noqa: ARG002
        """What must be said wherever a formula of these inputs is shown, or nothing."""
        return ""

    def limits(self, formula: Formula) -> list[str]:
        """What a person who takes the loss home must know."""
        return [
            f"It reads {one.name}, the {one.text.removesuffix(', detached')}: it needs a head that hands it over."
            for one in formula.reads
            if one.given
        ]

    @property
    def thresholds(self) -> dict[str, float]:
        """Least numbers of a simulation that passes."""
        return {one.name: one.least for one in self.outcomes if one.least is not None}


@cache
def _whole(kind: Kind, terminals: tuple[Terminal, ...]) -> Probe:
    return kind.probe(kind.given(kind.whole_sample(), terminals), terminals, torch.float32)


@cache
def _typical(kind: Kind, terminals: tuple[Terminal, ...]) -> Probe:
    return kind.probe(kind.given(kind.typical_sample(), terminals), terminals, torch.float64)


@cache
def _usual(kind: Kind, terminals: tuple[Terminal, ...]) -> Probe:
    sample = kind.given(kind.typical_sample(), terminals)
    usual = {one.given: torch.full_like(sample.given[one.given], one.usual) for one in terminals if one.usual}
    return kind.probe(replace(sample, given={**sample.given, **usual}), terminals, torch.float64)


@cache
def _neighbours(kind: Kind, terminals: tuple[Terminal, ...]) -> Probe:
    return kind.probe(kind.moved(kind.given(kind.typical_sample(), terminals)), terminals, torch.float64)

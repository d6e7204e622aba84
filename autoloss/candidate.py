"""The nouns of a search: a loss, a candidate, its refusal or crash, and an evaluation."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # they bring PyTorch, which what only sends candidates along does without
    from primitives.expression import Expression
    from primitives.grammar import Grammar

OWN = 0
"""Number of the candidate that keeps all of the detector's own losses."""
GATES = ("structure", "finite", "minimum", "monotone", "gradient", "distinct", "converges")
"""Names of the gates, in their order."""


@dataclass(frozen=True)
class Loss:
    """A formula ready for a slot; as text, and only where it leaves the engine, it is `spec`.

    Args:
        expression: the formula.
        grammar: of it.
        loss_weight: factor that gives it the gradient norm of the loss it replaces.
        alpha: weight of the target outside the formula, None for none.
    """

    expression: Expression
    grammar: Grammar
    loss_weight: float = 1.0
    alpha: float | None = None

    @classmethod
    def of(cls, spec: Mapping[str, Any]) -> Loss:
        """The loss that a specification stands for.

        Args:
            spec: what `spec` gave; without a weight it is 1, without an alpha there is none.

        Raises:
            InputError: no such grammar, or the text is no formula of it.
        """
        from primitives.catalog import grammar

        rules = grammar(spec["grammar"])
        return cls(rules.parse(spec["expression"]), rules, spec.get("loss_weight", 1.0), spec.get("alpha"))

    @property
    def plain(self) -> Loss:
        """The same at weight 1: what does not depend on the weight is alike for all that have this in common."""
        return replace(self, loss_weight=1.0)

    def times(self, factor: float) -> Loss:
        """The same with its weight times a factor."""
        return replace(self, loss_weight=float(f"{self.loss_weight * factor:.6g}"))

    def spec(self) -> dict[str, Any]:
        """The loss in plain values: the formula as canonical text, its grammar by name."""
        return {
            "expression": str(self.expression),
            "grammar": self.grammar.name,
            "loss_weight": self.loss_weight,
            "alpha": self.alpha,
        }

    def __reduce__(self) -> tuple[Callable[..., Loss], tuple[object, ...]]:
        """Other processes get the specification, too."""
        return Loss.of, (self.spec(),)


class Kind(Enum):
    """Where a candidate comes from: named by the config, or found."""

    OWN = "own"
    KNOWN = "known"
    CONTROL = "control"
    FOUND = "found"


class How(Enum):
    """What a candidate was made by."""

    OWN = "own"
    KNOWN = "known"
    CONTROL = "control"
    INITIAL = "initial"
    RANDOM = "random"
    MUTATION = "mutation"
    CROSSOVER = "crossover"
    REFINEMENT = "refinement"
    TUNING = "tuning"
    OTHER = "other"


_OWN = "the detector's own loss"
_AS_FORMULA = ", as a formula"
_OF_SEARCH = re.compile(r"([0-9]{1,18}) of the search: (.*)", re.DOTALL)
_GIVEN = re.compile(rf"(known|control): (.*?)({_AS_FORMULA})?", re.DOTALL)
_BRED = re.compile(
    r"(initial|random|mutation|crossover|refinement|tuning)(?: of ([0-9]{1,18})(?: and ([0-9]{1,18}))?)?: "
    r"(.*?)(?: \((.*)\))?",
    re.DOTALL,
)


@dataclass(frozen=True)
class Origin:
    """How a candidate came to be: it prints as a sentence, and `of` reads it back from that.

    Args:
        how: what made it.
        parents: numbers of those it was bred from.
        slots: that were varied.
        titles: of the known losses that it is; of what was refined or tuned the change; of OTHER the sentence itself.
        as_formula: the known losses are the detector's own.
        numbers: that it had in the searches it was taken from, the latest first.
    """

    how: How
    parents: tuple[int, ...] = ()
    slots: tuple[str, ...] = ()
    titles: tuple[str, ...] = ()
    as_formula: bool = False
    numbers: tuple[int, ...] = ()

    def __str__(self) -> str:
        before = "".join(f"{number} of the search: " for number in self.numbers)
        return f"{before}{self._sentence()}"

    def _sentence(self) -> str:
        if self.how is How.OWN:
            return _OWN
        if self.how is How.OTHER:
            return "".join(self.titles)
        if self.how in (How.KNOWN, How.CONTROL):
            return f"{self.how.value}: {' + '.join(self.titles)}{_AS_FORMULA if self.as_formula else ''}"
        parents = f" of {' and '.join(map(str, self.parents))}" if self.parents else ""
        changed = f" ({'; '.join(self.titles)})" if self.titles else ""
        return f"{self.how.value}{parents}: {' and '.join(self.slots)}{changed}"

    @classmethod
    def of(cls, text: str) -> Origin:
        """The origin that a sentence tells of; OTHER where it is none of those that origins print."""
        numbers, rest = [], text
        while before := _OF_SEARCH.fullmatch(rest):
            numbers.append(int(before[1]))
            rest = before[2]
        found = cls(How.OTHER, titles=(rest,))
        if rest == _OWN:
            found = cls(How.OWN)
        elif given := _GIVEN.fullmatch(rest):
            found = cls(How(given[1]), titles=tuple(given[2].split(" + ")), as_formula=bool(given[3]))
        elif bred := _BRED.fullmatch(rest):
            parents = tuple(int(number) for number in (bred[2], bred[3]) if number)
            changed = tuple(bred[5].split("; ")) if bred[5] else ()
            found = cls(How(bred[1]), parents, tuple(bred[4].split(" and ")), changed)
        found = replace(found, numbers=tuple(numbers))
        return found if str(found) == text else cls(How.OTHER, titles=(text,))


@dataclass(frozen=True)
class Candidate:
    """One numbered proposal that passed the gates; a slot left out keeps the detector's own loss.

    Args:
        number: 0 is the detector's own loss.
        kind: the detector's own loss, a known loss, a control, or found by the search.
        generation: in which it was born.
        losses: a loss per slot.
        origin: how it came to be.
        parents: numbers of the candidates it descends from.
        breeds: whether it may have children.
        identity: direction of its gradient on the typical probe, as text.
        draws: how many proposals it took to find it.
        certificates: what is known of the formula of each slot; each with `name`, `statement`, `how` and `numbers`.
    """

    number: int
    kind: Kind
    generation: int
    losses: Mapping[str, Loss]
    origin: Origin
    parents: tuple[int, ...] = ()
    breeds: bool = True
    identity: str = ""
    draws: int = 1
    certificates: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Nodes of all its formulas."""
        return sum(loss.expression.size for loss in self.losses.values())

    def spec(self) -> dict[str, dict[str, Any]]:
        """What an evaluator gets: plain values per slot."""
        return {slot: loss.spec() for slot, loss in self.losses.items()}


@dataclass(frozen=True)
class Refusal:
    """A proposal that a gate ended; of its formula only the text is kept."""

    number: int
    draw: int
    slot: str
    expression: str
    gate: str
    reason: str


class State(Enum):
    """Of an evaluation; running changes once, the others never."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True)
class Evaluation:
    """One training of one candidate at one rung with one seed.

    Args:
        candidate: its number.
        rung: its name.
        seed: of the training.
        state: whether and how it ended.
        score: higher is better; None unless it is done.
        metrics: all of them.
        error: why it failed; None unless it did.
        seconds: it took.
        ended: Unix time.
        memory: most bytes that its process held in it; 0 where that is not known.
        contributions: of each image, as `store.contributions.pack` writes them; empty where nobody asked, and once the
            run keeps them.
    """

    candidate: int
    rung: str
    seed: int
    state: State
    score: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    error: str | None = None
    seconds: float = 0.0
    ended: float = 0.0
    memory: float = 0.0
    contributions: str = field(default="", repr=False, compare=False)

    def facts(self) -> dict[str, Any]:
        """All of it as plain values, but for the contributions of images."""
        found = {name: value for name, value in self.__dict__.items() if name != "contributions"}
        return {**found, "state": self.state.value, "metrics": dict(self.metrics)}

    def __post_init__(self) -> None:
        if (self.score is not None) != (self.state is State.DONE):
            raise ValueError(f"an evaluation has a score when it is done, got {self.state.value} and {self.score}")
        if (self.error is not None) != (self.state is State.FAILED):
            raise ValueError(f"an evaluation has an error when it failed, got {self.state.value} and {self.error!r}")


@dataclass(frozen=True)
class Crash:
    """A worker that was lost: it died, hung or outgrew its memory.

    Args:
        rung: at which.
        seed: of the training.
        candidates: that were in it.
        apart: whether they go on one by one.
        cause: for people.
        ended: Unix time.
    """

    rung: str
    seed: int
    candidates: tuple[int, ...]
    apart: bool
    cause: str
    ended: float

"""The nouns of a search: a loss, a candidate, a verdict and an evaluation."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any

_WORD = re.compile(r"[\w.+-]+")
OWN = 0
"""Number of the candidate that keeps all of the detector's own losses."""
GATES = ("structure", "finite", "minimum", "monotone", "gradient", "distinct", "converges")
"""Names of the gates, in their order."""


@dataclass(frozen=True)
class Loss:
    """A formula ready for a slot.

    Args:
        expression: canonical text.
        grammar: name of its grammar.
        loss_weight: factor that gives it the gradient norm of the loss it replaces.
        alpha: weight of the target outside the formula, None for none.
    """

    expression: str
    grammar: str
    loss_weight: float = 1.0
    alpha: float | None = None


class Kind(Enum):
    """Where a candidate comes from: named by the config, or found."""

    OWN = "own"
    KNOWN = "known"
    CONTROL = "control"
    FOUND = "found"


@dataclass(frozen=True)
class Candidate:
    """One numbered proposal that passed the gates; a slot left out keeps the detector's own loss.

    Args:
        number: 0 is the detector's own loss.
        kind: the detector's own loss, a known loss, a control, or found by the search.
        generation: in which it was born.
        losses: a loss per slot.
        origin: how it came to be, for people.
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
    origin: str
    parents: tuple[int, ...] = ()
    breeds: bool = True
    identity: str = ""
    draws: int = 1
    certificates: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Nodes of all its formulas; every node prints as one word."""
        return sum(len(_WORD.findall(loss.expression)) for loss in self.losses.values())

    def spec(self) -> dict[str, dict[str, object]]:
        """What an evaluator gets: plain values per slot."""
        return {slot: asdict(loss) for slot, loss in self.losses.items()}


@dataclass(frozen=True)
class Refusal:
    """A proposal that a gate ended."""

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

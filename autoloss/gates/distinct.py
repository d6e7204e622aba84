"""Distinct: whether a proposal came before; losses with one gradient are one loss."""

from __future__ import annotations

from collections.abc import Iterable

from primitives.expression import Expression
from primitives.kinds.verdict import Verdict

GATE = "distinct"


class Distinct:
    """Identities that are not to come again.

    Args:
        identities: that came before.
        earlier: whose they are, for people.
    """

    def __init__(self, identities: Iterable[str] = (), earlier: str = "an earlier formula") -> None:
        self.identities = dict.fromkeys(identities)
        self._earlier = earlier

    def add(self, identity: str) -> None:
        """Lets this one pass never again; where a gradient has no direction, nothing tells whose it is."""
        if _known(identity):
            self.identities[identity] = None

    def verdict(self, identity: str, new: str = "") -> Verdict:
        """Whether an identity is new; `new` says more of one that is."""
        if identity in self.identities:
            return Verdict(GATE, False, f"its gradient is that of {self._earlier}")
        return Verdict(GATE, True, new)


def _known(identity: str) -> bool:
    """Whether every part of it says a direction."""
    return all(part.partition("*")[0] for part in identity.split("+"))


def from_parent(child: Expression, parent: Expression) -> Verdict:
    """Whether a child is another formula than its parent; no gradient need be computed."""
    same = child == parent
    return Verdict(GATE, not same, "it is the formula of its parent" if same else "")

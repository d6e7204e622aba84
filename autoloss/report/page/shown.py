"""Shown: a loss, a candidate and a difference, as a page shows them; formulas as MathML."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from autoloss.candidate import Candidate, Evaluation, Loss, State
from autoloss.gates.equivalence import recognised
from autoloss.gates.inspection import nearest
from autoloss.report.leaderboard import Row
from primitives.catalog import slots
from primitives.expression import Expression
from primitives.forms.infix import infix
from primitives.forms.mathml import mathml
from primitives.forms.simplify import simplified
from primitives.text.printable import printable

_LARGEST = 120
"""Nodes of a formula that is set as mathematics; more of them nobody reads."""
_LONGEST = 400


@dataclass(frozen=True)
class Shown:
    """A loss of a slot.

    Args:
        slot: name.
        formula: for a page, in short or as it was written.
        text: the same in infix.
        canonical: as the run file has it.
        known: title of the known loss that it is; empty for none.
        remarks: weight, alpha and the like.
        size: nodes.
    """

    slot: str
    formula: Markup
    text: str
    canonical: str
    known: str
    remarks: str
    size: int


def losses(found: Mapping[str, Loss], *, short: bool) -> list[Shown]:
    """The losses of a candidate, slot by slot.

    Args:
        found: by slot.
        short: simplified, which takes some tenths of a second for each.
    """
    return [_loss(slot, found[slot], short) for slot in slots() if slot in found]


def _loss(slot: str, loss: Loss, short: bool) -> Shown:
    tree = simplified(loss.expression, loss.grammar) if short else loss.expression
    known = recognised(loss) if short else None
    remarks = [
        f"weight {loss.loss_weight:.3g}",
        f"alpha {loss.alpha:g}" if loss.alpha is not None else "",
        loss.grammar.kind.remark(loss.grammar.terminals),
    ]
    return Shown(
        slot,
        formula(tree),
        infix(tree),
        str(loss.expression),
        known.title if known else "",
        ", ".join(filter(None, remarks)),
        loss.expression.size,
    )


def formula(tree: Expression) -> Markup:
    """A formula as mathematics; as text where it has too many parts to be read."""
    if tree.size > _LARGEST:
        return Markup("<code>{}</code>").format(printable(infix(tree), _LONGEST))
    return Markup(mathml(tree))


@dataclass(frozen=True)
class Opened:
    """What stands below a candidate of the leaderboard once it is opened.

    Args:
        losses: with their formulas as the run file has them.
        seeds: a row per rung and seed: rung, seed, score or reason, seconds.
        metrics: names and means at the highest rung.
        certificates: slot, name, statement, how.
        nearest: slot and how the nearest known loss differs.
    """

    losses: list[Shown]
    seeds: list[tuple[str, int, str, str]]
    metrics: list[tuple[str, float]]
    certificates: list[tuple[str, str, str, str]]
    nearest: list[tuple[str, str]]


def opened(one: Candidate, evaluations: Iterable[Evaluation], metrics: Mapping[str, float], *, short: bool) -> Opened:
    """The inspection of a candidate.

    Args:
        one: the candidate.
        evaluations: of it, in order.
        metrics: means at its highest rung.
        short: formulas simplified.
    """
    certificates = [
        (slot, row["name"], row["statement"], row["how"]) for slot, rows in one.certificates.items() for row in rows
    ]
    return Opened(
        losses(one.losses, short=short),
        [(e.rung, e.seed, _said(e), f"{e.seconds:.1f}") for e in evaluations],
        [(name, value) for name, value in metrics.items() if name not in ("score", "loss")],
        certificates,
        [(slot, _nearest(loss)) for slot, loss in one.losses.items()] if short else [],
    )


def _said(one: Evaluation) -> str:
    if one.score is not None:
        return f"{one.score:.4f}"
    return "running" if one.state is State.RUNNING else f"failed: {printable(one.error, _LONGEST)}"


def _nearest(loss: Loss) -> str:
    found: Mapping[str, Any] | None = nearest(loss.expression, loss.grammar, loss.alpha)
    if found is None:
        return "no gradient to compare"
    return f"{found['title']}: {found['differs']}"


def points(value: float | None, digits: int = 1) -> str:
    """A difference of scores in points, with its sign."""
    if value is None:
        return ""
    rounded = round(100 * value, digits) + 0.0  # there is no -0.0
    return f"{rounded:+.{digits}f}".replace("-", "\u2212") if rounded else f"{0:.{digits}f}"


def duration(seconds: float) -> str:
    """A time as people say it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def row_text(row: Row) -> str:
    """The formulas of a candidate in a short line, as they were written."""
    texts = [infix(loss.expression) for loss in row.candidate.losses.values()] or [str(row.candidate.origin)]
    return printable("; ".join(texts), 90)

"""Words: what an audit says, in plain ones."""

from __future__ import annotations

from collections.abc import Sequence

from autoloss.audit.contestants import BEST_KNOWN, CONTROLS, OWN_TUNED
from autoloss.audit.tuning import MOST
from autoloss.audit.verdict import Audit, Comparison, Contender, Place
from autoloss.values import LEVEL
from primitives.text.printable import printable


def points(difference: float) -> str:
    """A difference with its sign, in points."""
    return f"{100 * difference:+.1f}"


def interval(one: Comparison) -> str:
    """Of a difference, in points."""
    return f"{points(one.low)} to {points(one.high)}"


def paragraph(found: Audit) -> str:
    """The verdict on every finalist, and what cannot be seen."""
    return "\n".join(_of_place(place, len(found.seeds)) for place in found.places)


def _of_place(place: Place, seeds: int) -> str:
    over = f"{seeds} new seeds and {place.images} images" if place.images else f"{seeds} new seeds"
    sentences = [_of_finalist(rows) for rows in _by_finalist(place.comparisons)]
    failed = [f"{_who(one)} failed {one.failed}." for one in place.contenders if one.failed]
    unseen = ""
    if place.smallest is not None:
        unseen = f"A true difference below {100 * place.smallest:.1f} points would mostly go unseen."
    there = {one.control for one in place.contenders}
    lacking = [name for name in CONTROLS if name not in there]
    missing = f"Not among the controls: the {', the '.join(lacking)}." if lacking else ""
    picked = "The search ranked its finalists on the same images, which flatters them." if place.seen else ""
    edge = [
        f"A weight of the {one.control} is at the end of what was tried." for one in place.contenders if _at_end(one)
    ]
    tuned = "" if place.home else ", with weights as tuned elsewhere"
    begin = f"On {place.on}{tuned}, over {over}, in points of {place.metric} with 95 % intervals:"
    return printable(" ".join(filter(None, [begin, *sentences, *failed, unseen, *edge, picked, missing])), None)


def _at_end(one: Contender) -> bool:
    """Whether more, or less, of a loss might do better."""
    return one.control in (OWN_TUNED, BEST_KNOWN) and any(
        not 1 / MOST < factor < MOST for factor in one.factors.values()
    )


def _who(one: Contender) -> str:
    return f"The {one.control} ({one.what})" if one.control else f"Finalist {one.what}"


def _by_finalist(rows: Sequence[Comparison]) -> list[list[Comparison]]:
    numbers = dict.fromkeys(one.finalist for one in rows)
    return [[one for one in rows if one.finalist == number] for number in numbers]


def _of_finalist(rows: Sequence[Comparison]) -> str:
    better = [one for one in rows if one.holm < LEVEL and one.difference > 0]
    worse = [one for one in rows if one.holm < LEVEL and one.difference < 0]
    open_ = [one for one in rows if one.holm >= LEVEL]
    parts = (("better than", better), ("worse than", worse), ("not told apart from", open_))
    said = "; ".join(f"{how} {_listed(which)}" for how, which in parts if which)
    return f"#{rows[0].finalist} is {said}."


def _listed(rows: Sequence[Comparison]) -> str:
    return ", ".join(f"the {one.control} ({points(one.difference)}, {interval(one)})" for one in rows)

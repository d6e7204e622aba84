"""Page: everything a run tells, as one file of HTML that reads without a network."""

from __future__ import annotations

import base64
import hashlib
import pprint
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from autoloss import __version__
from autoloss.candidate import OWN, Kind
from autoloss.report import next_steps
from autoloss.report.detections.document import rung_of
from autoloss.report.leaderboard import Leaderboard, Row
from autoloss.report.page import facts, pictures
from autoloss.report.page.shown import Opened, Shown, duration, formula, losses, opened, points, row_text
from autoloss.report.page.told import Told
from autoloss.values import LONGEST_NAME
from primitives.catalog import grammar
from primitives.errors import InputError
from primitives.text.printable import printable

BEST = 100
"""Rows of the leaderboard that open to their inspection; the rest are a line each."""
_SHORT = 10
"""Of them, those whose formulas are simplified and set beside the nearest known loss."""
_ANCESTORS = 40


def page(told: Told, *, live: str = "") -> str:
    """The page of a run.

    Args:
        told: what the run tells.
        live: version of a page that asks its server for newer ones; empty for a page that stands alone.
    """
    board, winner = told.board, told.winner
    own = told.scores.get(OWN)
    return rendered(
        "report.html",
        live=live,
        title=_title(board),
        board=board,
        told=told,
        answer=told.answer,
        winner=_winner(told) if winner else None,
        pictures=pictures.of(told),
        setup=list(_setup(board)),
        funnel=list(_funnel(told)),
        lineage=list(_lineage(told)) if winner else [],
        seen=told.seen,
        show_detections=next_steps.detections(board),
        trained=rung_of(board.settings),
        classes=list(_classes(told)),
        failures=facts.failures(told.evaluations),
        rows=list(_rows(told)),
        rest=[(row, row_text(row)) for row in board.rows[BEST:] if row.candidate.number != OWN],
        own=own,
        spent=facts.seconds_by_rung(told.evaluations),
        config=f"search = {pprint.pformat(dict(board.kept), width=100, sort_dicts=False)}\n",
        commands=next_steps.commands(board),
    )


def rendered(template: str, **values: Any) -> str:
    """A template with values, its scripts allowed by their digests and nothing else."""
    script = Markup(_source("report.js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    style = Markup(_source("report.css"))
    return (
        _environment()
        .get_template(template)
        .render(script=script, script_digest=digest, style=style, version=__version__, **values)
    )


@lru_cache(maxsize=1)
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("autoloss.report.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "points": points,
        "duration": duration,
        "shown": lambda text, limit=200: printable(text, limit),
        "name": lambda text: printable(text, LONGEST_NAME),
    }
    return made


def _source(name: str) -> str:
    loader = _environment().loader
    assert loader is not None
    return loader.get_source(_environment(), name)[0]


def _title(board: Leaderboard) -> str:
    detector = Path(str(board.trained.get("detector", "") or "a detector")).stem
    return f"Losses found for {printable(detector, 80)}"


def _setup(board: Leaderboard) -> Iterator[tuple[str, str]]:
    """What was searched, on what: name and text."""
    settings = board.settings
    if settings.evaluators:
        each = board.trained.get("evaluators") or [{}] * len(settings.evaluators)
        for number, (spec, trained) in enumerate(zip(settings.evaluators, each, strict=False), start=1):
            yield from ((f"{number}: {name}", text) for name, text in _trained(spec, trained))
        yield "objective", f"{settings.objective} of the scores over the own loss's"
    else:
        yield from _trained(settings.evaluator, board.trained)
    for slot, rules in settings.slots.items():
        yield f"searched {slot}", f"formulas of grammar {rules.grammar}, in place of {rules.like}"
    yield "search", f"{settings.generations} generations of {settings.births}, seed {settings.seed}"
    for rung in settings.rungs:
        task = ", ".join(f"{key} {value}" for key, value in rung.task.items())
        seeds = ", ".join(map(str, rung.seeds))
        yield f"rung {printable(rung.name, LONGEST_NAME)}", printable(f"{task}; seeds {seeds}", 300)


def _trained(spec: Mapping[str, Any], trained: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What is trained on what in a set-up."""
    yield "detector", printable(trained.get("detector", "an evaluator that trains none"))
    data = spec.get("data")
    if data is not None:
        yield "data", printable(data if isinstance(data, str) else data.get("type", data))
    if images := trained.get("images"):
        yield "images", ", ".join(f"{printable(name, 30)} {count:,}" for name, count in images.items() if count)
    for split, faults in (trained.get("spoilt") or {}).items():
        yield f"{printable(split, 30)}, spoilt on purpose", printable("; ".join(map(str, faults)), 300)
    if classes := trained.get("classes"):
        shown = ", ".join(printable(one, 40) for one in classes[:30])
        yield "classes", f"{len(classes)}: {shown}{', ...' if len(classes) > 30 else ''}"
    for slot, loss in (trained.get("own losses") or {}).items():
        yield f"own {printable(slot, 30)}", printable(loss, 300)


@dataclass(frozen=True)
class Winner:
    """The best found, as the page shows it.

    Args:
        row: of the leaderboard.
        losses: its formulas.
        rung: the highest that it reached.
        size: nodes.
        own_size: of the formulas that stand for the own loss in the slots that it fills.
        seconds: of a training there with it and with the own loss; empty where one of them is not known.
    """

    row: Row
    losses: list[Shown]
    rung: str
    size: int
    own_size: int
    seconds: list[float]


def _winner(told: Told) -> Winner | None:
    row = told.winner
    if row is None:
        return None
    one, rung = row.candidate, told.top_rung(row)
    own = told.board.settings.stand_ins
    spent = [
        statistics.median(seconds)
        for number in (one.number, OWN)
        if (seconds := [e.seconds for e in told.by_candidate.get(number, ()) if e.rung == rung and e.score is not None])
    ]
    own_size = sum(own[slot].expression.size for slot in one.losses if slot in own)
    return Winner(row, losses(one.losses, short=True), rung, one.size, own_size, spent if len(spent) == 2 else [])


@dataclass(frozen=True)
class Stage:
    """A row of the funnel: how many came out of it, and an example of what did not."""

    name: str
    count: int
    share: float
    kind: str
    example: Markup | None = None
    reason: str = ""


def _funnel(told: Told) -> Iterator[Stage]:
    counts = told.board.counts
    whole = max(counts.proposed, 1)
    yield Stage("proposed", counts.proposed, 1.0, "passed")
    for gate, count in counts.refused.items():
        one = told.examples.get(gate)
        example = _example(told, one) if one else None
        yield Stage(f"refused: {gate}", count, count / whole, "refused", example, printable(one.reason) if one else "")
    yield Stage("passed every gate", counts.passed, counts.passed / whole, "passed")
    for rung, count in counts.trained.items():
        failed = f"{counts.failed[rung]} failed" if counts.failed[rung] else ""
        name = f"trained: {printable(rung, LONGEST_NAME)}, with the given ones"
        yield Stage(name, count, count / whole, "passed", reason=failed)


def _example(told: Told, one: Any) -> Markup:
    """The refused formula; as text where it is no formula of the grammar any more."""
    rules = told.board.settings.slots.get(one.slot)
    try:
        if rules is None:
            raise InputError(f"no slot {one.slot}")
        return formula(grammar(rules.grammar).parse(one.expression))
    except InputError:
        return Markup("<code>{}</code>").format(printable(one.expression))


def _lineage(told: Told) -> Iterator[tuple[facts.Step, dict[str, Shown], dict[str, Shown], float | None]]:
    """Steps, oldest first, with the formulas that changed, after and before, and the score."""
    assert told.winner is not None
    steps = facts.lineage(told.candidates, told.winner.candidate.number, told.scores)
    for step in steps[-_ANCESTORS:]:
        one = step.candidate
        now = {shown.slot: shown for shown in losses(one.losses, short=len(steps) <= _SHORT)}
        before = losses({slot: loss for slot, loss in step.changed.items() if loss}, short=len(steps) <= _SHORT)
        yield step, now, {shown.slot: shown for shown in before}, told.scores.get(one.number)


def _classes(told: Told) -> Iterator[tuple[str, float, float]]:
    """Class, average precision of the best found, and of the own loss; at the highest rung that both reached."""
    if told.winner is None or told.board.own is None:
        return
    pair = (told.winner, told.board.own)
    rung = next((name for name in reversed(told.board.rungs) if all(name in row.scores for row in pair)), "")
    mine, other = (
        facts.by_class(facts.metrics_at(told.by_candidate.get(n, ()), rung, n))
        for n in (row.candidate.number for row in pair)
    )
    yield from ((printable(name, 60), mine[name], other[name]) for name in mine if name in other)


def _rows(told: Told) -> Iterator[tuple[Row, Opened, float | None]]:
    """The best candidates, each with what it opens to and its difference from the own loss at its highest rung."""
    own = told.board.own
    for place, row in enumerate(told.board.best(BEST).rows):
        number = row.candidate.number
        metrics = told.metrics(row)
        short = place < _SHORT or row.candidate.kind is not Kind.FOUND
        rung = told.top_rung(row)
        gap = row.scores[rung].mean - own.scores[rung].mean if own and rung and rung in own.scores else None
        yield row, opened(row.candidate, told.by_candidate.get(number, ()), metrics, short=short), gap

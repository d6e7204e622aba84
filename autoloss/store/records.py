"""Records: what the rows of a run file stand for, both ways, and whether the facts of a file agree with each other."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from autoloss.candidate import GATES, Candidate, Crash, Evaluation, Kind, Loss, Origin, Refusal
from autoloss.config import from_run_file
from autoloss.settings import Settings
from autoloss.store.contributions import unpack
from autoloss.store.ledger import CANDIDATE, CRASH, EVALUATION, REFUSAL, Row, Table, line, shown

_CRASH: TypeAdapter[Crash] = TypeAdapter(Crash)
_EVALUATION: TypeAdapter[Evaluation] = TypeAdapter(Evaluation)
_REFUSAL: TypeAdapter[Refusal] = TypeAdapter(Refusal)
_OBJECTS: TypeAdapter[list[dict[str, Any]]] = TypeAdapter(list[dict[str, Any]])


class _Loss(BaseModel):
    """A loss in the row of a candidate; see `Loss.spec`."""

    expression: str
    grammar: str
    loss_weight: float = 1.0
    alpha: float | None = None


class _Candidate(BaseModel):
    """The row of a candidate, its texts that are JSON read."""

    number: int
    kind: Kind
    generation: int
    losses: dict[str, _Loss]
    origin: str
    parents: tuple[int, ...]
    breeds: bool
    identity: str
    draws: int
    certificates: dict[str, list[dict[str, Any]]]


class Contradiction(ValueError):  # noqa: N818  a finding, as the others of a file are
    """Facts of a file that cannot all be true."""


def _fields(table: Table, row: Row) -> dict[str, Any]:
    """The values of a row by the names of their columns; SQLite lets a column hold what it likes."""
    for (name, kind), value in zip(table.columns.items(), row, strict=True):
        if type(value) is not kind and value is not None:
            raise TypeError(f"{name} must be {kind.__name__}, got {shown(value)}")
    return dict(zip(table.columns, row, strict=True))


def of_candidate(one: Candidate) -> Row:
    """Its row."""
    return (
        *(one.number, one.kind.value, one.generation, json.dumps(one.spec()), str(one.origin), json.dumps(one.parents)),
        *(one.breeds, one.identity, one.draws, json.dumps(one.certificates)),
    )


def candidate(row: Row) -> Candidate:
    """Of a row."""
    found = _fields(CANDIDATE, row)
    for name in ("losses", "parents", "certificates"):
        found[name] = json.loads(found[name])
    read = _Candidate.model_validate(found)
    losses = {slot: Loss.of(loss.model_dump()) for slot, loss in read.losses.items()}
    return Candidate(**{**dict(read), "losses": losses, "origin": Origin.of(read.origin)})


def of_refusal(one: Refusal) -> Row:
    """Its row."""
    return (one.number, one.draw, one.slot, one.expression, one.gate, one.reason)


def refusal(row: Row) -> Refusal:
    """Of a row."""
    return _REFUSAL.validate_python(_fields(REFUSAL, row))


def of_evaluation(one: Evaluation) -> Row:
    """Its row."""
    metrics = json.dumps(dict(one.metrics))
    return (
        *(one.candidate, one.rung, one.seed, one.state.value, one.score, metrics, one.error),
        *(one.seconds, one.ended, one.memory),
    )


def evaluation(row: Row) -> Evaluation:
    """Of a row."""
    found = _fields(EVALUATION, row)
    found["metrics"] = json.loads(found["metrics"])
    return _EVALUATION.validate_python(found)


def of_crash(one: Crash) -> Row:
    """Its row."""
    return (one.rung, one.seed, json.dumps(one.candidates), one.apart, one.cause, one.ended)


def crash(row: Row) -> Crash:
    """Of a row."""
    found = _fields(CRASH, row)
    found["candidates"] = json.loads(found["candidates"])
    return _CRASH.validate_python(found)


def contributions(row: Row) -> dict[str, Any]:
    """Of the images, of a row."""
    return unpack(row[3])


def total(row: Row) -> float:
    """A running total."""
    return float(row[1])


def settings(row: Row) -> Settings:
    """The settings of a run, whichever version wrote them."""
    return from_run_file(json_object(row))


def json_object(row: Row) -> dict[str, Any]:
    """What a text is in JSON."""
    found = json.loads(row[1])
    if not isinstance(found, dict):
        raise TypeError(f"not an object of JSON but {shown(found)}")
    return found


def json_objects(row: Row) -> list[dict[str, Any]]:
    """What a text is in JSON: several objects."""
    return _OBJECTS.validate_json(row[1])


def reason(error: Exception) -> str:
    """Why a row stands for nothing, in a line."""
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        return line(f"{place}: {first['msg']}, got {shown(first['input'])}")
    return line(f"not JSON: {error}" if isinstance(error, json.JSONDecodeError) else error)


class _Rung(BaseModel):
    name: str
    seeds: list[int]
    task: dict[str, Any]


class _Finale(BaseModel):
    rung: _Rung


class _Read(BaseModel):
    """What is read of the settings of a run, whichever version wrote them."""

    model_config = ConfigDict(extra="allow")
    seed: int
    ladder: list[_Rung] = Field(min_length=1)
    finale: _Finale | None
    evaluator: dict[str, Any]
    slots: dict[str, Any]


def audit(
    settings: Mapping[str, Any],
    candidates: Sequence[Candidate],
    evaluations: Sequence[Evaluation],
    refusals: Sequence[Refusal],
    crashes: Sequence[Crash],
) -> None:
    """Compares the facts of a file that has no checksums.

    Raises:
        Contradiction: the first that is found.
    """
    try:
        _Read.model_validate(settings)
    except ValidationError as error:
        raise Contradiction(f"settings.{reason(error)}") from None
    for number, one in enumerate(candidates):
        if one.number != number:
            raise Contradiction(f"candidate {number} is missing")
        _audit_candidate(one)
    for ended in evaluations:
        _there(ended.candidate, candidates, f"an evaluation at {shown(ended.rung)}")
        _audit_evaluation(ended)
    for lost in crashes:
        for number in lost.candidates:
            _there(number, candidates, f"a crash at {shown(lost.rung)}")
    _audit_refusals(refusals, candidates)


def _audit_evaluation(one: Evaluation) -> None:
    who = f"the evaluation of candidate {one.candidate} at {shown(one.rung)} with seed {one.seed}"
    for name in ("seconds", "ended", "memory"):
        if not 0 <= getattr(one, name) < math.inf:
            raise Contradiction(f"{who} has {name} {getattr(one, name)}")
    told = one.metrics.get("score", one.score)
    if one.score is not None and told != one.score:
        raise Contradiction(f"{who} has score {one.score}, its metrics say {told}")


def _audit_candidate(one: Candidate) -> None:
    who = f"candidate {one.number}"
    for parent in one.parents:
        if not 0 <= parent < one.number:
            raise Contradiction(f"{who} descends from {parent}, which is not older")
    for slot, loss in one.losses.items():
        _audit_loss(slot, loss)


def _audit_loss(slot: str, loss: Loss) -> None:
    rules = loss.grammar
    if rules.slot != slot:
        raise Contradiction(f"a formula of grammar {rules.name} is for {rules.slot}, not for {shown(slot)}")
    if not 0 <= loss.loss_weight < math.inf or not 0 <= (loss.alpha or 0) <= 1:
        raise Contradiction(f"{slot} has loss_weight {loss.loss_weight} and alpha {loss.alpha}")


def _audit_refusals(refusals: Sequence[Refusal], candidates: Sequence[Candidate]) -> None:
    place: Counter[int] = Counter()
    for one in refusals:
        _there(one.number, candidates, "a refusal")
        if one.draw != place[one.number]:
            raise Contradiction(f"refusal {place[one.number]} on the way to candidate {one.number} is missing")
        if one.gate not in GATES:
            raise Contradiction(f"refusal {one.draw} on the way to candidate {one.number} is by gate {shown(one.gate)}")
        place[one.number] += 1
    for number, count in place.items():
        if candidates[number].draws != count + 1:
            raise Contradiction(
                f"candidate {number} took {candidates[number].draws} draws, and {count} refusals are there"
            )


def _there(number: int, candidates: Sequence[Candidate], who: str) -> None:
    if not 0 <= number < len(candidates):
        raise Contradiction(f"{who} is of candidate {number}, which is missing")

"""A run of very many candidates that nobody searched: formulas drawn, scores made up."""

from __future__ import annotations

import random
from pathlib import Path

from autoloss.candidate import Candidate, Evaluation, How, Kind, Loss, Origin, State
from autoloss.config import from_mapping
from autoloss.search.strategies.variation import random_formula, seeded
from autoloss.store import records
from autoloss.store.ledger import EVALUATION
from autoloss.store.run import Run
from primitives.catalog import grammar
from primitives.expression import Expression
from primitives.grammar import Grammar
from tests.helpers.small import section


def large_run(folder: Path, count: int) -> None:
    """Writes the run of so many candidates, all of them trained at both rungs of the ladder."""
    settings = from_mapping(section(generations=max(count // 100, 1), births=100))
    slots = {"loss_bbox": grammar("box"), "loss_cls": grammar("sigmoid")}
    luck = random.Random(0)
    with Run.create(folder, settings.identity()) as run, seeded("large"):
        found = [Candidate(0, Kind.OWN, 0, {}, Origin(How.OWN))]
        for number in range(1, count):
            losses = {slot: Loss(_formula(rules), rules) for slot, rules in slots.items()}
            origin = Origin(How.RANDOM, slots=tuple(losses))
            found.append(Candidate(number, Kind.FOUND, number // 100, losses, origin))
        run.born(found, [])
        ended = [
            Evaluation(number, rung, seed, State.DONE, luck.uniform(0.5, 0.6), seconds=1.0, ended=1.0)
            for number in range(count)
            for rung, seed in (("verify", 0), ("proxy", 1))
        ]
        with run._writing():  # in one go: a transaction each would take minutes
            run._ledger.add(EVALUATION, map(records.of_evaluation, ended))


def _formula(rules: Grammar) -> Expression:
    while True:
        found = random_formula(rules)
        if found.names:
            return found

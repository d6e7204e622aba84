"""Known: the losses of the catalog that fit a config, trained at its rungs, at the last one with a few seeds."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from autoloss.candidate import OWN, Candidate, How, Kind, Origin
from autoloss.gates.calibration import calibrated
from autoloss.rungs.rung import Rung
from autoloss.search import profiling
from autoloss.search.fidelity import same_tasks
from autoloss.search.population import Population
from autoloss.search.progress import Watcher
from autoloss.search.runner import prepare, running
from autoloss.settings import Budget, Settings
from autoloss.store.run import Run
from primitives.catalog import GRAMMARS, KNOWN, find_known, named
from primitives.errors import InputError

_log = logging.getLogger(__name__)
LEARNT = 0.05
"""Score from which a detector has learnt something: below it differences between losses say nothing."""
FREE = ("ladder", "known", "controls")
"""Settings that may change when a measurement goes on: more seeds, and losses that a newer catalog has."""
FACTORS = (0.5, 2.0)
"""Of the weight of the own loss in each slot; with weight 1 it is trained as formulas in all slots at once."""
SECONDS = "seconds of the search"
"""Key of a run's description: least and most."""


def of_known(settings: Settings, seeds: int | None = None) -> Settings:
    """The measurement of a search: no search itself, but its population is a search's first generation.

    Its ladder is that of the search, and the last rung, with these seeds: whether cheap rungs rank as that does.

    Args:
        settings: of the search.
        seeds: how many trainings of each loss, None for as many as the last rung has, at least 3. They begin with the
            rung's own; those that come on top are seeds of no other rung.

    Raises:
        InputError: fewer than two, which say nothing of noise.
    """
    last = settings.rungs[-1]
    count = max(len(last.seeds), 3) if seeds is None else seeds
    if count < 2:
        raise InputError(f"noise is what seeds differ by: headroom needs two seeds at least, got {count}")
    used = {seed for rung in settings.rungs for seed in rung.every_seed}
    free = (seed for seed in itertools.count(1) if seed not in used)
    chosen = [*last.seeds, *itertools.islice(free, max(count - len(last.seeds), 0))][:count]
    rung = Rung(name=last.name, task=last.task, seeds=chosen, batch=last.batch)
    changes: dict[str, Any] = {
        "generations": 1,
        "births": 1,
        "known": list(_fitting(settings)),
        "controls": [
            dict.fromkeys(settings.slots, 1.0),
            *({slot: factor} for slot in settings.slots for factor in FACTORS),
        ],
        "ladder": [*(one for one in settings.ladder if one.name != last.name), rung],
        "finale": None,
        "budget": Budget(),  # it is for searches
    }
    return settings.model_copy(update=changes)


def _fitting(settings: Settings) -> Iterator[dict[str, str]]:
    """The known losses of each slot beside the one that stands for its own, and the rows of the config."""
    rows = [
        {slot: name}
        for slot, rules in settings.slots.items()
        for name, known in KNOWN.items()
        if GRAMMARS[known.grammar].kind is GRAMMARS[rules.grammar].kind and name != rules.like
    ]
    yield from rows
    own = {slot: rules.like for slot, rules in settings.slots.items()}
    yield from (row for row in settings.known if row not in rows and any(own[slot] != row[slot] for slot in row))


def of_texts(settings: Settings, texts: Mapping[str, Sequence[str]]) -> list[Candidate]:
    """Losses that a person names, at the gradient norm of the loss that they replace; their numbers come later.

    Args:
        settings: of the search.
        texts: for each slot names of known losses, or formulas of its grammar.

    Raises:
        InputError: a slot that the search does not fill, or a text that is no loss for it.
    """
    found = []
    for slot, text in ((slot, text) for slot, several in texts.items() for text in several):
        if slot not in settings.slots:
            raise InputError(f"{text!r} is for slot {slot!r}; choices: {', '.join(settings.slots)}")
        rules = settings.slots[slot]
        expression, grammar, alpha = named(text, None if find_known(text) else rules.grammar)
        if grammar.kind is not GRAMMARS[rules.grammar].kind:
            raise InputError(f"{text!r} is of grammar {grammar.name}; {slot} takes losses of {rules.grammar}")
        loss = calibrated(expression, grammar, alpha, rules.like, rules.weight)
        origin = Origin(How.OTHER, titles=(f"given: {text}",))
        found.append(Candidate(0, Kind.KNOWN, 0, {slot: loss}, origin, (), False))
    return found


def measure(
    search: Settings,
    settings: Settings,
    run: Run,
    others: Sequence[Candidate] = (),
    watch: Watcher = lambda _: None,
) -> None:
    """Trains what has not been trained, and measures what the search would take.

    Args:
        search: the search that would be paid for.
        settings: of the measurement, as `of_known` makes them.
        run: holds what is done already; made with `FREE` settings.
        others: losses beside the known ones, as `of_texts` makes them.
        watch: sees the progress.

    Raises:
        InputError: the set-up cannot work, or the rung was measured with another task.
    """
    takes = run.description.get(SECONDS)
    prepare(settings, run)
    same_tasks(run, settings.ladder)
    there = [one.losses for one in run.candidates()]
    new = [one for one in (*Population(settings).given(), *others) if one.losses not in there]
    if new:
        run.born([replace(one, number=number) for number, one in enumerate(new, start=len(there))], [])
    with running(settings, run, watch) as runner:
        if takes is None:
            forecast = profiling.forecast(search, runner.executor)
            takes = [forecast.least, forecast.most] if forecast else []
        run.describe({**run.description, SECONDS: takes})
        *cheap, last = settings.ladder
        for rung in cheap:
            runner.evaluate(list(runner.candidates), rung)
        runner.evaluate([OWN], last)
        _learnt(run, last)
        runner.evaluate(list(runner.candidates), last)


def _learnt(run: Run, rung: Rung) -> None:
    """Says so where the own loss leaves a detector that has hardly learnt, before hours go into the others."""
    scores = [one.score for one in run.evaluations(rung.name) if one.candidate == OWN and one.score is not None]
    if scores and max(scores) < LEARNT:
        _log.warning(
            "with its own loss the detector has hardly learnt at %s (%s %.3f): differences between losses will say "
            "little; stop here and train longer (--cfg-options search.finale.rung.task.iterations=N), or on larger "
            "images",
            repr(rung.name),
            run.description.get("metric", "mAP"),
            max(scores),
        )

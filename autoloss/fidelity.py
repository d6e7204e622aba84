"""Fidelity: how well cheap rungs rank: the same losses at every rung of a ladder and at a long training, the truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from autoloss import executors
from autoloss.candidate import Candidate, Kind
from autoloss.discover import Loop, Watcher, prepared
from autoloss.run import Run
from autoloss.search import OWN
from autoloss.settings import Rung, Settings
from primitives.errors import InputError

FREE = ("ladder", "finale")
"""Settings that may change when a measurement goes on: rungs come and go, what was measured at others stays."""


def measure(
    settings: Settings, run: Run, population: Sequence[Candidate] = (), watch: Watcher = lambda _: None
) -> None:
    """Trains every loss at every rung of the ladder, and at the finale's rung, which counts as the truth.

    Args:
        settings: of a search; its first generation, with the known losses and controls, is the population.
        run: holds what is done already; made with `FREE` settings.
        population: other losses, which take the place of the first generation.
        watch: sees the progress.

    Raises:
        InputError: no finale, or the set-up cannot work.
    """
    prepared(settings, run)
    if not run.candidates() and population:
        run.born(population, [])
    with executors.make(settings.workers, settings.evaluator) as executor:
        loop = Loop(settings, run, watch, executor)
        numbers = loop.generation(0)
        for rung in rungs(settings):
            loop.evaluate(numbers, rung)


def rungs(settings: Settings) -> list[Rung]:
    """The rungs that are measured, and the truth last.

    Raises:
        InputError: the config has no finale.
    """
    if settings.finale is None:
        raise InputError("fidelity needs search.finale: its rung is the training that cheaper rungs are compared with")
    return [*settings.ladder, settings.finale.rung]


def late(search: Run, count: int) -> list[Candidate]:
    """The detector's own loss and the last losses that a search found, numbered anew.

    Args:
        search: the run.
        count: how many.

    Raises:
        InputError: it found fewer.
    """
    all_of_them = search.candidates()
    found = [candidate for candidate in all_of_them if candidate.kind is Kind.FOUND][-count:]
    if len(found) < count:
        raise InputError(f"{search.directory} found {len(found)} losses, {count} were asked for")
    first = next(candidate for candidate in all_of_them if candidate.number == OWN)
    return [
        first,
        *(
            replace(one, number=number, generation=0, parents=(), origin=f"{one.number} of the search: {one.origin}")
            for number, one in enumerate(found, start=1)
        ),
    ]

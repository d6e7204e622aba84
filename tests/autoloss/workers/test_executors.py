from typing import Any

import pytest

from autoloss.config import from_mapping
from autoloss.settings import Settings
from autoloss.workers import executors
from primitives.errors import InputError
from tests.helpers.fast_evaluator import DescentEvaluator
from tests.helpers.small import section


def asked(workers: int, **changes: Any) -> Settings:
    return from_mapping(section(workers=workers, **changes))


def machine(monkeypatch: pytest.MonkeyPatch, cores: int, memory: float) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(cores)))
    monkeypatch.setattr(executors, "machine_memory", lambda: memory)


@pytest.mark.parametrize(("cores", "memory", "most"), [(2, 24e9, 8), (64, 24e9, 48), (1, 0.5e9, 1), (3, 1e12, 12)])
def test_more_workers_than_fit_are_refused_with_the_most_that_fits(
    monkeypatch: pytest.MonkeyPatch, cores: int, memory: float, most: int
) -> None:
    machine(monkeypatch, cores, memory)
    for workers in (0, 1, most):
        executors.check_room(asked(workers))
    for workers in (most + 1, 1_000_000):
        with pytest.raises(
            InputError, match=rf"^search.workers: {workers:,} processes .* at most {most:,}: {cores} cores"
        ):
            executors.make(asked(workers))


def test_an_evaluator_that_only_waits_has_as_many_as_it_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, 1, 1e9)
    monkeypatch.setattr(DescentEvaluator, "waits", True, raising=False)
    executors.check_room(asked(1000))


def test_a_cluster_says_itself_what_it_has_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, 1, 1e9)
    executors.check_room(asked(1000, ray={"address": "auto"}))

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from autoloss.config import from_mapping
from autoloss.rungs.rung import Rung
from autoloss.search.progress import Progress, Reporter
from tests.helpers.small import section

SECONDS = {"cheap": 1.0, "dear": 10.0}


class Timed:
    """Results of which only the time is known that an evaluation of a rung takes."""

    def scores(self, rung: Rung) -> dict[int, float]:
        return {}

    def standing(self) -> list[int]:
        return []

    def ended(self, rung: Rung) -> list[Any]:
        return [SimpleNamespace(seconds=SECONDS[rung.name])]


def told(**changes: Any) -> Progress:
    """Of three generations of four, two of which go on to the dear rung, beside three losses that are given."""
    cheap = {"name": "cheap", "task": {"steps": 2}, "keep": {"count": 2}}
    rungs = [cheap, {"name": "dear", "task": {"steps": 8}, "seeds": [1, 2]}]
    settings = from_mapping(section(ladder=rungs, finale=None))
    reporter = Reporter(settings, {}, Timed(), 0, SimpleNamespace(width=2), lambda _: None)  # type: ignore[arg-type]
    reporter.tell(**changes)
    return reporter.now


@pytest.mark.parametrize(
    ("changes", "cheap", "dear"),
    [
        ({"stage": "cheap", "total": 7}, 7 + 4 + 4, (3 + 2 + 2 + 2) * 2),
        ({"stage": "dear", "total": 10, "done": 4}, 4 + 4, 6 + (2 + 2) * 2),
        ({"generation": 1}, 4 + 4, (2 + 2) * 2),
        ({"generation": 2, "stage": "dear", "total": 4, "done": 4}, 0, 0),
    ],
)
def test_the_time_left_is_that_of_those_whom_cuts_let_through(changes: dict[str, Any], cheap: int, dear: int) -> None:
    assert told(**changes).left == (cheap * SECONDS["cheap"] + dear * SECONDS["dear"]) / 2

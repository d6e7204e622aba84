"""What a search says where nothing is redrawn: a line a stage, and one at least every 30 seconds."""

from __future__ import annotations

import io
import threading
from dataclasses import replace

from rich.console import Console

from autoloss.config import from_mapping
from autoloss.report.live import Beat, Screen, Steps
from autoloss.search.progress import MEASURING, Forecast, Progress
from tests.helpers.small import section


class Watched:
    """A screen that writes to a file, and a clock that stands still."""

    def __init__(self) -> None:
        self.out, self.now = io.StringIO(), 0.0
        console = Console(file=self.out, width=300)
        self.screen = Screen(from_mapping(section()), console, clock=lambda: self.now)

    @property
    def lines(self) -> list[str]:
        return self.out.getvalue().splitlines()


def test_a_finale_that_changes_nothing_says_every_30_seconds_what_is_done_and_left() -> None:
    watched = Watched()
    finale = Progress(generation=99, stage="final", done=3, total=21, running="candidate 5, seed 3", left=130.0)
    watched.screen(finale)
    before = len(watched.lines)
    for second in range(1, 121):
        watched.now = float(second)
        watched.screen(finale)  # as workers are told of once a second
        watched.screen.beat()
    said = watched.lines[before:]
    assert len(said) >= 4
    for line in said:
        assert "finale: final, 3 of 21 trained, now candidate 5, seed 3" in line
        assert "about 02:10 left" in line
    times = [0, *(int(line[:2]) * 60 + int(line[3:5]) for line in said)]
    assert all(later - earlier <= 30 for earlier, later in zip(times, [*times[1:], 120], strict=True))


def test_what_was_said_lately_is_not_said_again() -> None:
    watched = Watched()
    watched.screen(Progress(stage="verify", total=4))
    watched.now = 20.0
    watched.screen(Progress(stage="verify", done=4, total=4))
    watched.now = 40.0
    watched.screen.beat()
    assert len(watched.lines) == 2


def test_the_beat_comes_from_a_thread_of_its_own_and_ends_with_the_block() -> None:
    called = threading.Event()
    before = set(threading.enumerate())
    with Beat(called.set, 0.001):
        assert called.wait(10)
    assert set(threading.enumerate()) == before


def test_steps_go_on_being_told_while_one_of_them_lasts() -> None:
    out, told = io.StringIO(), threading.Event()

    class Stream(io.StringIO):
        def write(self, text: str) -> int:
            out.write(text)
            if out.getvalue().count("2 of 3: workers") >= 3:
                told.set()
            return len(text)

    with Steps(Console(file=Stream(), width=200), every=0.001) as steps:
        steps("workers", 1, 3)
        assert told.wait(10)


def test_how_long_it_will_take_is_said_once() -> None:
    watched = Watched()
    watched.screen(Progress(stage=MEASURING))
    told = Progress(stage=MEASURING, forecast=Forecast(290.0, 430.0, {}))
    watched.screen(told)
    watched.screen(replace(told, stage="gates"))
    assert "measuring how long it will take" in watched.lines[0]
    assert sum("the search will take about 5 to 8 minutes" in line for line in watched.lines) == 1

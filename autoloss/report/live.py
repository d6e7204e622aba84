"""Live: the progress of a search for a person who watches."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from autoloss.report.tables import formula_lines
from autoloss.search.progress import MEASURING, Forecast, Progress
from autoloss.settings import Settings
from primitives.text.printable import printable

EVERY = 30.0
"""Most seconds between two lines where nothing is redrawn."""


class Beat:
    """Calls something again and again in a thread of its own, while a block runs.

    Args:
        call: what.
        every: seconds between two calls.
    """

    def __init__(self, call: Callable[[], None], every: float) -> None:
        self._call, self._every, self._over = call, every, threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Beat:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(self._every):
            with suppress(OSError, ValueError):  # a stream that is closed, which whoever else writes to it will say
                self._call()


class Screen:
    """Redraws in a terminal; elsewhere prints a line when a stage begins or ends, and when long nothing was printed.

    Args:
        settings: of the search, for the totals.
        console: to draw on.
        clock: seconds.
        every: most seconds between two lines.
    """

    def __init__(
        self,
        settings: Settings,
        console: Console,
        clock: Callable[[], float] = time.monotonic,
        every: float = EVERY,
    ) -> None:
        self.settings, self.console, self._clock, self._every = settings, console, clock, every
        self._live = Live(console=console, refresh_per_second=4, transient=True) if console.is_terminal else None
        self._beat = Beat(self.beat, min(every / 10, 1.0))
        self._lock = threading.Lock()
        self._begin = self._said = clock()
        self._last = Progress()

    def __enter__(self) -> Screen:
        if self._live:
            self._live.start()
        self._beat.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._beat.__exit__()
        if self._live:
            self._live.stop()

    def __call__(self, progress: Progress) -> None:
        """Takes a change."""
        with self._lock:
            before, self._last = self._last, progress
            if progress.forecast and not before.forecast:
                self._say(_takes(progress.forecast))
            if self._live:
                self._live.update(self._drawing(progress))
            elif (progress.stage, progress.generation) != (before.stage, before.generation) or (
                progress.total and progress.done == progress.total != before.done
            ):
                self._say(self._line(progress))

    def beat(self) -> None:
        """Redraws the clock, or prints where the search is unless something was printed lately."""
        with self._lock:
            if self._live:
                self._live.update(self._drawing(self._last))
            elif self._clock() - self._said >= self._every - 1:  # looked at once a second, so never later than that
                self._say(self._line(self._last))

    def _say(self, line: str) -> None:
        self.console.print(f"{clock_time(self._clock() - self._begin)} {line}", highlight=False, soft_wrap=True)
        self._said = self._clock()

    def _line(self, progress: Progress) -> str:
        parts = [self._stage(progress)]
        if progress.total:
            parts.append(f"{progress.done} of {progress.total} trained")
        if progress.running:
            parts.append(f"now {progress.running}")
        parts.append(f"{progress.born} candidates, {progress.refused:,} refused")
        if progress.own is not None:
            parts.append(f"own loss {progress.own:.3f}")
        if progress.best is not None:
            parts.append(f"best {progress.best[1]:.3f} (candidate {progress.best[0].number})")
        if progress.left is not None:
            parts.append(_left(progress))
        return ", ".join(parts)

    def _stage(self, progress: Progress) -> str:
        if progress.stage == MEASURING:
            return f"measuring {MEASURING}"
        if progress.generation >= self.settings.generations:
            return f"finale: {progress.stage}"
        return f"generation {progress.generation + 1} of {self.settings.generations}: {progress.stage}"

    def _drawing(self, progress: Progress) -> Group:
        table = Table.grid(padding=(0, 2))
        table.add_row("now", f"{self._stage(progress)}  {progress.running}")
        table.add_row(
            "this stage",
            ProgressBar(progress.total or 1, progress.done, width=40) if progress.total else Text("proposing formulas"),
            f"{progress.done} of {progress.total}" if progress.total else "",
        )
        passed = progress.born / max(progress.born + progress.refused, 1)
        table.add_row("funnel", f"{progress.born + progress.refused:,} proposed, {progress.born} kept ({passed:.2%})")
        table.add_row("time", f"{clock_time(self._clock() - self._begin)} gone, {_left(progress)}")
        for worker in progress.workers:
            lost = f", {worker.lost} lost before it" if worker.lost else ""
            table.add_row("worker", f"{worker.name}  {worker.doing or 'waits'}{lost}")
        if progress.own is not None:
            table.add_row("own loss", f"{progress.own:.3f} {printable(progress.metric)}")
        if progress.best is not None:
            candidate, score = progress.best
            gain = f" ({score - progress.own:+.3f})" if progress.own is not None else ""
            table.add_row(
                "best so far",
                f"{score:.3f} {printable(progress.metric)}{gain}, candidate {candidate.number}, {candidate.origin}",
            )
            for line in formula_lines(candidate.losses):
                table.add_row("", Text(printable(line, None), style="green"))
        return Group(table)


class Steps:
    """A bar over the steps of something short in a terminal; elsewhere a line when a step begins or goes on.

    Args:
        console: to draw on.
        every: seconds between two lines.
    """

    def __init__(self, console: Console, every: float = EVERY) -> None:
        self._begin = time.monotonic()
        self._now = ("it begins", 0, 1)
        self._beat = Beat(self._say, every)
        self._bar = Bars(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._task = self._bar.add_task("", total=None)
        self.console = console

    def __enter__(self) -> Steps:
        if self.console.is_terminal:
            self._bar.start()
        else:
            self._beat.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        if self.console.is_terminal:
            self._bar.stop()
        else:
            self._beat.__exit__()

    def __call__(self, what: str, number: int, total: int) -> None:
        """Takes what begins now, its number from 0, and how many there are."""
        self._now = (what, number, total)
        if self.console.is_terminal:
            self._bar.update(self._task, description=what, completed=number, total=total)
        else:
            self._say()

    def _say(self) -> None:
        what, number, total = self._now
        gone = clock_time(time.monotonic() - self._begin)
        self.console.print(f"{gone} {number + 1} of {total}: {what}", highlight=False, soft_wrap=True)


def clock_time(seconds: float) -> str:
    """Minutes and seconds."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes:02d}:{rest:02d}"


def _left(progress: Progress) -> str:
    return "time left not known yet" if progress.left is None else f"about {clock_time(progress.left)} left"


def _takes(found: Forecast) -> str:
    """How long a search will take."""
    least, most = max(round(found.least / 60), 1), max(math.ceil(found.most / 60), 1)
    span = f"{least} to {most}" if least < most else f"{most}"
    if most >= 180:
        span, unit = f"{found.least / 3600:.1f} to {found.most / 3600:.1f}", "hours"
    else:
        unit = "minutes" if most > 1 else "minute"
    return f"the search will take about {span} {unit}; stopped, it goes on where it was"

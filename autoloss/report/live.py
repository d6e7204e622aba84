"""Live: the progress of a search for a person who watches."""

from __future__ import annotations

import time

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from autoloss.report.tables import formula_lines
from autoloss.search.progress import Progress
from autoloss.settings import Settings
from primitives.text.printable import printable


class Screen:
    """Redraws in a terminal; elsewhere prints a line when a stage begins or ends.

    Args:
        settings: of the search, for the totals.
        console: to draw on.
    """

    def __init__(self, settings: Settings, console: Console) -> None:
        self.settings, self.console = settings, console
        self._live = Live(console=console, refresh_per_second=4, transient=True) if console.is_terminal else None
        self._begin = time.monotonic()
        self._last = Progress()

    def __enter__(self) -> Screen:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def __call__(self, progress: Progress) -> None:
        """Takes a change."""
        if self._live:
            self._live.update(self._drawing(progress))
        elif (progress.stage, progress.generation) != (self._last.stage, self._last.generation) or (
            progress.total and progress.done == progress.total != self._last.done
        ):
            self.console.print(self._line(progress), highlight=False, soft_wrap=True)
        self._last = progress

    def _line(self, progress: Progress) -> str:
        parts = [f"{_clock(time.monotonic() - self._begin)} {self._stage(progress)}"]
        if progress.total:
            parts.append(f"{progress.done} of {progress.total} trained")
        parts.append(f"{progress.born} candidates, {progress.refused:,} refused")
        if progress.own is not None:
            parts.append(f"own loss {progress.own:.3f}")
        if progress.best is not None:
            parts.append(f"best {progress.best[1]:.3f} (candidate {progress.best[0].number})")
        return ", ".join(parts)

    def _stage(self, progress: Progress) -> str:
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
        table.add_row("time", f"{_clock(time.monotonic() - self._begin)} gone, {_left(progress)}")
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
    """A bar over the steps of something short in a terminal; elsewhere a line when a step begins.

    Args:
        console: to draw on.
    """

    def __init__(self, console: Console) -> None:
        self._begin = time.monotonic()
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
        return self

    def __exit__(self, *_: object) -> None:
        if self.console.is_terminal:
            self._bar.stop()

    def __call__(self, what: str, number: int, total: int) -> None:
        """Takes what begins now, its number from 0, and how many there are."""
        if self.console.is_terminal:
            self._bar.update(self._task, description=what, completed=number, total=total)
        else:
            gone = _clock(time.monotonic() - self._begin)
            self.console.print(f"{gone} {number + 1} of {total}: {what}", highlight=False, soft_wrap=True)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes:02d}:{rest:02d}"


def _left(progress: Progress) -> str:
    return "time left not known yet" if progress.left is None else f"about {_clock(progress.left)} left"

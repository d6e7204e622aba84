"""Stopping: what ends a search before its end: a budget that is spent, Ctrl-C, SIGTERM."""

from __future__ import annotations

import signal
import threading
import time
from typing import Any

from autoloss.search.results import Results
from autoloss.settings import Budget
from autoloss.store.run import Run

GRACE = 10.0
"""Seconds that evaluations have to end once a search is to stop."""


class BudgetEnded(Exception):  # noqa: N818  no error
    """Nothing more may be begun; the text is the budget."""


class Interrupts:
    """Ctrl-C once lets what ends in seconds end, twice stops at once; SIGTERM is the same as Ctrl-C.

    In a `with` statement of the main thread; in other threads signals are left as they are.
    """

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            handlers = {signal.SIGINT: self._ask, signal.SIGTERM: self._ask, signal.SIGALRM: self._stop}
            self._before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            if number is signal.SIGALRM:
                signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(number, handler)

    def check(self) -> None:
        """Where nothing is to be finished.

        Raises:
            KeyboardInterrupt: someone asked to stop.
        """
        if self.asked:
            raise KeyboardInterrupt

    def _ask(self, *_: object) -> None:
        self.check()
        self.asked = True
        signal.setitimer(signal.ITIMER_REAL, GRACE)

    def _stop(self, *_: object) -> None:
        raise KeyboardInterrupt


class Stopping:
    """Whether more may begin, and whether what runs may go on.

    Args:
        interrupts: whether someone asked to stop.
        budget: of the whole run, all its sessions together.
        results: what has ended.
        run: keeps the seconds that were spent.
    """

    def __init__(self, interrupts: Interrupts, budget: Budget, results: Results, run: Run) -> None:
        self._interrupts, self._budget, self._results, self._run = interrupts, budget, results, run
        self._kept = time.perf_counter()
        before = run.seconds
        self._end = None if budget.time is None else self._kept + budget.time - before

    @property
    def asked(self) -> bool:
        """Whether someone asked to stop."""
        return self._interrupts.asked

    def wanted(self, running: int = 0) -> bool:
        """Whether nothing more may begin, given how many evaluations run."""
        return self.asked or bool(self._reason(running))

    def check(self) -> None:
        """Where nothing runs.

        Raises:
            KeyboardInterrupt: someone asked to stop.
            BudgetEnded: a budget is spent.
        """
        self._interrupts.check()
        if reason := self._reason(0):
            raise BudgetEnded(reason)

    def check_overdue(self) -> None:
        """While something runs: it has GRACE seconds once the time is up; an interrupt has a clock of its own.

        Raises:
            BudgetEnded: it had them.
        """
        if self._end is not None and time.perf_counter() > self._end + GRACE:
            raise BudgetEnded(self._reason(0))

    def keep_time(self) -> None:
        """Keeps the seconds that went by since they were kept last."""
        now = time.perf_counter()
        self._run.add_seconds(now - self._kept)
        self._kept = now

    def _reason(self, running: int) -> str:
        """Which budget is spent once what runs has ended; empty when none is."""
        most = self._budget.evaluations
        if most is not None and self._results.count + running >= most:
            return f"the budget of {most:,} evaluations"
        out_of_time = self._end is not None and time.perf_counter() >= self._end
        return f"the budget of {self._budget.time:.0f} s" if out_of_time else ""

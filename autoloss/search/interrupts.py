"""Interrupts: Ctrl-C once lets what ends in seconds end, twice stops at once; SIGTERM is the same as Ctrl-C."""

from __future__ import annotations

import signal
import threading
from typing import Any

GRACE = 10.0
"""Seconds that evaluations have to end once a search is to stop."""


class Interrupts:
    """In a `with` statement of the main thread; elsewhere signals are left as they are."""

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

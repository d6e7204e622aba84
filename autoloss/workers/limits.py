"""Limits: what an evaluation may take of time and memory, and the error of a worker that was lost."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from primitives.errors import InputError

ENOUGH = 5
"""Evaluations of a rung that must have finished before their median says what memory the next may take."""
FIRST_SECONDS = 7 * 86400.0
"""Until an evaluation of a rung has finished; what is given, the detector's own loss first, is evaluated first."""
LEAST_SECONDS, TIMES_SECONDS, FRESH_SECONDS = 120.0, 10.0, 600.0
LEAST_MEMORY, TIMES_MEMORY, SHARE_OF_MACHINE = 4e9, 4.0, 0.8


class WorkerError(RuntimeError):
    """A worker died, hung or outgrew its memory; the text is the cause.

    Args:
        cause: for people.
        hopeless: a limit was reached, so that the same again would end the same.
    """

    def __init__(self, cause: str, hopeless: bool = False) -> None:
        super().__init__(cause, hopeless)
        self.cause, self.hopeless = cause, hopeless

    def __str__(self) -> str:
        return self.cause


class StartError(InputError):
    """No worker can be made ready, so what was to run is not to blame."""


def not_ready(error: WorkerError) -> StartError:
    """The error of whoever could not make a worker ready."""
    return StartError(
        f"no worker can be made ready, so the set-up or the machine is wrong, not a candidate: {error.cause}"
    )


@dataclass(frozen=True)
class Limits:
    """What a call may take.

    Args:
        seconds: from its start in a worker to its end.
        memory: bytes that the worker may hold.
        fresh: seconds more for the first call of a worker, which loads what it keeps.
    """

    seconds: float = float("inf")
    memory: float = float("inf")
    fresh: float = 0.0


@dataclass(frozen=True)
class Limited:
    """A call with limits; executors of isolated workers hold it to them, the others only call it.

    Args:
        call: what is called.
        limits: say what it may take; asked again while it runs, for more is known then.
        name: of what is done, for people.
        before: called first in the same worker, with no limit of time: it makes or loads what many calls share.
    """

    call: Callable[..., Any]
    limits: Callable[[], Limits]
    name: str
    before: Callable[[], Any] | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Calls it."""
        if self.before is not None:
            try:
                self.before()
            except WorkerError as error:
                raise not_ready(error) from None
        return self.call(*args, **kwargs)


@dataclass(frozen=True)
class WorkerState:
    """What a worker does.

    Args:
        name: host and number.
        pid: of its process; 0 when there is none.
        doing: what; empty when it waits.
        since: Unix time.
        memory: bytes it held then.
        lost: processes that died, hung or outgrew their memory in this place.
    """

    name: str
    pid: int
    doing: str
    since: float
    memory: float = 0.0
    lost: int = 0


def current_limits(
    seconds: Sequence[float], memory: Sequence[float], together: int, share: float, fixed: Limits | None = None
) -> Limits:
    """What an evaluation of a rung may take: some times the median of those that finished there.

    Args:
        seconds: of each candidate that finished at the rung.
        memory: bytes, the same way; 0 where it is not known.
        together: candidates that are evaluated together.
        share: bytes of the machine's memory that are a worker's.
        fixed: limits from the config for one candidate; infinite where it has none.
    """
    fixed = fixed or Limits()
    known = [held for held in memory if held > 0]
    room = max(LEAST_MEMORY, share)
    time = FIRST_SECONDS
    if seconds:
        time = max(LEAST_SECONDS, TIMES_SECONDS * together * statistics.median(seconds))
    if len(known) >= ENOUGH:
        room = min(room, max(LEAST_MEMORY, TIMES_MEMORY * statistics.median(known)))
    memory_most = room if fixed.memory == float("inf") else fixed.memory
    if fixed.seconds == float("inf"):
        return Limits(time, memory_most, FRESH_SECONDS)
    return Limits(fixed.seconds * together, memory_most)


def share_of(memory: float, workers: int) -> float:
    """Bytes that are a worker's of those of a machine, some being left to others."""
    return SHARE_OF_MACHINE * memory / max(workers, 1)

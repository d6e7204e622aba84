"""Pool: workers (see `process`); it costs the search nothing when one of them hangs or dies.

Each worker is a spawned process that stays, so that models and data are loaded once. A thread of the parent watches
it: what it does not answer in time, or at all, ends its task with WorkerError, and a fresh worker takes its place.

Our own, beside loky and pebble: these have no GPU for each worker, no limit of memory, and no limits that change while
a task runs.
"""

from __future__ import annotations

import os
import pickle
import queue
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

from autoloss.workers import retries
from autoloss.workers.limits import Limited, Limits, WorkerError, WorkerState, not_ready, share_of
from autoloss.workers.process import Worker, folder_in, resident, warn
from primitives.errors import InputError
from primitives.system import scratch
from primitives.system.memory import machine_memory

_START = 900.0
"""Seconds a worker may take to import and to build what it holds."""


class Processes(Executor):
    """A pool of isolated processes; a `Limited` call is held to its limits.

    Args:
        count: how many at most; each starts with the first task that finds no other free.
        start: called in each worker before its first task.
        arguments: of `start`.
        environments: variables of each worker, such as the GPU it may see; they repeat where there are fewer.
    """

    def __init__(
        self,
        count: int,
        start: Callable[..., object],
        arguments: Sequence[Any] = (),
        environments: Sequence[Mapping[str, str]] = ({},),
    ) -> None:
        self.width = count
        scratch.sweep()
        self._folder = folder_in(tempfile.gettempdir())
        self._tasks: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._lock, self._closed, self._open = threading.Lock(), False, 0
        self._slots: list[_Slot] = []
        self._start, self._arguments, self._environments = start, arguments, environments

    @property
    def share(self) -> float:
        """Bytes of memory that are a worker's."""
        return share_of(machine_memory(), min(self.width, os.cpu_count() or 1))

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """See concurrent.futures.Executor."""
        future: Future[Any] = Future()
        with self._lock:
            if self._closed:
                raise RuntimeError("cannot submit after shutdown")
            self._open += 1
            self._take((future, fn, args, kwargs))
        future.add_done_callback(self._ended)
        return future

    def _take(self, task: _Task) -> None:
        """Queues a task; one more worker for it where the others have work, or cannot be made ready."""
        self._tasks.put(task)
        if len(self._slots) < min(self._open + sum(slot.unready > 0 for slot in self._slots), self.width):
            number = len(self._slots)
            environment = self._environments[number % len(self._environments)]
            begin = (self._start, self._arguments, environment, self._folder)
            slot = _Slot(number, self._tasks, self._elsewhere, begin)
            self._slots.append(slot)
            slot.start()

    def _elsewhere(self, task: _Task) -> bool:
        """Queues a task again whose worker could not be made ready; not where none can."""
        with self._lock:
            if self._closed or (
                len(self._slots) == self.width and all(one.unready >= retries.STARTS for one in self._slots)
            ):
                return False
            self._take(task)
            return True

    def _ended(self, _: Future[Any]) -> None:
        with self._lock:
            self._open -= 1

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """See concurrent.futures.Executor; with `cancel_futures` what runs is killed, too."""
        with self._lock:
            self._closed = True
        if cancel_futures:
            with suppress(queue.Empty):
                while (task := self._tasks.get_nowait()) is not None:
                    if not task[0].cancel():  # it was begun elsewhere
                        task[0].set_exception(WorkerError("the worker was stopped"))
        for slot in self._slots:
            slot.stop(at_once=cancel_futures)
            self._tasks.put(None)
        if wait:
            for slot in self._slots:
                slot.join()
            shutil.rmtree(self._folder, ignore_errors=True)

    def workers(self) -> list[WorkerState]:
        """What each worker does now."""
        return [slot.state for slot in self._slots]


_Task = tuple["Future[Any]", Callable[..., Any], tuple[Any, ...], dict[str, Any]]


class _Slot(threading.Thread):
    """A place for one worker after another; this thread of the parent feeds and watches it."""

    def __init__(
        self,
        number: int,
        tasks: queue.SimpleQueue[_Task | None],
        elsewhere: Callable[[_Task], bool],
        begin: tuple[Callable[..., object], Sequence[Any], Mapping[str, str], str],
    ) -> None:
        super().__init__(name=f"worker {number}", daemon=True)
        self.state = WorkerState(f"{socket.gethostname()}/{number}", 0, "starts", time.time())
        self._tasks, self._elsewhere, self._begin = tasks, elsewhere, begin
        self._worker: Worker | None = None
        self.unready, self._lost, self._stopped = 0, 0, threading.Event()

    def run(self) -> None:
        """Task after task until there are no more."""
        while not self._stopped.is_set() and (task := self._tasks.get()) is not None:
            future, fn, args, kwargs = task
            if future.running() or future.set_running_or_notify_cancel():
                try:
                    future.set_result(self._do(fn, args, kwargs))
                except _NotReadyError as error:
                    self._give_up(task, error)
                except BaseException as error:
                    future.set_exception(error)
            self._now("")
        if self._worker is not None:
            self._worker.end()

    def _give_up(self, task: _Task, error: _NotReadyError) -> None:
        """Leaves a task to others, if there are any, and rests."""
        if self._stopped.is_set():
            task[0].set_exception(error)
            return
        warn(f"a worker could not be made ready: {error.cause}")
        self.unready += 1
        if not self._elsewhere(task):
            task[0].set_exception(not_ready(error))
        self._now("rests")
        self._stopped.wait(min(2.0 ** min(self.unready - 1, 10), retries.PLACE_RESTS))

    def stop(self, at_once: bool) -> None:
        """No more tasks; `at_once`: the one that runs dies."""
        if at_once:
            self._stopped.set()

    def _now(self, doing: str) -> None:
        pid = self._worker.pid if self._worker else 0
        memory = resident(pid) if pid else 0
        self.state = WorkerState(self.state.name, pid, doing, time.time(), memory, self._lost)

    def _do(self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        if not isinstance(fn, Limited):
            fn = Limited(fn, Limits, getattr(fn, "__name__", ""))
        message = pickle.dumps((fn.call, args, kwargs))
        try:
            worker, limits = self._ready(fn)
            worker.send(message)
            return worker.answer(limits, self._stopped)
        except WorkerError:
            if self._worker is not None:
                self._worker.kill()
                self._worker, self._lost = None, self._lost + 1
            raise

    def _ready(self, fn: Limited) -> tuple[Worker, Callable[[], Limits]]:
        """A worker that holds what a call needs, and the call's limits there.

        Raises:
            InputError: the set-up is wrong.
            _NotReadyError: there is none; it was not the call.
        """
        limits = fn.limits
        try:
            if self._worker is None:
                self._now("starts")
                self._worker = self._fresh()
                limits = partial(_of_fresh, fn.limits)
            self._now(fn.name)
            if fn.before is not None:
                self._worker.send(pickle.dumps((fn.before, (), {})))
                self._worker.answer(Limits, self._stopped)
        except WorkerError as error:
            raise _NotReadyError(error.cause) from None
        self.unready = 0
        return self._worker, limits

    def _fresh(self) -> Worker:
        try:
            worker = Worker(*self._begin)
        except OSError as error:
            raise WorkerError(f"a process cannot start: {error.strerror or error}") from None
        try:
            worker.answer(lambda: Limits(_START), self._stopped)
        except Exception as error:
            worker.kill()
            if isinstance(error, (InputError, WorkerError)):
                raise
            raise WorkerError(f"a worker cannot start: {type(error).__name__}: {error}") from None
        return worker


class _NotReadyError(WorkerError):
    """A worker could not be made ready in this place."""


def _of_fresh(limits: Callable[[], Limits]) -> Limits:
    """Limits of the first call of a worker."""
    found = limits()
    return replace(found, seconds=found.seconds + found.fresh)

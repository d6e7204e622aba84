"""Processes: workers that may hang, die or outgrow their memory without harm to the search; one pipe each.

Each worker is a spawned process that stays, so that models and data are loaded once. A thread of the parent watches
it: what it does not answer in time, or at all, ends its task with WorkerError, and a fresh worker takes its place.
"""

from __future__ import annotations

import ctypes
import logging
import multiprocessing
import os
import pickle
import queue
import shutil
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future
from contextlib import suppress
from dataclasses import replace
from functools import cache, partial
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from autoloss.limits import Limited, Limits, WorkerError, WorkerState, machine_memory, not_ready, share_of
from primitives.errors import InputError

_log = logging.getLogger(__name__)
_START = 900.0
"""Seconds a worker may take to import and to build what it holds."""
_STARTS = 3
"""Times in a row that every worker fails to be made ready before the pool gives up."""
_REST = 60.0
"""Seconds that a place where a worker could not be made ready rests at most (1, 2, 4 and so on); others take over."""
_LOOK = 0.1
"""Seconds between two looks at the memory of a worker."""
_ASK = 1.0
"""Seconds after which limits are asked again."""
_TAIL = 2000
"""Characters of what a worker printed last that are kept; the rest goes nowhere."""
_PAGE = os.sysconf("SC_PAGE_SIZE")


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
        self._folder = _folder_in(tempfile.gettempdir())
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
            if self._closed or (len(self._slots) == self.width and all(one.unready >= _STARTS for one in self._slots)):
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
        self._worker: _Worker | None = None
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
        self._stopped.wait(min(2.0 ** min(self.unready - 1, 10), _REST))

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

    def _ready(self, fn: Limited) -> tuple[_Worker, Callable[[], Limits]]:
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

    def _fresh(self) -> _Worker:
        try:
            worker = _Worker(*self._begin)
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


class _Worker:
    """One process, its pipe, and what it prints."""

    def __init__(
        self, start: Callable[..., object], arguments: Sequence[Any], environment: Mapping[str, str], folder: str
    ) -> None:
        context = multiprocessing.get_context("spawn")  # fork is not safe once torch has threads
        self._pipe, theirs = context.Pipe()
        self._out, out = context.Pipe(duplex=False)
        self._said = b""
        self._process = context.Process(
            target=_work, args=(theirs, out, start, arguments, environment, folder, os.getpid()), daemon=False
        )
        self._process.start()
        theirs.close()
        out.close()
        self.pid = self._process.pid or 0

    def send(self, message: bytes) -> None:
        """Hands over a task."""
        try:
            self._pipe.send_bytes(message)
        except OSError:
            raise WorkerError(f"the worker {self._end()}") from None

    def answer(self, ask: Callable[[], Limits], stopped: threading.Event) -> Any:
        """What the worker answers.

        Raises:
            WorkerError: it does not, within its limits.
            Exception: what was raised in the worker.
        """
        limits, begin = ask(), time.monotonic()
        asked, looked = begin, 0.0
        ends: list[Any] = [self._pipe, self._process.sentinel, self._out]
        while True:
            ready = wait(ends, _LOOK)
            if self._out in ready and not self._drain():
                ends.remove(self._out)
            if self._pipe in ready:
                try:
                    # From the worker we started, over a pipe that only the two of us hold.
                    answered, value, said = pickle.loads(self._pipe.recv_bytes())
                except (EOFError, OSError):
                    raise WorkerError(f"the worker {self._end()}") from None
                for text in said:
                    warn(text)
                if answered:
                    return value
                raise value
            if self._process.sentinel in ready:
                raise WorkerError(f"the worker {self._end()}")
            if stopped.is_set():
                raise WorkerError("the worker was stopped")
            now = time.monotonic()
            if now - asked >= _ASK:
                limits, asked = ask(), now
            if now > begin + limits.seconds:
                raise WorkerError(f"no end after {limits.seconds:.0f} s, its limit", hopeless=True)
            if now - looked >= _LOOK and limits.memory != float("inf"):
                looked, held = now, resident(self.pid)
                if held > limits.memory:
                    raise WorkerError(
                        f"it took {held / 1e9:.1f} GB of memory, its limit is {limits.memory / 1e9:.1f} GB",
                        hopeless=True,
                    )

    def _drain(self) -> bool:
        """Reads what it printed, so that it never waits for a reader; False when there will be no more."""
        try:
            new = os.read(self._out.fileno(), 1 << 16)
        except OSError:
            return False
        self._said = (self._said + new)[-_TAIL:]
        return bool(new)

    def _end(self) -> str:
        """How the process ended."""
        self._process.join(5)
        while wait([self._out], 0) and self._drain():
            pass
        code = self._process.exitcode
        how = "closed its pipe" if code is None else f"ended with exit code {code}"
        if code is not None and code < 0:
            name = next((one.name for one in signal.Signals if one == -code), f"signal {-code}")
            how = f"was killed by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")
        said = " ".join(self._said.decode(errors="replace").split()[-30:])
        return f"{how}; it said last: {said}" if said else how

    def end(self) -> None:
        """Lets it go; kills it where it does not."""
        self._pipe.close()
        self._process.join(1)
        self.kill()

    def kill(self) -> None:
        """Kills it, and what it started."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.kill()  # where it had not come to lead a group of its own
        self._process.join()
        self._process.close()
        self._pipe.close()
        self._out.close()


class Said(logging.Handler):
    """Keeps what is logged as a warning, for who cannot see it here."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._texts: list[str] = []
        logging.getLogger().addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """See logging.Handler."""
        self._texts.append(record.getMessage())

    def taken(self) -> list[str]:
        """What was said since it was asked last."""
        found, self._texts = self._texts, []
        return found


@cache
def warn(text: str) -> None:
    """Says what a worker has said, once however many of them say it."""
    _log.warning("%s", text)


def _work(
    pipe: Connection,
    out: Connection,
    start: Callable[..., object],
    arguments: Sequence[Any],
    environment: Mapping[str, str],
    folder: str,
    parent: int,
) -> None:
    """Life of a worker."""
    _leave_with(parent)
    for number in (1, 2):
        os.dup2(out.fileno(), number)
    os.environ.update(environment)
    said = Said()
    try:
        start(*arguments)
        pipe.send_bytes(pickle.dumps((True, None, said.taken())))
    except Exception as error:
        pipe.send_bytes(_failure(error, said.taken()))
        return
    while True:
        try:
            message = pipe.recv_bytes()
        except (EOFError, OSError):
            return
        place = ""
        try:
            place = tempfile.tempdir = os.environ["TMPDIR"] = _folder_in(folder)
            # From the process that started this one, over a pipe that only the two of us hold.
            fn, args, kwargs = pickle.loads(message)
            value = fn(*args, **kwargs)
            answer = pickle.dumps((True, value, said.taken()))
        except Exception as error:
            answer = _failure(error, said.taken())
        pipe.send_bytes(answer)
        if place:
            shutil.rmtree(place, ignore_errors=True)


def _leave_with(parent: int) -> None:
    """To stop is for the parent alone; when the parent dies, so does this process, even in the midst of a training."""
    os.setpgrp()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Batch systems send it to every process of a job. A function, for what this process starts is to have its own way.
    signal.signal(signal.SIGTERM, lambda *_: None)
    os.register_at_fork(after_in_child=partial(signal.signal, signal.SIGTERM, signal.SIG_DFL))
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, int(signal.SIGKILL))  # PR_SET_PDEATHSIG of Linux
    if os.getppid() != parent:
        os._exit(1)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500")  # of all, the kernel takes a worker first


def _folder_in(folder: str) -> str:
    """A fresh folder there, also where a candidate has deleted what it found.

    Raises:
        InputError: there is no room for it.
    """
    try:
        os.makedirs(folder, exist_ok=True)
        return tempfile.mkdtemp(prefix="autoloss-", dir=folder)
    except OSError as error:
        raise InputError(f"cannot make a work folder in {folder}: {error.strerror}") from None


def _failure(error: Exception, said: list[str]) -> bytes:
    """An exception as an answer; one that cannot travel goes as text."""
    try:
        answer = pickle.dumps((False, error, said))
        pickle.loads(answer)  # our own bytes: can they be read back?
    except Exception:
        return pickle.dumps((False, RuntimeError(f"{type(error).__name__}: {error}"), said))
    return answer


def resident(pid: int) -> int:
    """Bytes of memory that a process and its children hold; 0 for one that is gone."""
    try:
        own = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (OSError, IndexError):
        return 0
    return own + sum(resident(int(child)) for child in children)

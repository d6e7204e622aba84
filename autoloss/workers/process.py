"""Process: a worker that may hang, die or outgrow its memory, the pipe to it, and its life."""

from __future__ import annotations

import ctypes
import logging
import multiprocessing
import os
import pickle
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache, partial
from multiprocessing import resource_tracker, util
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from autoloss.workers.limits import Limits, WorkerError
from primitives.errors import InputError
from primitives.system import scratch
from primitives.text.printable import printable

_log = logging.getLogger(__name__)
_LOOK = 0.1
"""Seconds between two looks at the memory of a worker."""
_ASK = 1.0
"""Seconds after which limits are asked again."""
_TAIL = 2000
"""Characters of what a worker printed last that are kept; the rest goes nowhere."""
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Worker:
    """One process, its pipe, and what it prints."""

    def __init__(
        self, start: Callable[..., object], arguments: Sequence[Any], environment: Mapping[str, str], folder: str
    ) -> None:
        context = multiprocessing.get_context("spawn")  # fork is not safe once torch has threads
        self._pipe, theirs = context.Pipe()
        self._out, out = context.Pipe(duplex=False)
        self._printed = b""
        self._process = context.Process(
            target=_work, args=(theirs, out, start, arguments, environment, folder, os.getpid()), daemon=False
        )
        with _deaf():
            self._process.start()
        theirs.close()
        out.close()
        self.pid = self._process.pid or 0

    def send(self, message: bytes) -> None:
        """Hands over a task."""
        while wait([self._out], 0) and self._drain():
            pass
        self._printed = b""  # of tasks before
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
                    answered, value, warnings = pickle.loads(self._pipe.recv_bytes())
                except (EOFError, OSError):
                    raise WorkerError(f"the worker {self._end()}") from None
                for text in warnings:
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
                raise WorkerError(f"no end after {limits.seconds:.0f} s, its limit{self._said()}", hopeless=True)
            if now - looked >= _LOOK and limits.memory != float("inf"):
                looked, held = now, resident(self.pid)
                if held > limits.memory:
                    raise WorkerError(
                        f"it took {held / 1e9:.1f} GB of memory, its limit is {limits.memory / 1e9:.1f} GB"
                        f"{self._said()}",
                        hopeless=True,
                    )

    def _drain(self) -> bool:
        """Reads what it printed, so that it never waits for a reader; False when there will be no more."""
        try:
            new = os.read(self._out.fileno(), 1 << 16)
        except OSError:
            return False
        self._printed = (self._printed + new)[-_TAIL:]
        return bool(new)

    def _end(self) -> str:
        """How the process ended."""
        self._process.join(5)
        code = self._process.exitcode
        how = "closed its pipe" if code is None else f"ended with exit code {code}"
        if code is not None and code < 0:
            name = next((one.name for one in signal.Signals if one == -code), f"signal {-code}")
            how = f"was killed by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")
        return f"{how}{self._said()}"

    def _said(self) -> str:
        """The last words of its task, behind a cause; empty where there are none."""
        while wait([self._out], 0) and self._drain():
            pass
        said = last_words(self._printed)
        return f"; it said last: {said}" if said else ""

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


def last_words(printed: bytes) -> str:
    """The end of what was printed, in one line."""
    return printable(" ".join(printed.decode(errors="replace").split()[-30:]), None)


class WarningLog(logging.Handler):
    """Keeps what is logged as a warning, for who cannot see it here."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._texts: list[str] = []
        logging.getLogger().addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """See logging.Handler."""
        self._texts.append(record.getMessage())

    def drain(self) -> list[str]:
        """What was logged since this was called last."""
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
    _sockets_in(folder)
    warnings = WarningLog()
    try:
        start(*arguments)
        pipe.send_bytes(pickle.dumps((True, None, warnings.drain())))
    except Exception as error:
        pipe.send_bytes(_failure(error, warnings.drain()))
        return
    while True:
        try:
            message = pipe.recv_bytes()
        except (EOFError, OSError):
            return
        place = ""
        try:
            place = tempfile.tempdir = os.environ["TMPDIR"] = folder_in(folder)
            # From the process that started this one, over a pipe that only the two of us hold.
            fn, args, kwargs = pickle.loads(message)
            value = fn(*args, **kwargs)
            answer = pickle.dumps((True, value, warnings.drain()))
        except Exception as error:
            answer = _failure(error, warnings.drain())
        pipe.send_bytes(answer)
        if place:
            shutil.rmtree(place, ignore_errors=True)


_TO_ALL = (signal.SIGINT, signal.SIGTERM)
"""Signals that may come to every process of a group."""


@contextmanager
def _deaf() -> Iterator[None]:
    """A process that begins in it hears no signals to all before it has said what they mean to it."""
    resource_tracker.ensure_running()  # which a first start would do, and unblock them
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _TO_ALL)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _leave_with(parent: int) -> None:
    """To stop is for the parent alone; when the parent dies, so does this process, even in the midst of a training."""
    os.setpgrp()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Batch systems send it to every process of a job. A function, for what this process starts is to have its own way.
    signal.signal(signal.SIGTERM, lambda *_: None)
    os.register_at_fork(after_in_child=partial(signal.signal, signal.SIGTERM, signal.SIG_DFL))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _TO_ALL)
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, int(signal.SIGKILL))  # PR_SET_PDEATHSIG of Linux
    if os.getppid() != parent:
        os._exit(1)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500")  # of all, the kernel takes a worker first


def _sockets_in(folder: str) -> None:
    """Puts the sockets of tasks' data loaders there: below a task's own folder their paths would be too long to be."""
    tempfile.tempdir = folder
    with suppress(OSError):  # there is no room, which the first task says
        util.get_temp_dir()


def folder_in(folder: str) -> str:
    """A fresh folder there, also where a candidate has deleted what it found.

    Raises:
        InputError: there is no room for it.
    """
    try:
        os.makedirs(folder, exist_ok=True)
        return scratch.make(folder)
    except OSError as error:
        raise InputError(f"cannot make a work folder in {folder}: {error.strerror}") from None


def _failure(error: Exception, warnings: list[str]) -> bytes:
    """An exception as an answer; one that cannot travel goes as text."""
    try:
        answer = pickle.dumps((False, error, warnings))
        pickle.loads(answer)  # our own bytes: can they be read back?
    except Exception:
        return pickle.dumps((False, RuntimeError(f"{type(error).__name__}: {error}"), warnings))
    return answer


def resident(pid: int) -> int:
    """Bytes of memory that a process and its children hold; 0 for one that is gone."""
    try:
        own = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (OSError, IndexError):
        return 0
    return own + sum(resident(int(child)) for child in children)

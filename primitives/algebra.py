"""Algebra: questions to SymPy, each answered in bounded time.

SymPy may take hours over a formula of ten nodes, inside one call that no exception reaches. So it runs in a process of
its own, started with the first question and kept for the next, and ended when a question takes too long. A plain
subprocess, not one of multiprocessing: daemonic processes may start one too, a user's script is not imported anew, and
it comes up without torch.

Nothing that a search decides may hang on an answer: whether there is one depends on how fast the machine is.
"""

from __future__ import annotations

import atexit
import os
import pickle
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:  # for the process of SymPy imports this module, and is to do without torch
    from primitives.expression import Expression
    from primitives.kinds.terminal import Terminal

PROVED = "proved"
"""How something is known that holds on the whole domain."""
SECONDS = 3.0
"""Of the processor that one question may take: ten times what the slowest of ordinary formulas takes."""
_PATIENCE = 10
"""Times as long on the clock, for a machine whose processors are busy elsewhere."""
_START = 120.0
"""Seconds that the process may take to import SymPy."""
_MEMORY = 2 << 30
_OUT_OF_MEMORY = 3
"""Exit code."""
_PROGRAM = "import sys; sys.path[:] = sys.argv[2:]; from primitives.algebra import serve; serve(int(sys.argv[1]))"
Found = TypeVar("Found")


@dataclass(frozen=True)
class Answer(Generic[Found]):
    """What SymPy says.

    Args:
        value: None where it finds nothing.
        cause: why it is not known whether there is anything to find; empty where SymPy came to an end.
    """

    value: Found | None
    cause: str = ""

    def otherwise(self, how: str) -> str:
        """How something is known without a proof, and why there is none."""
        return f"{how}; not proved: {self.cause}" if self.cause else how


def ask(function: Callable[..., Found | None], *arguments: object, seconds: float | None = None) -> Answer[Found]:
    """Calls a function of SymPy in the process that is for it.

    SymPy raises errors of many kinds on formulas with poles (KeyError, RecursionError, NotImplementedError, ...), and
    none of them says anything about the formula: the answer is then None.

    Args:
        function: of a module that imports no torch.
        arguments: plain values, such as `Expression.tree`.
        seconds: of the processor that it may take, SECONDS where it is not given.

    Raises:
        RuntimeError: no such process comes up.
    """
    return _asked.ask(function, arguments, SECONDS if seconds is None else seconds)


def start() -> None:
    """Starts the process without waiting for it, where a question is to come soon."""
    _asked.start()


def latex(expression: Expression, terminals: Sequence[Terminal]) -> str:
    """The formula as LaTeX, as it was written (not simplified); in call form where SymPy does not come to an end."""
    from primitives.symbolic import latex as written

    positive = frozenset(terminal.name for terminal in terminals if terminal.positive)
    return ask(written, expression.tree, positive).value or _calls(expression.tree)


def _calls(tree: object) -> str:
    if not isinstance(tree, tuple):
        return str(tree) if isinstance(tree, str) else f"{tree:.17g}"
    return rf"\operatorname{{{tree[0]}}}\left({', '.join(map(_calls, tree[1:]))}\right)"


class _Process:
    """The process that runs SymPy, and the way to it."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: Connection | None = None
        self._ready = False

    def start(self) -> None:
        """Starts it where it does not run."""
        with self._lock:
            if self._process is not None and self._process.poll() is None:
                return
            self.end()
            self._pipe, theirs = Pipe()
            number = theirs.fileno()
            # In a session of its own Ctrl-C does not reach it; the hash seed makes SymPy's order of terms the same.
            self._process = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-c", _PROGRAM, str(number), *sys.path],
                stdin=subprocess.DEVNULL,
                pass_fds=(number,),
                start_new_session=True,
                env={**os.environ, "PYTHONHASHSEED": "0"},
            )
            theirs.close()

    def ask(self, function: Callable[..., Any], arguments: tuple[object, ...], seconds: float) -> Answer[Any]:
        """See `ask` of the module."""
        question = pickle.dumps((function, arguments, seconds))
        with self._lock:
            pipe = self._up()
            try:
                pipe.send_bytes(question)
                if not pipe.poll(_PATIENCE * seconds):
                    self.end()
                    return Answer(None, _too_long(seconds))
                # From the process we started, over a pipe that only the two of us hold.
                return Answer(pickle.loads(pipe.recv_bytes()))
            except (EOFError, OSError):
                return Answer(None, self._cause(seconds))
            except BaseException:  # such as Ctrl-C: the answer that is to come is not that of the next question
                self.end()
                raise

    def _up(self) -> Connection:
        self.start()
        assert self._pipe is not None
        if not self._ready:
            try:
                self._ready = self._pipe.poll(_START) and self._pipe.recv_bytes() == b""
            except (EOFError, OSError):
                self._ready = False
            if not self._ready:
                self.end()
                raise RuntimeError(f"the process that runs SymPy does not come up: {sys.executable} -c '{_PROGRAM}'")
        return self._pipe

    def _cause(self, seconds: float) -> str:
        assert self._process is not None
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        code = self._process.returncode
        self.end()
        if code == -signal.SIGPROF:
            return _too_long(seconds)
        if code == _OUT_OF_MEMORY:
            return f"SymPy took more than {_MEMORY >> 30} GB of memory"
        return f"SymPy ended with exit code {code}"

    def end(self) -> None:
        """Ends it, whatever it does."""
        with self._lock:
            if self._process is not None:
                self._process.kill()
                self._process.wait()
            if self._pipe is not None:
                self._pipe.close()
            self._process, self._pipe, self._ready = None, None, False


_asked = _Process()
atexit.register(_asked.end)


def _forget() -> None:
    """A forked child starts a process of its own: the parent's answers the parent."""
    global _asked
    left, _asked = _asked, _Process()
    if left._pipe is not None:
        left._pipe.close()
    if left._process is not None:
        left._process.returncode = 0  # not this process's child


os.register_at_fork(after_in_child=_forget)


def _too_long(seconds: float) -> str:
    return f"SymPy took longer than {seconds:g} s"


def serve(number: int) -> None:
    """Life of the process: it ends with its parent, at once when idle, and with its time when it is in a question.

    Args:
        number: file descriptor of the pipe.
    """
    import primitives.symbolic  # noqa: F401  its import is not to count as a question's time

    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    nowhere = os.open(os.devnull, os.O_WRONLY)  # what SymPy or a fatal error prints; errors of import were shown
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    pipe = Connection(number)
    pipe.send_bytes(b"")
    while True:
        try:
            # From the process that started this one, over a pipe that only the two of us hold.
            function, arguments, seconds = pickle.loads(pipe.recv_bytes())
            # Without a handler the kernel ends the process, wherever it is, and whether or not its parent lives.
            signal.setitimer(signal.ITIMER_PROF, seconds)
            value = _attempt(function, arguments)
            signal.setitimer(signal.ITIMER_PROF, 0)
            pipe.send_bytes(pickle.dumps(value))
        except (EOFError, OSError):
            return


def _attempt(function: Callable[..., Any], arguments: tuple[object, ...]) -> Any:
    try:
        return function(*arguments)
    except MemoryError:
        os._exit(_OUT_OF_MEMORY)  # what SymPy remembers fills it
    except Exception:
        return None

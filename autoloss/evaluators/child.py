"""Child: a command that runs to its end, or as long as this process does; what it said, and what memory it held."""

from __future__ import annotations

import multiprocessing
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from signal import Signals
from typing import IO

from autoloss.evaluators import guard
from autoloss.workers.process import last_words, resident

_KEPT = 1 << 16
"""Bytes of what it printed last that are kept of each stream."""
_LOOK = 0.1
"""Seconds between two looks at its memory."""
_FROM_OUTSIDE = {128 + one: one.name for one in (Signals.SIGHUP, Signals.SIGINT, Signals.SIGTERM, Signals.SIGKILL)}


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Args:
        code: its exit code; 128 and the number of the signal that ended it.
        output: the end of what it printed.
        said: its last words, on either stream.
        memory: most bytes that it and what it started held.
    """

    code: int
    output: str
    said: str
    memory: int

    @property
    def stopped(self) -> str:
        """The signal by which someone else ended it, such as the system for want of memory; empty where none did."""
        return _FROM_OUTSIDE.get(self.code, "")


def run(words: Sequence[str], environment: Mapping[str, str]) -> Ended:
    """Runs a command without a shell, in the working directory; it does not outlive this process.

    Args:
        words: the program and its arguments.
        environment: all its variables.
    """
    guarded = [sys.executable, "-I", "-S", guard.__file__, *words]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        guarded, stdin=pipe, stdout=pipe, stderr=pipe, env=dict(environment), start_new_session=True, bufsize=0
    ) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        output, said, memory = _watched(child.pid, child.stdout, child.stderr)
        code = child.wait()
    return Ended(code, output.decode(errors="replace"), last_words(said), memory)


def _watched(pid: int, out: IO[bytes], error: IO[bytes]) -> tuple[bytes, bytes, int]:
    """The end of its output, the end of all it said, and the most memory."""
    output, said, memory, looked = b"", b"", 0, 0.0
    in_worker = multiprocessing.parent_process() is not None
    with selectors.DefaultSelector() as streams:
        streams.register(out, selectors.EVENT_READ, 1)
        streams.register(error, selectors.EVENT_READ, 2)
        while streams.get_map():
            for key, _ in streams.select(_LOOK):
                new = os.read(key.fd, _KEPT)
                if not new:
                    streams.unregister(key.fileobj)
                if in_worker:  # who watches the worker has its last words then, if it comes to kill it
                    os.write(key.data, new)
                said = (said + new)[-_KEPT:]
                if key.data == 1:
                    output = (output + new)[-_KEPT:]
            if time.monotonic() - looked >= _LOOK:
                looked, memory = time.monotonic(), max(memory, resident(pid))
    return output, said, memory

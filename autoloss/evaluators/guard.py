"""Guard: stands between a worker and a command; when either ends, all that the command has started ends, too.

`python -I -S guard.py COMMAND ...`: whoever started it holds the other end of its standard input, which closes with
them. On Linux it adopts what the command leaves behind, also in sessions of its own.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

NOT_STARTED = 127
"""Exit code where no such program is; that of a command which a signal ends is 128 and its number, as a shell's."""
_ADOPTS = 36  # PR_SET_CHILD_SUBREAPER of Linux
_PATIENCE = 10.0
"""Seconds until what does not die is left to the system: it waits for a disk that does not answer."""


def main(command: Sequence[str]) -> int:
    """Runs a command to its end; gives its exit code."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_ADOPTS, 1)
    for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # who stops a search closes the pipe
        signal.signal(one, lambda *_: None)  # a function, for the command is to have its own way
    try:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    except OSError as error:
        sys.stderr.write(f"cannot start {command[0]}: {error.strerror or error}\n")
        return NOT_STARTED
    threading.Thread(target=_wait_for_end_of_worker, args=(child,), daemon=True).start()
    code = child.wait()
    _end_all()
    return code if code >= 0 else 128 - code


def _wait_for_end_of_worker(child: subprocess.Popen[bytes]) -> None:
    while os.read(0, 1):
        pass
    child.kill()
    _end_all()
    os._exit(1)


def _end_all() -> None:
    """Kills all descendants, and what they start meanwhile."""
    until = time.monotonic() + _PATIENCE
    while (left := _below(os.getpid())) and time.monotonic() < until:
        for pid in left:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(0.005)


def _below(pid: int) -> list[int]:
    """Descendants of a process; none where the system does not say."""
    found: list[int] = []
    with suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            for child in Path(f"/proc/{pid}/task/{thread}/children").read_text().split():
                found += [int(child), *_below(int(child))]
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

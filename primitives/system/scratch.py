"""Scratch: temporary folders that carry the process they belong to in their names, so that none outlives it for long.

A process that is killed leaves its folders. Their names say which process made them: by machine and process namespace,
number, and time of its start, for numbers are used again. Whoever makes folders in the same place later removes those
of processes that are gone; what belongs to another machine, container or user, or to a process that lives, stays.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

_NAME = re.compile(r"\.?autoloss-([0-9a-f]{8})-(\d+)-(\d+)-\w+")


def make(inside: str | Path | None = None, hidden: bool = False) -> str:
    """A fresh folder of this process.

    Args:
        inside: where, None for the temporary directory.
        hidden: its name begins with a dot.

    Raises:
        OSError: there is no room for it.
    """
    pid = os.getpid()
    prefix = f"{'.' * hidden}autoloss-{_machine()}-{pid}-{_start(pid)}-"
    return tempfile.mkdtemp(prefix=prefix, dir=inside)


@contextmanager
def folder() -> Iterator[str]:
    """A fresh folder in the temporary directory, removed in the end."""
    made = make()
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def sweep(inside: str | Path | None = None) -> list[str]:
    """Removes the folders of this user's processes of this machine that are gone.

    Args:
        inside: where, None for the temporary directory.

    Returns:
        The paths of those it removed.
    """
    gone = []
    with suppress(OSError), os.scandir(inside or tempfile.gettempdir()) as entries:
        gone = [entry.path for entry in entries if _is_left(entry)]
    for path in gone:
        shutil.rmtree(path, ignore_errors=True)
    return [path for path in gone if not os.path.exists(path)]


def _is_left(entry: os.DirEntry[str]) -> bool:
    found = _NAME.fullmatch(entry.name)
    if found is None or found[1] != _machine():
        return False
    try:
        ours = entry.is_dir(follow_symlinks=False) and entry.stat(follow_symlinks=False).st_uid == os.getuid()
        return ours and _start(int(found[2])) != int(found[3])
    except (OSError, ValueError):  # it went meanwhile, or the system does not say
        return False


def _start(pid: int) -> int:
    """When a process started, in the kernel's ticks since boot, which no change of the clock moves; 0 where none is.

    Raises:
        OSError: the system does not say.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        if not os.path.exists("/proc/self/stat"):
            raise
        return 0
    state, *facts = text.rpartition(")")[2].split()  # before it the name, which may hold anything
    return 0 if state in "ZX" else int(facts[18])


@cache
def _machine() -> str:
    """What process numbers belong to: a machine, or a container on it."""
    with suppress(OSError):
        return hashlib.sha256(f"{socket.gethostname()} {os.readlink('/proc/self/ns/pid')}".encode()).hexdigest()[:8]
    return "0" * 8

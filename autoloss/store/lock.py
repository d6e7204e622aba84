"""Lock: one process at a time works on a directory; the kernel lets go when the process dies, however it dies.

Our own few lines beside the package filelock: that one empties the file which says who holds it when another opens it.
"""

from __future__ import annotations

import fcntl
import os
import socket
from pathlib import Path

from primitives.errors import InputError

FILE = "run.lock"


class Lock:
    """Held from its making until `release`.

    Args:
        directory: that is there.

    Raises:
        InputError: another process holds it; the text has its host and pid.
    """

    def __init__(self, directory: Path) -> None:
        self.file = directory / FILE
        while True:
            self._held = os.open(self.file, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(self._held)
                raise InputError(
                    f"{directory} is in use by {holder(directory) or 'another process'}; "
                    "wait for it, stop it, or name another directory"
                ) from None
            if self._is_the_file():
                break
            os.close(self._held)  # its last holder removed it between our open and our lock
        os.ftruncate(self._held, 0)
        os.write(self._held, f"process {os.getpid()} on {socket.gethostname()}\n".encode())

    def _is_the_file(self) -> bool:
        try:
            return os.path.samestat(os.stat(self.file), os.fstat(self._held))
        except FileNotFoundError:
            return False

    def release(self) -> None:
        """Lets go, and leaves nothing behind."""
        self.file.unlink(missing_ok=True)
        os.close(self._held)


def holder(directory: Path) -> str:
    """Who holds the lock of a directory, as text; empty for nobody."""
    try:
        probe = os.open(directory / FILE, os.O_RDONLY)
    except OSError:
        return ""
    try:
        fcntl.flock(probe, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.read(probe, 500).decode(errors="replace")
        return "".join(filter(str.isprintable, text)).strip() or "another process"
    finally:
        os.close(probe)
    return ""

"""Memory: how much this machine, or the container we run in, has."""

from __future__ import annotations

from pathlib import Path

import psutil

# Limits of a container, of cgroups version 2 and 1; "max" and huge numbers say that there is none.
_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def machine_memory() -> float:
    """Bytes of memory that this machine, or the container, lets us use."""
    found = [float(psutil.virtual_memory().total)]
    for file in _LIMITS:
        try:
            found.append(float(file.read_text()))
        except (OSError, ValueError):
            continue
    return min(found)

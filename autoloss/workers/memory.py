"""Memory: what this process and its GPU held at most, and which failures are a lack of it."""

from __future__ import annotations

from pathlib import Path

import torch

# What PyTorch says on a CPU and a GPU, and what WorkerError says of a worker that was killed or outgrew its limit.
_SIGNS = ("out of memory", "can't allocate memory", "of memory, its limit is")


def lacks_memory(cause: str | Exception) -> bool:
    """Whether the cause of a failure, or its text, is that there is no memory."""
    if isinstance(cause, (MemoryError, torch.cuda.OutOfMemoryError)):
        return True
    return isinstance(cause, (str, RuntimeError)) and any(sign in str(cause) for sign in _SIGNS)


def out_of_memory(cause: str | Exception) -> str:
    """The cause in one line that begins with `out of memory`."""
    first = " ".join(str(cause).split())[:160]
    return first if first.startswith("out of memory") else f"out of memory ({first or type(cause).__name__})"


def what_to_lower(batch: int) -> str:
    """What takes less memory.

    Args:
        batch: candidates that are evaluated together.
    """
    group = f"the rung's batch ({batch} candidates side by side), " if batch > 1 else ""
    return f"lower {group}search.workers, the evaluator's batch_size, or the size of the images"


_of_children = 0.0


def add_children(held: float) -> None:
    """Lets `peak_memory` know of what processes held that this one started.

    Args:
        held: bytes, at most.
    """
    global _of_children
    _of_children = max(_of_children, held)


def peak_memory() -> float:
    """Most bytes that this process, with what it told of those it started, has held since `forget_peak`.

    Returns:
        0 where the system does not say.
    """
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return float(next(line.split()[1] for line in lines if line.startswith("VmHWM:"))) * 1024 + _of_children
    except (OSError, StopIteration):
        return 0.0


def peak_of_device() -> float:
    """The same of a GPU's memory where this process uses one, of its own where it does not."""
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        return float(torch.cuda.max_memory_allocated())
    return peak_memory()


def forget_peak() -> None:
    """Lets `peak_memory` begin anew, where the system can, and `peak_of_device`."""
    global _of_children
    _of_children = 0.0
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.reset_peak_memory_stats()
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return

"""What workers may meet: bad starts and bad candidates; without PyTorch, so that a worker starts at once."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from primitives.errors import InputError


def nothing() -> None:
    """Makes a worker that holds nothing."""


def wrong() -> None:
    """Makes no worker."""
    raise InputError("data: missing")


def sick(file: str, most: int) -> None:
    """Makes no worker the first times; a file counts them."""
    with open(file, "a") as times:
        times.write("x")
    if os.path.getsize(file) <= most:
        raise OSError("the GPU has fallen off the bus")


def sick_by_variable() -> None:
    """Makes no worker where a variable says so."""
    if os.environ["AUTOLOSS_TEST_SICK"]:
        raise OSError("the GPU has fallen off the bus")


def terminated_child(start: str) -> int:
    """How a process ends that a worker starts, and that gets SIGTERM."""
    if start == "fork":
        child = os.fork()
        if not child:
            time.sleep(60)
            os._exit(0)
        time.sleep(0.2)
        os.kill(child, signal.SIGTERM)
        return os.WTERMSIG(os.waitpid(child, 0)[1])
    process = subprocess.Popen(["sleep", "60"])
    process.terminate()
    return -process.wait()


def loaded() -> int:
    """The sum of tensors that a data loader's own processes make."""
    import torch
    from torch.utils.data import DataLoader

    return int(sum(batch.sum() for batch in DataLoader(list(torch.arange(6)), batch_size=2, num_workers=2)))


def misbehave(how: str) -> None:
    """What a candidate may do to its worker."""
    if how == "sleep":
        time.sleep(3600)
    elif how == "allocate":
        held = []
        while True:
            held.append(bytearray(b"x" * 20_000_000))
            time.sleep(0.005)
    elif how == "raise":
        raise ValueError("no such thing")
    elif how == "assert":
        raise RuntimeError("CUDA error: device-side assert triggered\nCompile with TORCH_USE_CUDA_DSA.")
    elif how == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    elif how == "exit":
        sys.exit(3)
    elif how == "print":
        for _ in range(1000):
            sys.stdout.write("x" * 1_000_000)
    elif how == "delete":
        shutil.rmtree(tempfile.gettempdir())

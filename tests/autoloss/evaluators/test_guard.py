"""What a command started ends with it, and with the worker that waits for it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import IO

import pytest

from autoloss.evaluators import guard
from tests.helpers.scripts import wait_for_end

BEGETS = (
    "import os, subprocess, sys, time; "
    "other = subprocess.Popen(['sleep', '600'], start_new_session=True, stdout=subprocess.DEVNULL); "
    "print(os.getpid(), other.pid, flush=True); "
)


def guarded(*command: str) -> subprocess.Popen[bytes]:
    line = [sys.executable, "-I", "-S", guard.__file__, *command]
    return subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def pids(stream: IO[bytes] | None) -> list[int]:
    assert stream is not None
    return [int(word) for word in stream.readline().split()]


def gone(process: subprocess.Popen[bytes]) -> None:
    """Its worker dies."""
    assert process.stdin is not None
    process.stdin.close()


@pytest.mark.parametrize(("then", "end"), [("time.sleep(600)", gone), ("sys.exit(0)", lambda _: None)])
def test_all_that_a_command_started_ends_with_its_worker_and_with_itself(
    then: str, end: Callable[[subprocess.Popen[bytes]], None]
) -> None:
    with guarded(sys.executable, "-c", BEGETS + then) as process:
        started = pids(process.stdout)
        end(process)
        process.wait(30)
        for pid in started:
            wait_for_end(pid)


@pytest.mark.parametrize(
    ("line", "code"), [("raise SystemExit(7)", 7), ("import os; os.kill(os.getpid(), 15)", 143), ("", 0)]
)
def test_it_ends_as_the_command_does(line: str, code: int) -> None:
    with guarded(sys.executable, "-c", line) as process:
        assert process.wait(30) == code


def test_a_program_that_is_nowhere_is_one_line() -> None:
    with guarded("./nowhere") as process:
        _, error = process.communicate(timeout=30)
    assert (process.returncode, error) == (guard.NOT_STARTED, b"cannot start ./nowhere: No such file or directory\n")


def test_what_stops_a_whole_job_leaves_the_guard_to_end_with_the_command() -> None:
    with guarded(sys.executable, "-c", "import os; os.kill(os.getppid(), 15); raise SystemExit(3)") as process:
        assert process.wait(30) == 3

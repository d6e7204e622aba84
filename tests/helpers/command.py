"""The command line as a person types it, in this process: without the seconds in which a process starts."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

from autoloss.cli import main


def autoloss(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """`python -m autoloss ARGUMENTS`: what it prints and how it ends."""
    line = ["autoloss", *map(str, arguments)]
    out, error = io.StringIO(), io.StringIO()
    code: object = 0
    with (
        _in_folder(cwd),
        _without_log_handlers(),
        mock.patch.object(sys, "argv", line),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(error),
    ):
        try:
            main()
        except SystemExit as ended:
            code = ended.code or 0
    assert isinstance(code, int), code
    return subprocess.CompletedProcess(line, code, out.getvalue(), error.getvalue())


def autoloss_process(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
    """The same in a process of its own, for the few things that only a process shows."""
    line = [sys.executable, "-m", "autoloss", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]


@contextlib.contextmanager
def _in_folder(folder: Path | None) -> Iterator[None]:
    before = os.getcwd()
    os.chdir(folder or before)
    try:
        yield
    finally:
        os.chdir(before)


@contextlib.contextmanager
def _without_log_handlers() -> Iterator[None]:
    """The command sets up logging as in a process of its own; pytest's handlers come back afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers[:] = []
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)

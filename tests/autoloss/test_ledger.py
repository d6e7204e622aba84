"""Damage to a run file: what is shown is what was written, or one line says what is wrong and what to do."""

from __future__ import annotations

import json
import os
import random
import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from damage import damaged
from small import section

from autoloss import cli, export, report
from autoloss.candidate import Crash, Evaluation, Refusal, State
from autoloss.discover import discover
from autoloss.lock import FILE as LOCK
from autoloss.run import FILE, Run
from autoloss.settings import from_mapping
from primitives.errors import InputError


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small run that has one of everything."""
    directory = tmp_path_factory.mktemp("searched") / "run"
    settings = from_mapping(section(generations=2, births=1))
    with Run.create(directory, settings.identity()) as run:
        discover(settings, run)
        run.crashed(Crash("proxy", 1, (1, 3), True, "the worker was killed", 1e9))
        run.agreed("ended", "the budget of 3 s", anew=True)
    return directory


@pytest.fixture
def run(searched: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return shutil.copytree(searched, tmp_path / "run")


def shown(directory: Path) -> dict[str, Any]:
    """All that is read of a run."""
    with Run.open(directory) as run:
        found = {**report.summary(run), "refusals": run.refusals(), "evaluations": run.evaluations()}
        exported = [(one.losses, one.about, one.setup, one.row) for one in export.of_run(run, top=3)]
    return {**found, "run": "", "exported": json.dumps(exported, default=repr).replace(str(directory), "")}


def refused(directory: Path) -> str:
    """The line that a run is refused with."""
    with pytest.raises(InputError) as error:
        shown(directory)
    text = str(error.value)
    assert text.isprintable()  # one line, and nothing that a terminal obeys
    return text


def test_a_file_with_random_damage_is_refused_in_a_line_or_shows_what_was_written(run: Path) -> None:
    expected, content, refusals = shown(run), (run / FILE).read_bytes(), 0
    for seed in range(int(os.environ.get("AUTOLOSS_DAMAGED", "200"))):
        (run / FILE).write_bytes(damaged(content, random.Random(seed)))
        try:
            found = shown(run)
        except InputError as error:
            assert str(error).isprintable(), seed
            assert FILE in str(error), seed
            refusals += 1
        else:
            assert found == expected, seed
        assert [path.name for path in run.iterdir()] == [FILE], seed
    assert refusals > 100

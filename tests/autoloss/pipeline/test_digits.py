"""The pipeline of noisy digits, of few iterations, killed at random moments."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.helpers.command import autoloss_process
from tests.helpers.pipelines import digits, left

KILLS = int(os.environ.get("AUTOLOSS_KILLS", "20"))


@pytest.mark.slow
@pytest.mark.timeout(4 * 3600)
def test_killed_at_random_moments_it_ends_in_the_same_tables_files_and_exports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOLOSS_CACHE", str(tmp_path / "cache"))
    file, rng, kills = digits(tmp_path), random.Random(0), 0
    # A budget has everything measured once, in place of each search a little; this one has room for all.
    line = ["run", str(file), "--workers", "2", "--time", "30d", "--seconds", "0.1"]
    begin = time.monotonic()
    assert autoloss_process(*line, str(tmp_path / "whole")).returncode == 0
    whole = time.monotonic() - begin
    while True:
        process = subprocess.Popen(
            [sys.executable, "-m", "autoloss", *line, str(tmp_path / "killed")],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            _, error = process.communicate(timeout=rng.uniform(0.02, 0.15) * whole if kills < KILLS else None)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            kills += 1
            continue
        assert process.returncode == 0, error.decode()
        break
    assert kills == KILLS  # it had not ended before
    assert left(tmp_path / "killed") == left(tmp_path / "whole")
    for target in ("mmdet", "torch"):
        written = [sorted((tmp_path / run / "export" / target).iterdir()) for run in ("whole", "killed")]
        for one, other in zip(*written, strict=True):
            assert one.name == other.name
            assert one.suffix == ".png" or one.read_text() == other.read_text()

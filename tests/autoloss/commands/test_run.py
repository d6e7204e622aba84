"""The command that runs a pipeline."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from autoloss.pipeline.flow import Flow
from tests.helpers.command import autoloss
from tests.helpers.pipelines import written


def test_it_says_what_begins_what_came_of_it_and_where_that_lies(tmp_path: Path) -> None:
    file = written(tmp_path, steps=["search_bbox", "export"])
    done = autoloss("run", file, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "[1/2] search_bbox: begins" in done.stderr
    assert "[2/2] export: done: Candidate" in done.stderr
    assert "To look at:\n  runs/pipeline-toy/export/latex" in done.stdout
    assert (tmp_path / "runs/pipeline-toy/export/latex").is_dir()
    again = autoloss("run", file, "--json", cwd=tmp_path)
    assert (again.returncode, again.stderr) == (0, "")
    assert [entry["state"] for entry in json.loads(again.stdout)["steps"].values()] == ["done", "done"]
    outline = autoloss("run", file, "--dry-run", cwd=tmp_path)
    assert outline.stdout.count("done") == 2


def test_stopped_it_says_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(_: Flow) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Flow, "run", stopped)
    done = autoloss("run", written(tmp_path, steps=["search_bbox"]), tmp_path / "out", cwd=tmp_path)
    assert done.returncode == 130
    assert done.stderr.endswith("the same command goes on from there.\n")


def test_parts_of_a_pipeline_are_asked_for_one_way(tmp_path: Path) -> None:
    file = written(tmp_path, steps=["search_bbox", "export"])
    done = autoloss("run", file, "--only", "export", "--from", "export", cwd=tmp_path)
    assert done.returncode == 2
    assert "--from STEP goes on to the end, --only STEP does one; give one of the two" in done.stderr

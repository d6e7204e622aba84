from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from autoloss.candidate import OWN, Evaluation, State
from autoloss.config import from_mapping
from autoloss.export import selection
from autoloss.report import tables
from autoloss.report.examined import Examined
from autoloss.report.leaderboard import Leaderboard
from autoloss.search.loop import discover
from autoloss.search.progress import Progress
from autoloss.store.run import Run
from primitives.errors import InputError
from tests.helpers.command import autoloss
from tests.helpers.fast_evaluator import DescentEvaluator
from tests.helpers.small import section

CLASS = "AP of \x1b[31m[bold]cat\n"


class Told(DescentEvaluator):
    """Says what its score is."""

    def describe(self) -> dict[str, object]:
        return {"detector": "free boxes", "metric": "AP50"}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run whose evaluator has a metric of its own, with one more evaluation that tells of classes."""
    settings = from_mapping(section(evaluator={"type": "tests.autoloss.report.test_examined:Told"}, generations=1))
    seen: list[Progress] = []
    with Run.create(tmp_path / "run", settings.identity()) as store:
        discover(settings, store, seen.append)
        store.started(OWN, "full", 9)
        metrics = {"score": 0.25, "mAP": 0.125, CLASS: 0.0625, "seconds_train": 3.0}
        store.finished(Evaluation(OWN, "full", 9, State.DONE, 0.25, metrics, None, 4.0, 1.0))
        store.started(OWN, "full", 10)
        store.finished(Evaluation(OWN, "full", 10, State.FAILED, error="the loss\nis nan"))
    assert {one.metric for one in seen} == {"AP50"}
    return tmp_path / "run"


def shown(part: object) -> str:
    text = io.StringIO()
    Console(width=160, file=text).print(part)
    return text.getvalue()


def test_everything_of_a_candidate_is_shown_by_rung_seed_and_class(run: Path) -> None:
    done = autoloss("show", run, "--candidate", OWN)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    for rung in ("verify", "proxy", "full"):
        assert any(line.startswith(f"{rung}, AP50 ") for line in lines)
    assert any("score: AP50" in line and "0.250" in line for line in lines)
    assert any(r"AP of \x1b[31m[bold]cat\n" in line and "0.062" in line for line in lines)
    assert any("seed 10: the loss" in line for line in lines)
    assert "\x1b" not in done.stdout


def test_scripts_get_every_evaluation_with_its_metrics(run: Path) -> None:
    found = json.loads(autoloss("show", run, "--candidate", OWN, "--json").stdout)
    assert (found["candidate"], found["metric"]) == (OWN, "AP50")
    assert [(one["rung"], one["seed"]) for one in found["evaluations"]] == [
        ("verify", 0),
        ("proxy", 1),
        ("full", 2),
        ("full", 3),
        ("full", 9),
        ("full", 10),
    ]
    assert found["evaluations"][4]["metrics"][CLASS] == 0.0625
    assert found["evaluations"][5]["state"] == "failed"


def test_a_candidate_that_is_not_there_is_named(run: Path) -> None:
    with Run.open(run) as store, pytest.raises(InputError, match=r"no candidate 999 in .*; it has 0 to \d+"):
        Examined.of(Leaderboard.of(store), store, 999)


def test_leaderboard_and_export_call_the_score_by_its_name(run: Path) -> None:
    with Run.open(run) as store:
        found = Leaderboard.of(store)
        (best,) = selection.of_run(store, None)
    assert "AP50" in shown(tables.leaderboard(found))
    assert "mAP" not in shown(tables.leaderboard(found))
    assert best.evidence is not None
    assert best.evidence.metric == "AP50"
    assert any("(AP50 on the images of that rung)" in line for line in best.about)


def test_a_run_that_names_no_metric_is_of_map(golden: Path) -> None:
    with Run.open(golden / "runs/schema_2") as store:
        found = Leaderboard.of(store)
        table = shown(Examined.of(found, store, OWN).table())
    assert found.metric == "mAP"
    assert "mAP" in shown(tables.leaderboard(found))
    assert "score: mAP" in table

"""The leaderboard as `show --json` prints it: scripts and results/*.json depend on its shape."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from autoloss.report.leaderboard import Leaderboard
from autoloss.store.run import Run

RESULTS = sorted((Path(__file__).parents[3] / "results").glob("digits_*.json"))


def test_a_recorded_run_prints_what_it_printed_when_it_was_recorded(golden: Path) -> None:
    with Run.open(golden / "runs/schema_2") as run:
        found = {**Leaderboard.of(run).plain_values(), "run": "tests/golden/runs/schema_2"}
    assert json.dumps(found, indent=2) + "\n" == (golden / "runs/schema_2.json").read_text()


@pytest.mark.parametrize("record", RESULTS, ids=lambda file: file.name)
def test_the_shape_is_that_of_the_recorded_results(record: Path, golden: Path) -> None:
    recorded = json.loads(record.read_text())
    with Run.open(golden / "runs/schema_2") as run:
        found = Leaderboard.of(run).plain_values()
    later = {"ended by", "workers lost", "pareto", "recommended", "over_own"} - set(recorded)  # than these records
    assert [key for key in found if key not in later] == list(recorded)
    assert list(found["funnel"]) == list(recorded["funnel"])
    later |= {"over_own"}  # of finalists alone
    first = [key for key in recorded["leaderboard"][0] if key not in later]
    for rows in (found["leaderboard"], recorded["leaderboard"]):
        for row in rows:
            assert [key for key in row if key not in later] == first
            assert all(list(score) == ["mean", "sd", "seeds"] for score in row["scores"].values())
            assert all(list(one) == ["expression", "grammar", "loss_weight", "alpha"] for one in row["losses"].values())


def test_the_first_rows_always_hold_the_detectors_own_loss(golden: Path) -> None:
    with Run.open(golden / "runs/schema_2") as run:
        found = Leaderboard.of(run)
    for count in range(1, len(found.rows) + 1):
        best = found.best(count).rows
        assert best[:count] == found.rows[:count]
        assert found.own in best
        assert len(best) == count + (found.own not in found.rows[:count])
    assert found.best(None) == found
    assert found.evidence(found.rows[0]).row is found.rows[0]
    assert found.rows[0] not in found.evidence(found.rows[0]).beside

"""The leaderboard as `show --json` prints it: scripts and results/*.json depend on its shape."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from autoloss.candidate import Evaluation, State
from autoloss.config import from_mapping
from autoloss.report.leaderboard import Leaderboard
from autoloss.search.population import Population
from autoloss.store.run import Run
from tests.helpers.small import section

SLOTS = {
    "loss_cls": {"grammar": "sigmoid", "like": "focal"},
    "loss_bbox": {"grammar": "box_pixels", "like": "cse_b_reg"},
}
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


@pytest.mark.parametrize(
    ("known", "called"),
    [
        ({"loss_cls": "cse_b_cls"}, "the best known loss: CSE-Autoloss-B class"),
        ({"loss_cls": "cse_b_cls", "loss_bbox": "cse_b_reg"}, "the published pair: CSE-Autoloss-B class + CSE"),
    ],
)
def test_half_of_the_published_pair_is_a_known_loss_and_not_the_pair(
    known: dict[str, str], called: str, tmp_path: Path
) -> None:
    rules = from_mapping(section(slots=SLOTS, known=[known], controls=[], finale=None))
    last = rules.ladder[-1]
    with Run.create(tmp_path / "run", rules.identity()) as run:
        run.born(Population(rules).given(), [])
        for number, score in ((0, 0.2), (1, 0.3)):
            run.started(number, last.name, 1)
            run.finished(Evaluation(number, last.name, 1, State.DONE, score, {"score": score}))
        (_, own), (title, row) = Leaderboard.of(run).opponents(last.name)
    assert title.startswith(called)
    assert (own.candidate.number, row.candidate.number) == (0, 1)

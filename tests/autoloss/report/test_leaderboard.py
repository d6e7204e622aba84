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


def test_half_of_the_published_pair_is_a_known_loss_and_not_the_pair(tmp_path: Path) -> None:
    half, pair = {"loss_cls": "cse_b_cls"}, {"loss_cls": "cse_b_cls", "loss_bbox": "cse_b_reg"}
    slots = {
        "loss_cls": {"grammar": "sigmoid", "like": "focal"},
        "loss_bbox": {"grammar": "box_pixels", "like": "cse_b_reg"},
    }
    for known, called in (
        ([half], "the best known loss: CSE"),
        ([pair], "the published pair: CSE"),
        ([half, pair], ""),
    ):
        rules = from_mapping(section(slots=slots, known=known, controls=[], finale=None))
        with Run.create(tmp_path / str(len(called)), rules.identity()) as run:
            run.born(Population(rules).given(), [])
            for number in range(1 + len(known)):
                for seed in rules.ladder[0].seeds:
                    run.started(number, rules.ladder[0].name, seed)
                    done = Evaluation(number, rules.ladder[0].name, seed, State.DONE, 0.1 * number, {"score": 0.1})
                    run.finished(done)
            titles = [title for title, _ in Leaderboard.of(run).opponents(rules.ladder[0].name)]
        assert any(title.startswith(called) for title in titles[1:])
        assert len(titles) == 2

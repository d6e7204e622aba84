from __future__ import annotations

import itertools
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from autoloss.audit import contestants, tuning
from autoloss.audit.contestants import Contestant
from autoloss.candidate import Candidate, How, Kind, Loss, Origin
from autoloss.config import from_mapping
from autoloss.rungs.finale import Finale
from autoloss.rungs.rung import Rung
from autoloss.store.run import Run
from tests.helpers.audited import audited
from tests.helpers.made_up import MadeUp
from tests.helpers.small import section

IOU = Loss.of({"expression": "sub(1, div(i, u))", "grammar": "box"})


def test_a_single_evaluation_is_of_the_weight_as_it_is() -> None:
    assert tuning.factors(1) == [1.0]


@pytest.mark.parametrize("count", [2, 9, 10, 21])
def test_factors_go_from_a_quarter_to_four_in_even_steps_and_hold_one(count: int) -> None:
    found = tuning.factors(count)
    assert (found[0], found[-1]) == (0.25, 4)
    assert 1 in found
    assert len(found) == count + (count % 2 == 0)
    ratios = [after / before for before, after in itertools.pairwise(found)]
    assert max(ratios) == pytest.approx(min(ratios), rel=1e-3)


def bred(number: int, parent: int, slot: str) -> Candidate:
    return Candidate(number, Kind.FOUND, 1, {"loss_bbox": IOU}, Origin(How.MUTATION, (parent,), (slot,)), (parent,))


def test_controls_have_the_evaluations_of_all_that_a_finalists_line_was_chosen_from(tmp_path: Path) -> None:
    children = [bred(number, 0, "loss_bbox") for number in range(1, 13)]  # of the own loss, and one of these has
    grandchildren = [bred(number, 12, "loss_cls") for number in range(13, 24)]
    strangers = [bred(number, 3, "loss_cls") for number in range(24, 50)]
    with Run.create(tmp_path / "run", from_mapping(section()).identity()) as run:
        run.born([*children, *grandchildren, *strangers], [])
        finalist = Contestant("", "#23", {}, Origin(How.OWN), 23)
        assert tuning.evaluations(run, [finalist]) == {"loss_cls": 11, "loss_bbox": 12}
        first = Contestant("", "#1", {}, Origin(How.OWN), 1)
        assert tuning.evaluations(run, [first]) == {"loss_cls": tuning.LEAST, "loss_bbox": 12}


def test_a_line_that_began_with_a_random_draw_was_chosen_from_all_that_were_drawn(tmp_path: Path) -> None:
    drawn = [
        Candidate(number, Kind.FOUND, 0, {"loss_bbox": IOU}, Origin(How.RANDOM, (), ("loss_bbox",)), ())
        for number in range(1, 31)
    ]
    child = Candidate(31, Kind.FOUND, 1, {"loss_bbox": IOU}, Origin(How.MUTATION, (7,), ("loss_cls",)), (7,))
    with Run.create(tmp_path / "run", from_mapping(section()).identity()) as run:
        run.born([*drawn, child], [])
        found = tuning.evaluations(run, [Contestant("", "#31", {}, Origin(How.OWN), 31)])
    assert found == {"loss_cls": tuning.LEAST, "loss_bbox": 30}


@pytest.mark.parametrize("in_finale", [0.4, 0.6])
def test_tuned_weights_are_taken_where_they_beat_those_as_they_were_in_the_finale(in_finale: float) -> None:
    finale = Finale(rung=Rung(name="audit, weights", task={}, seeds=[1, 2]), count=1)
    made = MadeUp(from_mapping(section(births=1, generations=1)), lambda number, rung, _: scores(number, rung.name))

    def scores(number: int, rung: str) -> float:
        own, other = (0.5, in_finale) if rung == finale.rung.name else (0.5, 0.6)
        return own if number == 0 else other

    cast(Any, made).store = SimpleNamespace(born=lambda *_: None)
    found = tuning.tuned(made.runner, contestants.own(), contestants.OWN_TUNED, {"loss_bbox": 3}, finale)
    (met,) = (numbers for rung, numbers, seeds in made.visits if rung == finale.rung.name and seeds == [1, 2])
    assert 0 in met
    assert len(met) == 2
    assert (found.factors["loss_bbox"] == 1) == (in_finale < 0.5)


def test_as_many_weights_race_as_finalists_did_and_the_best_of_them_is_taken() -> None:
    finale = Finale(rung=Rung(name="audit, weights", task={}, seeds=[1, 2, 3]), count=3, race=[3, 2, 1])
    made = MadeUp(from_mapping(section(births=1, generations=1)), lambda number, rung, _: scores(number, rung.name))

    def scores(number: int, rung: str) -> float:
        # The ladder ranks the weights as they were born; the finale, of which the ladder's third is the best, does not.
        return 0.6 - 0.01 * number if rung != finale.rung.name else 0.1 + 0.01 * number

    cast(Any, made).store = SimpleNamespace(born=lambda *_: None)
    found = tuning.tuned(made.runner, contestants.own(), contestants.OWN_TUNED, {"loss_bbox": 9}, finale)
    met = {seeds[0]: numbers for rung, numbers, seeds in made.visits if rung == finale.rung.name}
    assert [len(met[seed]) for seed in (1, 2, 3)] == [4, 3, 2]
    assert max(met[1]) in met[3]
    weights = {number: one.losses for number, one in made.runner.candidates.items()}
    settings = made.runner.settings
    assert contestants.scaled(settings, {}, found.factors) == weights[max(met[1])]


def test_an_audit_has_the_meeting_with_the_seeds_of_the_searchs_finale(search: Path, tmp_path: Path) -> None:
    audited(search, tmp_path / "audit", trials=3)
    with Run.open(tmp_path / "audit") as run, Run.open(search) as of:
        finale = of.settings.finale
        met = {(e.candidate, e.seed) for e in run.evaluations("audit, weights")}
    assert finale is not None
    assert met >= {(0, seed) for seed in finale.rung.seeds}
    assert {seed for _, seed in met} == set(finale.rung.seeds)


def test_tuned_weights_climb_the_ladder_of_the_search_and_the_best_meets_the_finalists(
    search: Path, tmp_path: Path
) -> None:
    audited(search, tmp_path / "audit", trials=3)
    with Run.open(tmp_path / "audit") as run:
        scores = {e.candidate: e.score or 0 for e in run.evaluations("proxy")}
        candidates = {one.number: one for one in run.candidates()}
        rows = {row["control"]: row for row in run.description["audit"]["contestants"] if row["control"]}
    tuned = candidates[rows[contestants.OWN_TUNED]["number"]]
    tried = [
        number
        for number, one in candidates.items()
        if one.kind is not Kind.FOUND and (one.losses.keys() == {"loss_bbox", "loss_cls"} or not one.losses)
    ]
    titles = {str(candidates[number].origin) for number in tried}
    assert "control: focal (gamma 2) x 4 + GIoU x 4" in titles
    assert rows[contestants.BALANCED]["number"] == tuned.number
    assert rows[contestants.BALANCED]["rung"] == "audit, self-balanced"
    of_own = {n: s for n, s in scores.items() if str(candidates[n].origin).startswith("control: focal")}
    assert scores[tuned.number] == max(of_own.values())

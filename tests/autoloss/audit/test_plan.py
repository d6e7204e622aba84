from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from autoloss.audit import contestants
from autoloss.audit.plan import LEAST_SEEDS, MOST_SEEDS
from autoloss.config import from_mapping
from autoloss.settings import Settings
from autoloss.store.run import Run
from primitives.errors import InputError
from tests.helpers.audited import IMAGES, plan_of, searched
from tests.helpers.small import section


def other(**changes: Any) -> Settings:
    return from_mapping(section(**{"evaluator": IMAGES, **changes}))


def test_every_loss_is_trained_as_in_the_finale_on_new_seeds(search: Path) -> None:
    plan = plan_of(search)
    (place,) = plan.places
    assert place.rung.task == {"steps": 8, "images": True, "balanced": False}
    assert place.balanced is not None
    assert place.balanced.task == {"steps": 8, "images": True, "balanced": True}
    assert place.rung.seeds == place.balanced.seeds == [101, 102, 103, 104, 105]
    assert [one.control for one in plan.controls] == [contestants.OWN_LOSS, contestants.PUBLISHED]


def test_nothing_is_written_by_a_plan(search: Path) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in search.iterdir()}
    plan_of(search)
    assert {path.name: path.stat().st_mtime_ns for path in search.iterdir()} == before


def test_seeds_are_planned_from_what_seeds_differed_by_in_the_search(tmp_path: Path) -> None:
    steady, noisy = (
        plan_of(searched(tmp_path / str(noise), evaluator={**IMAGES, "noise": noise}), seeds=None)
        for noise in (0.0, 0.1)
    )
    assert len(steady.seeds) == LEAST_SEEDS
    assert len(noisy.seeds) == MOST_SEEDS
    assert "paired differences spread by" in noisy.why


def test_a_finale_with_one_seed_says_nothing_of_noise(tmp_path: Path) -> None:
    finale = {"rung": {"name": "full", "task": {"steps": 8}, "seeds": [2]}, "count": 2}
    plan = plan_of(searched(tmp_path / "run", finale=finale), seeds=None)
    assert len(plan.seeds) == LEAST_SEEDS
    assert plan.why == "rung 'full' of the search does not tell what seeds differ by"


def test_seeds_may_be_named_and_the_counted_ones_skip_those_that_took_part(tmp_path: Path, search: Path) -> None:
    assert plan_of(search, seeds=[9, 7, 8, 6, 5]).seeds == (9, 7, 8, 6, 5)
    finale = {"rung": {"name": "full", "task": {"steps": 8}, "seeds": [102, 103]}, "count": 2}
    assert plan_of(searched(tmp_path / "run", finale=finale)).seeds == (101, 104, 105, 106, 107)


@pytest.mark.parametrize(
    ("seeds", "message"),
    [
        ([5, 6, 7, 8, 3], r"seed 3 took part in rung 'full' of .*mine: an audit is of seeds that did not"),
        ([5, 6, 7, 8, 1], "seed 1 took part in rung 'proxy'"),
        ([5, 6, 7, 8, 5], "--seeds names a seed twice: 5, 6, 7, 8, 5"),
        ([5, 6, 7, 8], "an audit needs 5 seeds at least, got 4"),
        (4, "an audit needs 5 seeds at least, got 4"),
    ],
)
def test_seeds_that_took_part_or_are_too_few_are_refused(search: Path, seeds: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        plan_of(search, seeds=seeds)


def test_a_data_set_without_a_test_split_is_refused(tmp_path: Path) -> None:
    directory = searched(tmp_path / "run", evaluator={**IMAGES, "fail": "no test"})
    with pytest.raises(InputError, match="no test split"):
        plan_of(directory)
    with pytest.raises(InputError, match="no test split"):
        plan_of(searched(tmp_path / "good"), on={"bad": other(evaluator={**IMAGES, "fail": "no test"})})


def test_another_set_up_whose_slots_differ_is_refused(search: Path) -> None:
    slots = {"loss_cls": {"grammar": "softmax", "like": "cross_entropy"}}
    bad = other(slots=slots, known=[], finale=None)
    message = (
        r"--on bad: its slots are loss_cls \(softmax\), those of the search loss_bbox \(box\), loss_cls \(sigmoid\)"
    )
    with pytest.raises(InputError, match=message):
        plan_of(search, on={"bad": bad})


def test_another_set_up_is_named_apart(search: Path) -> None:
    with pytest.raises(InputError, match="--on mine: its name is that of another set-up of this audit"):
        plan_of(search, on={"mine": other()})


def test_another_set_up_takes_the_grammars_of_what_was_found_and_its_own_weights(search: Path) -> None:
    slots = {
        "loss_cls": {"grammar": "sigmoid_wide", "like": "focal", "alpha": 0.25},
        "loss_bbox": {"grammar": "box", "like": "giou", "weight": 2.0},
    }
    there = plan_of(search, on={"there": other(slots=slots)}).places[1].settings.slots
    assert (there["loss_cls"].grammar, there["loss_bbox"].weight) == ("sigmoid", 2.0)


def test_an_evaluator_that_tells_nothing_of_images_is_audited_over_seeds_alone(tmp_path: Path) -> None:
    plain = {"type": "tests.helpers.fast_evaluator:DescentEvaluator"}
    (place,) = plan_of(searched(tmp_path / "run", evaluator=plain)).places
    assert place.balanced is None
    assert place.rung.task == {"steps": 8}


def test_a_search_that_has_found_nothing_is_refused(tmp_path: Path) -> None:
    rules = other()
    with Run.create(tmp_path / "run", rules.identity()):
        pass
    with pytest.raises(InputError, match="has no candidate that it found and that finished"):
        plan_of(tmp_path / "run")


def test_a_search_of_several_set_ups_is_audited_at_each(tmp_path: Path) -> None:
    several = {"evaluator": {}, "evaluators": [IMAGES, {**IMAGES, "noise": 0.05}], "objective": "mean"}
    directory = searched(tmp_path / "mine", **several)
    plan = plan_of(directory)
    assert [place.name for place in plan.places] == ["mine", "mine-2"]
    assert [place.settings.evaluator for place in plan.places] == several["evaluators"]
    with pytest.raises(InputError, match="--on both: it names several evaluators; give a config of each"):
        plan_of(directory, on={"both": other(**several)})


def test_whoever_is_tuned_has_the_seeds_of_those_near_a_cut_from_the_first(tmp_path: Path) -> None:
    verify, proxy = section()["ladder"]
    ladder = [{**verify, "seeds": [10, 11], "keep": {"count": 5, "more_seeds": [12]}}, proxy]
    (place,) = plan_of(searched(tmp_path / "run", ladder=ladder)).places
    first = place.settings.ladder[0]
    assert (first.seeds, first.keep.more_seeds, first.keep.count) == ([10, 11, 12], [], 5)

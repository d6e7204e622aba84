from __future__ import annotations

import shutil
import statistics
from pathlib import Path
from typing import Any

import pytest

from autoloss.audit import contestants
from autoloss.candidate import Evaluation, How, Kind, Loss, State
from autoloss.config import from_mapping
from autoloss.search.headroom import known
from autoloss.search.loop import discover
from autoloss.search.population import Population
from autoloss.search.progress import Progress
from autoloss.search.selection.places import Places
from autoloss.settings import Settings
from autoloss.store.run import Run
from primitives.errors import InputError
from tests.helpers.audited import IMAGES, searched
from tests.helpers.small import section


def settings(**changes: Any) -> Settings:
    return from_mapping(section(**changes))


def test_finalists_are_what_is_recommended_and_the_best_of_the_finale(search: Path) -> None:
    with Run.open(search) as run:
        scores: dict[int, list[float]] = {}
        for e in run.evaluations("full"):
            scores.setdefault(e.candidate, []).append(e.score or 0)
        found = [one.number for one in run.candidates() if one.kind is Kind.FOUND and one.number in scores]
        chosen = contestants.finalists(run)
        picked = Places(run.settings, run.candidates(), run.evaluations()).choice()
    assert picked is not None
    best = sorted(found, key=lambda n: (n != picked.candidate, -statistics.fmean(scores[n])))
    assert [one.candidate for one in chosen] == best
    assert [str(one.origin).split(" ")[0] for one in chosen] == [str(one.candidate) for one in chosen]


def test_without_a_finale_they_are_the_best_three_of_the_last_rung(tmp_path: Path) -> None:
    with Run.open(searched(tmp_path / "run", finale=None, births=4)) as run:
        assert len(contestants.finalists(run)) == 3


def test_one_that_failed_in_the_finale_is_no_finalist(search: Path, tmp_path: Path) -> None:
    directory = shutil.copytree(search, tmp_path / "run")
    with Run.create(directory, _kept(directory)) as run:
        best, other = (one.candidate for one in contestants.finalists(run))
        run.started(best or 0, "full", 9)
        run.finished(Evaluation(best or 0, "full", 9, State.FAILED, error="NaN"))
        assert [one.candidate for one in contestants.finalists(run)] == [other]


def test_where_all_that_came_to_the_finale_failed_there_the_others_are_finalists(search: Path, tmp_path: Path) -> None:
    directory = shutil.copytree(search, tmp_path / "run")
    with Run.create(directory, _kept(directory)) as run:
        entered = [one.candidate or 0 for one in contestants.finalists(run)]
        for number in entered:
            run.started(number, "full", 9)
            run.finished(Evaluation(number, "full", 9, State.FAILED, error="NaN"))
        others = [one.candidate for one in contestants.finalists(run)]
    assert others
    assert not {*others} & {*entered}


def test_whoever_was_given_more_seeds_in_the_finale_comes_first(search: Path, tmp_path: Path) -> None:
    directory = shutil.copytree(search, tmp_path / "run")
    with Run.create(directory, _kept(directory)) as run:
        best, other = (one.candidate or 0 for one in contestants.finalists(run))
        run.started(other, "full", 9)
        run.finished(Evaluation(other, "full", 9, State.DONE, 0.1))
        assert [one.candidate for one in contestants.finalists(run)] == [other, best]


def _kept(directory: Path) -> dict[str, Any]:
    with Run.open(directory) as run:
        return run.kept_settings


def test_a_search_that_has_found_nothing_has_nothing_to_audit(tmp_path: Path) -> None:
    rules = settings()
    with Run.create(tmp_path / "run", rules.identity()) as run, pytest.raises(InputError, match="nothing to audit"):
        contestants.finalists(run)


@pytest.mark.parametrize(("grammar", "like", "letter"), [("sigmoid", "focal", "B"), ("softmax", "cross_entropy", "A")])
def test_the_published_pair_is_that_of_the_kind_of_the_class_loss(grammar: str, like: str, letter: str) -> None:
    slots = {"loss_cls": {"grammar": grammar, "like": like}, "loss_bbox": {"grammar": "box", "like": "giou"}}
    found = contestants.published(settings(slots=slots, known=[], finale=None))
    assert found.what == f"CSE-Autoloss-{letter} class + CSE-Autoloss-{letter} box"
    assert set(found.losses) == {"loss_cls", "loss_bbox"}


def test_the_best_known_loss_is_the_best_of_the_search_or_of_a_measurement(search: Path, tmp_path: Path) -> None:
    rules = settings(evaluator=IMAGES)
    measured = known.of_known(rules, 2).model_copy(update={"known": [{"loss_bbox": "iou"}], "controls": []})
    with Run.create(tmp_path / "headroom", measured.identity(), known.FREE) as headroom, Run.open(search) as run:
        known.measure(rules, measured, headroom)
        of_search, of_headroom = contestants.best_known(run, None), contestants.best_known(run, headroom)
    assert of_search is not None
    assert of_search.what in ("quality focal (beta 2)", "CSE-Autoloss-B class + CSE-Autoloss-B box")
    assert of_headroom is not None
    assert of_headroom.what == "IoU (linear)"


@pytest.mark.parametrize(
    ("behind", "both", "seeds", "failed", "best"),
    [
        (0.001, False, (1, 5), False, 2),
        (0.3, False, (1, 5), False, 1),
        (0.3, True, (1, 5), False, 2),
        (0.3, False, (1,), False, 2),  # one seed tells of no noise
        (-0.3, False, (1, 5), True, 1),
        (None, False, (1, 5), False, 2),  # it failed at the last rung
    ],
)
def test_the_best_known_loss_is_that_which_the_finale_puts_first_unless_another_that_was_not_in_it_is_clearly_before(
    tmp_path: Path, behind: float | None, both: bool, seeds: tuple[int, ...], failed: bool, best: int
) -> None:
    ladder = [{"name": "proxy", "task": {"steps": 8}, "seeds": [*seeds]}]
    rules = settings(ladder=ladder)  # its finale has the second row of `known`
    scores = {0: 0.3, 1: 0.5, **({} if behind is None else {2: 0.5 - behind})}
    with Run.create(tmp_path / "run", rules.identity()) as run:
        run.born(Population(rules).given()[:3], [])
        luck = {1: 0.01, 5: -0.01}
        rows = [(n, "proxy", seed, score + luck[seed] * (-1) ** n) for n, score in scores.items() for seed in seeds]
        finale = {0: 0.3, 2: 0.4, **({1: 0.35} if both else {})}
        rows += [(number, "full", seed, score) for number, score in finale.items() for seed in (2, 3)]
        for number, rung, seed, score in rows:
            run.started(number, rung, seed)
            run.finished(Evaluation(number, rung, seed, State.DONE, score, {"score": score}, None, 1.0, 1.0))
        if failed:
            run.started(2, "full", 9)
            run.finished(Evaluation(2, "full", 9, State.FAILED, error="NaN"))
        found = contestants.best_known(run, None)
        assert found is not None
        assert found.losses == run.candidates()[best].losses


def test_known_losses_that_a_search_began_with_are_known_and_no_finalists(tmp_path: Path) -> None:
    formulas = ("iou", "neg(log(div(i, mul(u, 2))))", "tanh(sigmoid(sigmoid(neg(div(i, u)))))")
    rows = [{"loss_bbox": formula} for formula in formulas]
    with Run.open(searched(tmp_path / "run", births=4, init=rows, known=[], finale=None)) as run:
        given = [one for one in run.candidates() if one.origin.how is How.INITIAL]
        best = contestants.best_known(run, None)
        finalists = [one.losses for one in contestants.finalists(run)]
    assert [contestants._known_titles(one) for one in given] == [("IoU (linear)",), ("IoU (log)",), ()]
    assert best is not None
    assert best.losses in [one.losses for one in given[:2]]
    assert best.losses not in finalists


@pytest.mark.parametrize("changes", [{"gates": ["structure"]}, {"calibrate": False}, {"variation": {"draws": 5000}}])
def test_a_random_search_with_other_gates_is_refused(search: Path, tmp_path: Path, changes: dict[str, Any]) -> None:
    rules = settings(evaluator=IMAGES, generations=1, births=2, strategy="random", init="random", **changes)
    refused = f"made with another search.{next(iter(changes))} than"
    with (
        Run.create(tmp_path / "random", rules.identity()) as random,
        Run.open(search) as run,
        pytest.raises(InputError, match=refused),
    ):
        contestants.of_random(run, random)


def test_a_measurement_of_another_set_up_is_refused(search: Path, tmp_path: Path) -> None:
    rules = settings(evaluator={**IMAGES, "noise": 0.5})
    measured = known.of_known(rules, 2)
    with (
        Run.create(tmp_path / "headroom", measured.identity(), known.FREE) as headroom,
        Run.open(search) as run,
        pytest.raises(InputError, match=r"--headroom .*: made with another search.evaluator than .*mine"),
    ):
        contestants.best_known(run, headroom)


def test_a_search_that_breeds_is_no_random_search(search: Path) -> None:
    with (
        Run.open(search) as run,
        pytest.raises(InputError, match="no random search, its candidate [0-9]+ is: "),
    ):
        contestants.of_random(run, run)


def test_a_random_search_of_another_budget_is_refused(search: Path, tmp_path: Path) -> None:
    other = searched(tmp_path / "random", init="random")
    budget = r"another budget: it has 2 candidates, .*mine has 6"
    with Run.open(search) as run, Run.open(other) as random, pytest.raises(InputError, match=budget):
        contestants.of_random(run, random)


def test_the_best_of_a_random_search_of_the_same_budget_is_a_control(tmp_path: Path) -> None:
    mine = searched(tmp_path / "mine")
    other = searched(tmp_path / "random", init="random")
    with Run.open(mine) as run, Run.open(other) as random:
        found = contestants.of_random(run, random)
        assert found.control == contestants.RANDOM
        assert found.what == f"#{contestants.finalists(random)[0].candidate} of random"


def test_a_random_search_that_was_stopped_is_refused(tmp_path: Path) -> None:
    mine = searched(tmp_path / "mine")
    other = searched(tmp_path / "random", init="random", budget={"evaluations": 5})
    with (
        Run.open(mine) as run,
        Run.open(other) as random,
        pytest.raises(InputError, match="it is not done, so it had a smaller budget"),
    ):
        contestants.of_random(run, random)


def test_a_random_search_that_was_interrupted_is_refused(tmp_path: Path) -> None:
    mine, other = searched(tmp_path / "mine"), tmp_path / "random"
    settings = from_mapping(section(evaluator=IMAGES, generations=1, births=2, init="random"))

    def stop(progress: Progress) -> None:
        if progress.stage == "full" and progress.done > 2:
            raise KeyboardInterrupt

    with Run.create(other, settings.identity()) as run, pytest.raises(KeyboardInterrupt):
        discover(settings, run, stop)
    with (
        Run.open(mine) as run,
        Run.open(other) as random,
        pytest.raises(InputError, match="it is not done, so it had a smaller budget"),
    ):
        contestants.of_random(run, random)


GIOU = Loss.of({"expression": "sub(1, div(i, u))", "grammar": "box", "loss_weight": 2.0})


def test_a_slot_that_is_left_out_stays_so_with_its_own_weight_and_is_the_known_loss_with_another() -> None:
    rules = settings()
    assert contestants.scaled(rules, {}, {"loss_cls": 1.0, "loss_bbox": 1.0}) == {}
    found = contestants.scaled(rules, {"loss_bbox": GIOU}, {"loss_cls": 2.0, "loss_bbox": 0.5})
    assert found["loss_bbox"].loss_weight == 1.0
    assert (found["loss_cls"].loss_weight, found["loss_cls"].alpha) == (2.0, 0.25)


def test_elsewhere_a_loss_has_the_same_share_of_the_loss_that_it_replaces() -> None:
    thrice = {"grammar": "box", "like": "giou", "weight": 3.0}
    here, there = settings(), settings(slots={**section()["slots"], "loss_bbox": thrice})
    moved = contestants.moved({"loss_bbox": GIOU}, here, there)
    assert moved["loss_bbox"].loss_weight == pytest.approx(6.0, rel=1e-5)
    assert contestants.moved({"loss_bbox": GIOU}, here, here)["loss_bbox"].loss_weight == pytest.approx(2.0, rel=1e-5)

from __future__ import annotations

import math
import shutil
import statistics
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from autoloss.audit import contestants
from autoloss.audit.intervals import Scores, choices, difference, holm
from autoloss.audit.measure import measure
from autoloss.audit.rescoring import rescored
from autoloss.audit.verdict import analysed
from autoloss.config import from_mapping
from autoloss.store.run import Run
from primitives.errors import InputError
from tests.helpers.audited import IMAGES, audited, plan_of, searched, unseen
from tests.helpers.small import section


@pytest.fixture(scope="module")
def held(search: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("held") / "audit"
    there = from_mapping(section(evaluator={**IMAGES, "noise": 0.05}))
    audited(search, directory, trials=3, on={"noisy": there})
    return directory


def test_every_finalist_meets_every_control_at_every_place(held: Path) -> None:
    found = analysed(held)
    assert [place.on for place in found.places] == ["mine", "noisy"]
    finalists = [one.candidate for one in found.places[0].contenders if not one.control]
    controls = [name for name in contestants.CONTROLS if name != contestants.RANDOM]
    assert len(finalists) == 2
    for place in found.places:
        pairs = [(one.finalist, one.control) for one in place.comparisons]
        assert pairs == [(finalist, control) for control in controls for finalist in finalists]
    assert {one.metric for one in found.comparisons} == {"mAP"}


def test_a_comparison_is_what_the_runs_scores_and_images_say(held: Path) -> None:
    found = analysed(held).places[0]
    row = next(one for one in found.comparisons if one.control == contestants.PUBLISHED)
    with Run.open(held) as run:
        numbers = {(row["control"], row["candidate"]): row["number"] for row in run.description["audit"]["contestants"]}
        pair = (numbers["", row.finalist], numbers[contestants.PUBLISHED, None])
        held_by_images, seeds = run.contributions("audit"), run.settings.rungs[-1].seeds
        scores = {(e.candidate, e.seed): e.score for e in run.evaluations("audit")}
    times = choices(32)
    first, second = (
        Scores(
            np.array([scores[number, seed] for seed in seeds]),
            np.stack([rescored(held_by_images[number, seed], times) for seed in seeds], axis=1),
            32,
        )
        for number in pair
    )
    wanted = difference(first, second)
    assert (row.difference, row.low, row.high) == pytest.approx((wanted.mean, wanted.low, wanted.high))
    assert row.p_better == pytest.approx(wanted.p_better)
    assert found.images == 32


def test_chances_are_corrected_for_the_number_of_finalists(held: Path) -> None:
    rows = [one for one in analysed(held).places[1].comparisons if one.control == contestants.OWN_LOSS]
    plain = [2 * min(one.p_better, 1 - one.p_better) for one in rows]
    assert [one.holm for one in rows] == pytest.approx(holm(plain))


def test_the_noise_is_pooled_over_all_losses(held: Path) -> None:
    first, noisy = analysed(held).places
    variances = [statistics.variance(one.scores) for one in noisy.contenders]
    assert noisy.noise == pytest.approx(math.sqrt(statistics.fmean(variances)))
    assert noisy.noise > first.noise
    assert (noisy.smallest or 0) > (first.smallest or 1)


def test_the_self_balanced_control_is_trained_with_a_task_of_its_own(held: Path) -> None:
    scores = {one.control: one.scores for one in analysed(held).places[0].contenders if one.control}
    apart = np.subtract(scores[contestants.BALANCED], scores[contestants.OWN_TUNED])
    assert apart == pytest.approx([0.01] * 5)  # which the evaluator adds


def test_a_loss_that_fails_is_named_and_compared_with_nothing(tmp_path: Path) -> None:
    directory = searched(tmp_path / "run", known=[{"loss_cls": "cse_b_cls", "loss_bbox": "cse_b_reg"}], finale=None)
    plan = plan_of(directory, trials=1)
    bad = plan.places[0].settings.model_copy(update={"evaluator": {**IMAGES, "fail": "known"}})
    place = plan.places[0].__class__("run", bad, plan.places[0].balanced, plan.places[0].description)
    measure(plan.__class__(**{**plan.__dict__, "places": (place,), "known": None}), tmp_path / "audit", unseen)
    found = analysed(tmp_path / "audit").places[0]
    failed = {one.control: one.failed for one in found.contenders if one.failed}
    assert failed == {contestants.PUBLISHED: "with seed 101: FloatingPointError: it is a known one"}
    assert contestants.PUBLISHED not in {one.control for one in found.comparisons}


def test_images_that_do_not_make_up_the_score_are_noticed(tmp_path: Path) -> None:
    directory = searched(tmp_path / "run", evaluator={**IMAGES, "fail": "images"})
    with pytest.raises(
        InputError, match=r"with seed 101 makes 1\.\d+, its score is 0\.\d+: the evaluator's `per_image`"
    ):
        audited(directory, tmp_path / "audit", trials=1)


def test_an_evaluator_that_tells_nothing_of_images_has_intervals_over_seeds(tmp_path: Path) -> None:
    plain = {"type": "tests.helpers.fast_evaluator:DescentEvaluator"}
    found = audited(searched(tmp_path / "run", evaluator=plain), tmp_path / "audit", trials=1).places[0]
    assert found.images == 0
    assert contestants.BALANCED not in {one.control for one in found.contenders}
    scores = {one.control or one.candidate: np.array(one.scores) for one in found.contenders}
    row = next(one for one in found.comparisons if one.control == contestants.PUBLISHED)
    wanted = stats.ttest_rel(scores[row.finalist], scores[row.control]).confidence_interval()
    assert (row.low, row.high) == pytest.approx(tuple(wanted))


def test_a_search_and_half_an_audit_say_what_they_are(search: Path, held: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"mine holds no audit; `autoloss audit RUN` makes one"):
        analysed(search)
    half = shutil.copytree(held, tmp_path / "half")
    shutil.rmtree(half / "on-noisy")
    with pytest.raises(InputError, match="no run in"):
        analysed(half)

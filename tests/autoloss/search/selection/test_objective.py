from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from autoloss.candidate import Evaluation, State
from autoloss.config import from_mapping
from autoloss.report import next_steps
from autoloss.report.leaderboard import Leaderboard
from autoloss.report.page.page import page
from autoloss.report.page.told import Told
from autoloss.search.loop import discover
from autoloss.search.selection.objective import parts, relative
from autoloss.store.run import Run
from autoloss.workers.several import part
from primitives.errors import InputError
from tests.helpers.small import section

HERE = "tests.helpers.fast_evaluator"
SEVERAL = {"evaluator": {}, "evaluators": [{"type": f"{HERE}:DescentEvaluator"}, {"type": f"{HERE}:GroupEvaluator"}]}


def evaluation(candidate: int, seed: int, *scores: float) -> Evaluation:
    metrics = {part(index, "score"): score for index, score in enumerate(scores)}
    return Evaluation(candidate, "a", seed, State.DONE, sum(scores) / len(scores), metrics)


DONE = [evaluation(0, 1, 0.2, 0.8), evaluation(7, 1, 0.3, 0.4), evaluation(0, 2, 0.1, 0.5), evaluation(7, 2, 0.1, 0.6)]


@pytest.mark.parametrize(
    ("objective", "scores"), [("mean", [1, (1.5 + 0.5) / 2, 1, (1 + 1.2) / 2]), ("worst", [1, 0.5, 1, 1])]
)
def test_scores_are_over_the_own_loss_of_the_same_evaluator_and_seed(objective: str, scores: list[float]) -> None:
    assert [one.score for one in relative(DONE, objective)] == pytest.approx(scores)


def test_by_rank_the_best_everywhere_is_first_and_scores_stay_beside_the_own_loss() -> None:
    rows = {0: (0.4, 0.4), 7: (0.5, 0.5), 8: (0.9, 0.3), 9: (0.3, 0.1)}
    found = relative([evaluation(number, 1, *scores) for number, scores in rows.items()], "rank")
    scores = {one.candidate: one.score for one in found if one.score is not None}
    # Mean ranks, the worst first: 1, 2.5, 3, 3.5; by the mean 8 would be before 7.
    assert scores == pytest.approx({9: 0.5, 0: 1.0, 8: 1.25, 7: 1.5})
    tied = relative([evaluation(0, 1, 0.4, 0.4), evaluation(7, 1, 0.5, 0.2)], "rank")
    assert [one.score for one in tied] == pytest.approx([(1 + 0.875) / 2] * 2)


def test_a_search_by_rank_goes_on_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    changes = {"objective": "rank", "generations": 3, "births": 3}
    expected = whole(tmp_path / "whole", **changes)
    for evaluations in (8, 20, 31, 45):
        whole(tmp_path / "parts", **changes, budget={"evaluations": evaluations})
    assert whole(tmp_path / "parts", **changes).rows == expected.rows
    assert expected.metric == "rank mAP over own"


def test_one_evaluator_leaves_scores_as_they_are() -> None:
    assert relative(DONE, None) == DONE


def test_what_has_no_own_score_beside_it_yet_does_not_count_and_what_no_evaluator_was_asked_for_does() -> None:
    alone = evaluation(7, 3, 0.5, 0.5)
    failed = Evaluation(8, "a", 1, State.FAILED, error="NaN")
    descent = Evaluation(7, "descend", 0, State.DONE, 0.9, {"iou": 0.9})
    assert relative([*DONE[:1], alone, failed, descent], "mean")[1:] == [failed, descent]


def whole(directory: Path, **changes: Any) -> Leaderboard:
    settings = from_mapping(section(**{**SEVERAL, "objective": "worst", "generations": 2, "births": 2, **changes}))
    with Run.create(directory, settings.identity()) as run:
        discover(settings, run)
    with Run.open(directory) as run:
        return Leaderboard.of(run)


def test_a_search_ranks_by_what_losses_score_over_the_own_one_everywhere(tmp_path: Path) -> None:
    found = whole(tmp_path / "one")
    assert found.metric == "worst mAP over own"
    assert found.own is not None
    assert {score.mean for score in found.own.scores.values()} == {1.0}
    assert found.found[0].scores["full"].mean > 1
    with Run.open(tmp_path / "one") as run:
        kept = run.evaluations("full")
    best = [one for one in kept if one.candidate == found.found[0].candidate.number]
    own = {one.seed: parts(one.metrics) for one in kept if one.candidate == 0}
    worst = [min(a / b for a, b in zip(parts(one.metrics), own[one.seed], strict=True)) for one in best]
    assert found.found[0].scores["full"].mean == pytest.approx(sum(worst) / len(worst))
    assert whole(tmp_path / "two", workers=2).rows == found.rows


def test_its_page_and_what_comes_next_know_every_set_up(tmp_path: Path) -> None:
    found = whole(tmp_path / "one")
    assert any(line.startswith("autoloss export") for line in next_steps.commands(found))
    with Run.open(tmp_path / "one") as run:
        text = page(Told.of(run))
    assert "1: detector" in text
    assert "2: detector" in text
    assert "worst of the scores over the own loss" in text


def test_an_own_loss_that_scores_nothing_anywhere_ends_the_search(tmp_path: Path) -> None:
    nothing = {"type": "tests.autoloss.search.selection.test_objective:NothingEvaluator"}
    with pytest.raises(InputError, match=r"the detector's own loss scores 0.*, 0 with the evaluators") as caught:
        whole(tmp_path / "run", evaluators=[SEVERAL["evaluators"][0], nothing])
    assert "\n" not in str(caught.value)


class NothingEvaluator:
    """Scores nothing."""

    def prepare(self, slots: Any, tasks: Any) -> None:
        pass

    def describe(self) -> dict[str, Any]:
        return {}

    def evaluate(self, losses: Any, rung: Any, seed: int) -> dict[str, float]:
        return {"score": 0.0}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"evaluator": SEVERAL["evaluators"][0]}, "evaluator and evaluators: name one set-up, or several, not both"),
        ({"objective": None}, "several evaluators need an objective, 'mean', 'worst' or 'rank', and one needs none"),
        ({"objective": "best"}, "Input should be 'mean', 'worst' or 'rank', got 'best'"),
        ({"evaluators": []}, "several evaluators need an objective"),
        ({"evaluators": [{"type": "nothing"}]}, "evaluator needs a type: detector"),
    ],
)
def test_mistakes_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        from_mapping(section(**{**SEVERAL, "objective": "mean", **changes}))


def test_data_of_the_command_line_are_for_one_evaluator() -> None:
    with pytest.raises(InputError, match=r"search.evaluators names the data of each"):
        from_mapping(section(**SEVERAL, objective="mean")).on({"type": "coco"})

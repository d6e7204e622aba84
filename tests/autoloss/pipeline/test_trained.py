from __future__ import annotations

import io

import pytest
from scipy import stats

from autoloss.pipeline.trained import OWN, TUNED, WINNER, Trained, Training
from autoloss.report.terminal import Plain

SCORES = {WINNER: (0.5, 0.52, 0.51), TUNED: (0.48, 0.5, 0.5), OWN: (0.4, 0.43, 0.41)}


def made(**changes: tuple[float | None, ...]) -> Trained:
    scores = {**SCORES, **changes}
    trainings = [
        Training(who, seed, score, "" if score is not None else "the loss is NaN")
        for who, row in scores.items()
        for seed, score in enumerate(row, start=1001)
    ]
    return Trained("mAP", {WINNER: "1 - i/u", TUNED: "focal x 2", OWN: ""}, trainings)


def test_intervals_are_those_of_a_paired_t_test() -> None:
    figures, test = made().figures(), stats.ttest_rel(SCORES[WINNER], SCORES[OWN])
    interval = test.confidence_interval()
    assert figures["gain"] == pytest.approx(sum(SCORES[WINNER]) / 3 - sum(SCORES[OWN]) / 3)
    assert (figures["low"], figures["high"]) == pytest.approx((interval.low, interval.high))
    assert figures["p_better"] == pytest.approx(1 - test.pvalue / 2)
    assert figures["seeds"] == 3


def test_the_table_has_everyone_and_what_the_winner_has_over_them() -> None:
    file = io.StringIO()
    Plain(file=file, width=120).print(made().table())
    assert "0.510 ± 0.010" in file.getvalue()
    assert "+9.7" in file.getvalue()
    assert made().said().startswith("what the search recommends +9.7 (+8.2 to +11.1) over the own loss, +1.7 (")


def test_a_training_that_failed_is_told_and_compared_with_nothing() -> None:
    found = made(winner=(0.5, None, 0.5))
    assert found.figures()["gain"] is None
    assert found.said() == "nothing to compare: what the search recommends, seed 1002: the loss is NaN"

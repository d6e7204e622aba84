from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoloss.audit.rescoring import images, rescored

ONCE = np.ones((1, 3), np.uint16)


def matches(**changes: Any) -> dict[str, Any]:
    """Two classes and three images; the best detection of class 0 is a hit, the next a miss, the last a hit."""
    return {
        "metric": "precision",
        "truths": np.array([[1, 1, 0], [0, 0, 1]]),
        "classes": np.array([0, 0, 0, 1]),
        "images": np.array([0, 2, 1, 2]),
        "hits": np.array([[True], [False], [True], [True]]),
        "misses": np.array([[False], [True], [False], [False]]),
        **changes,
    }


def test_a_mean_is_weighted_by_how_often_an_image_is_chosen() -> None:
    found = {"metric": "mean", "scores": np.array([0.0, 0.5, 1.0])}
    times = np.array([[1, 1, 1], [3, 0, 0], [0, 1, 2]])
    assert rescored(found, times).tolist() == pytest.approx([0.5, 0, 2.5 / 3])
    assert images(found) == images(matches()) == 3


def test_average_precision_is_read_at_101_recalls() -> None:
    # Class 0: precision 1 up to recall 0.5, which 51 of them are, then 2/3; class 1: 1.
    assert rescored(matches(), ONCE)[0] == pytest.approx(((51 + 50 * 2 / 3) / 101 + 1) / 2)


def test_recall_is_the_share_of_objects_that_are_found() -> None:
    found = matches(metric="recall", hits=np.array([[True], [False], [False], [True]]))
    assert rescored(found, ONCE)[0] == pytest.approx((0.5 + 1) / 2)


def test_what_is_ignored_counts_as_neither() -> None:
    found = matches(misses=np.zeros((4, 1), bool))
    assert rescored(found, ONCE)[0] == pytest.approx(1)


def test_a_class_without_objects_in_a_choice_does_not_count_in_it() -> None:
    assert rescored(matches(), np.array([[3, 0, 0]]))[0] == pytest.approx(1)
    assert rescored(matches(), np.array([[0, 0, 3]]))[0] == pytest.approx(1)
    assert rescored(matches(truths=np.zeros((2, 3), int), hits=np.zeros((4, 1), bool)), ONCE)[0] == 0


@given(st.lists(st.integers(0, 4), min_size=3, max_size=3), st.integers(0, 2**32 - 1))
def test_a_choice_scores_as_a_data_set_that_holds_its_images_as_often(times: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    image = rng.integers(3, size=12)
    hits = rng.random((12, 2)) < 0.5
    whole = {
        "metric": "precision",
        "truths": np.bincount(image, minlength=3)[None],
        "classes": np.zeros(12, int),
        "images": image,
        "hits": hits,
        "misses": ~hits,
    }
    copies = [np.repeat(np.arange(3), times).tolist().index(one) for one in range(3) if times[one]]
    order = [(row, copy) for row in range(12) for copy in range(times[image[row]])]
    first = dict(zip([one for one in range(3) if times[one]], copies, strict=True))
    written = {
        "metric": "precision",
        "truths": np.repeat(whole["truths"][0], times)[None],
        "classes": np.zeros(len(order), int),
        "images": np.array([first[image[row]] + copy for row, copy in order], int),
        "hits": hits[[row for row, _ in order]],
        "misses": ~hits[[row for row, _ in order]],
    }
    once = np.ones((1, max(sum(times), 1)), int)
    if sum(times):
        assert rescored(whole, np.array([times]))[0] == pytest.approx(rescored(written, once)[0], abs=1e-12)

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autoloss.candidate import Candidate, Evaluation, Kind, Loss, Origin, State
from autoloss.store.contributions import pack, unpack
from autoloss.store.run import Run
from primitives.errors import InputError

MEAN = {"metric": "mean", "scores": [0.25, 0.5]}
MATCHES: dict[str, Any] = {
    "metric": "precision",
    "truths": np.array([[1, 0, 2], [0, 0, 0]]),
    "classes": np.array([0, 0, 1]),
    "images": np.array([2, 0, 1]),
    "hits": np.array([[True, False], [True, True], [False, False]]),
    "misses": np.array([[False, True], [False, False], [True, True]]),
}


@pytest.mark.parametrize("given", [MEAN, MATCHES, {**MATCHES, "metric": "recall"}], ids=["mean", "precision", "recall"])
def test_what_is_packed_is_unpacked(given: dict[str, Any]) -> None:
    found = unpack(pack(given))
    assert found.keys() == given.keys()
    assert all(np.array_equal(found[name], given[name]) for name in given)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metric": "F1"}, "metric is one of mean, precision, recall, got"),
        ({"scores": [1.0]}, "needed are truths, classes, images, hits, misses, got metric, truths"),
        ({"hits": np.zeros((2, 2), bool)}, "do not fit: truths"),
        ({"images": np.array([2, 0, 3])}, "do not fit"),
        ({"classes": np.array([1, 0, 0])}, "do not fit"),
        ({"images": np.array([2, 0, -1])}, "images holds whole numbers from 0, got an array of int64"),
        ({"hits": np.zeros((3, 2))}, "hits holds true or false, got an array of float64"),
        ({"truths": np.array([[None]])}, "truths holds whole numbers from 0, got an array of object"),
    ],
)
def test_what_is_no_contribution_is_one_line(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        pack({**MATCHES, **changes})
    with pytest.raises(InputError, match="metric is one of"):
        pack([0.5])
    with pytest.raises(InputError, match="do not fit: scores"):
        pack({"metric": "mean", "scores": [float("nan")]})


@pytest.mark.parametrize("text", ["", "not packed", pack(MEAN)[:-8], "\u2713"])
def test_damage_is_noticed(text: str) -> None:
    with pytest.raises(ValueError, match="no contributions of images"):
        unpack(text)


def test_a_run_keeps_them_with_the_end_of_their_evaluation(tmp_path: Path) -> None:
    loss = Loss.of({"expression": "i", "grammar": "box"})
    one = Candidate(0, Kind.FOUND, 0, {"loss_bbox": loss}, Origin.of("random: loss_bbox"))
    done = Evaluation(0, "audit", 7, State.DONE, 0.375, contributions=pack(MEAN))
    with Run.create(tmp_path / "run", {"seed": 1}) as run:
        run.born([one], [])
        run.started(0, "audit", 7)
        run.finished(done)
    with Run.open(tmp_path / "run") as run:
        assert run.contributions("audit")[0, 7]["scores"].tolist() == [0.25, 0.5]
        assert run.contributions("full") == {}
        assert run.evaluations() == [done]
        assert run.evaluations()[0].contributions == ""
        assert "contributions" not in done.facts()

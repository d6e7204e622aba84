"""The index keeps figures that can be compared, and no others."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from autoloss.pipeline.index import FILE, Index
from primitives.errors import InputError

KINDS = {"search": "search", "train": "train"}


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_a_figure_that_is_not_finite_is_refused_and_the_file_stays_as_it_was(wrong: float, tmp_path: Path) -> None:
    index = Index(tmp_path, "toy", KINDS)
    index.put("search", state="done", figures={"gain": 0.1, "best": None})
    before = (tmp_path / FILE).read_text()
    with pytest.raises(InputError, match=f"its figure low {wrong} is no finite number"):
        index.put("train", state="done", figures={"gain": 0.1, "low": wrong})
    assert (tmp_path / FILE).read_text() == before
    assert index.steps["train"].state == "waiting"


def test_a_step_that_was_kept_as_done_with_such_a_figure_has_failed(tmp_path: Path) -> None:
    Index(tmp_path, "toy", KINDS).put("train", state="done", figures={"gain": 0.25}, told="+nan")
    kept = (tmp_path / FILE).read_text()
    (tmp_path / FILE).write_text(kept.replace("0.25", "NaN"))
    index = Index(tmp_path, "toy", KINDS)
    assert index.is_current()
    assert (index.steps["train"].state, index.steps["train"].why) == ("failed", "it told gain nan")
    index.keep()
    json.loads((tmp_path / FILE).read_text(), parse_constant=pytest.fail)

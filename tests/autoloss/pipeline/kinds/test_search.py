"""What a search begins with, and that one which could not begin after another is refused before that."""

from __future__ import annotations

from pathlib import Path

import pytest

from autoloss.store.run import Run
from primitives.errors import InputError
from tests.helpers.pipelines import flow, index, written

SEARCH = {"config": "search.py"}


def test_searches_begin_with_what_headroom_and_the_searches_before_them_hand_on(tmp_path: Path) -> None:
    measured = {**SEARCH, "seeds": 2}
    steps = ["headroom", "search_bbox", "search_cls"]
    assert flow(written(tmp_path, steps=steps, headroom=measured), tmp_path / "out").run()
    found = index(tmp_path / "out")["steps"]
    assert found["headroom"]["figures"]["gain"] > found["headroom"]["figures"]["noise"]
    hands = found["headroom"]["gave"]["hands"]
    assert found["search_bbox"]["took"]["losses"] == hands
    assert hands["loss_cls"]["times"] == 2.0  # here the own loss with twice its weight
    assert found["search_cls"]["took"]["losses"] == {**hands, **found["search_bbox"]["gave"]["hands"]}
    with Run.open(tmp_path / "out/search_bbox") as run:
        bred = [one for one in run.candidates() if one.breeds]
    assert {one.losses["loss_cls"].expression.text for one in bred} == {hands["loss_cls"]["formula"]}


def test_of_another_set_up_a_search_takes_no_measurement(tmp_path: Path) -> None:
    other = {**SEARCH, "seeds": 2, "cfg_options": {"search.evaluator.noise": 0.01}}
    assert flow(written(tmp_path, steps=["headroom", "search_bbox"], headroom=other), tmp_path / "out").run()
    found = index(tmp_path / "out")["steps"]
    assert found["headroom"]["gave"]["hands"]
    assert found["search_bbox"]["took"]["losses"] == {}


@pytest.mark.parametrize(("fail", "before"), [("prepare", ["search_bbox"]), ("", ["search_bbox"]), ("prepare", [])])
def test_a_set_up_that_begins_after_another_is_tried_at_the_start(fail: str, before: list[str], tmp_path: Path) -> None:
    other = {**SEARCH, "cfg_options": {"search.evaluator.fail": fail}}
    pipeline = flow(written(tmp_path, steps=[*before, "search_more"], search_more=other), tmp_path / "out")
    if fail and before:
        with pytest.raises(InputError, match="^search_more: data: missing$"):
            pipeline.check()
    else:
        assert pipeline.check()


def test_formulas_to_begin_with_that_are_none_are_refused_at_the_start(tmp_path: Path) -> None:
    for init, why in (([{"loss_bbox": "1 - foo"}], "unknown name 'foo'"), ([{"loss_bbox": "mpdiou"}], "of grammar")):
        given = {**SEARCH, "cfg_options": {"search.init": init}}
        file = written(tmp_path, steps=["headroom", "search_bbox"], headroom=SEARCH, search_bbox=given)
        with pytest.raises(InputError, match=f"^search_bbox: search.init.0.loss_bbox: .*{why}"):
            flow(file, tmp_path / "out").check()

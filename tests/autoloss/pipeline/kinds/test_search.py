"""A search that could not begin after another one is refused before that."""

from __future__ import annotations

from pathlib import Path

import pytest

from primitives.errors import InputError
from tests.helpers.pipelines import flow, written

SEARCH = {"config": "search.py"}


@pytest.mark.parametrize(("fail", "before"), [("prepare", ["search_bbox"]), ("", ["search_bbox"]), ("prepare", [])])
def test_a_set_up_that_begins_after_another_is_tried_at_the_start(fail: str, before: list[str], tmp_path: Path) -> None:
    other = {**SEARCH, "cfg_options": {"search.evaluator.fail": fail}}
    pipeline = flow(written(tmp_path, steps=[*before, "search_more"], search_more=other), tmp_path / "out")
    if fail and before:
        with pytest.raises(InputError, match="^search_more: data: missing$"):
            pipeline.check()
    else:
        assert pipeline.check()

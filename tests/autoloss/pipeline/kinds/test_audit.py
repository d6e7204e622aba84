"""An audit that could not be held is refused before the search that it is of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from primitives.errors import InputError
from tests.helpers.pipelines import flow, written
from tests.helpers.small import section


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("other", {"slots": {"loss_cls": {"grammar": "softmax", "like": "cross_entropy"}}}, "its slots are loss_cls"),
        ("other", {"slots": {"loss_bbox": {"grammar": "box", "like": "giou"}}}, "its slots are loss_bbox"),
        ("several", {}, "it names several evaluators; give a config of each"),
        ("other", {"fail": "prepare"}, "data: missing"),
        ("other", {"fail": "no test"}, "the data has no test split"),
        ("search_bbox", {}, "'search_bbox' is a set-up of the search; give the config another name"),
    ],
)
def test_where_it_could_not_be_held_elsewhere_that_shows_at_the_start(
    name: str, changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    evaluator = {"type": "tests.helpers.fast_evaluator:ImagesEvaluator", "fail": changes.get("fail", "")}
    other = section(evaluator=evaluator, **({"slots": changes["slots"]} if "slots" in changes else {}))
    other |= {"known": [], "controls": [], "finale": None} if "slots" in changes else {}
    if name == "several":
        other |= {"evaluator": {}, "evaluators": [evaluator, evaluator], "objective": "mean"}
    (tmp_path / f"{name}.py").write_text(f"search = {other!r}\n")
    file = written(tmp_path, steps=["search_bbox", "audit"], audit={"on": [f"{name}.py"]})
    with pytest.raises(InputError, match="^audit: ") as caught:
        flow(file, tmp_path / "out").check()
    assert message in str(caught.value)


def test_a_random_search_of_another_set_up_is_refused_at_the_start(tmp_path: Path) -> None:
    more = {"config": "search.py", "cfg_options": {"search.finale": None}}
    steps = ["search_bbox", "search_random", "audit"]
    audit = {"of": "search_bbox", "random": "search_random"}
    file = written(tmp_path, steps=steps, search_random=more, audit=audit)
    with pytest.raises(InputError, match="^audit: random: search_random has another search.finale, so its losses"):
        flow(file, tmp_path / "out").check()


def test_where_it_can_be_held_elsewhere_it_may_begin(tmp_path: Path) -> None:
    other = section(evaluator={"type": "tests.helpers.fast_evaluator:ImagesEvaluator"})
    (tmp_path / "other.py").write_text(f"search = {other!r}\n")
    file = written(tmp_path, steps=["search_bbox", "audit"], audit={"on": ["other.py"]})
    assert flow(file, tmp_path / "out").check()

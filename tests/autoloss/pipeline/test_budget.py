"""What steps cost, and how a time is shared out among them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoloss.pipeline.budget import check, check_known, fitting, share
from primitives.errors import InputError
from tests.helpers.command import autoloss
from tests.helpers.pipelines import flow, index, written

COSTS = {"headroom": {2: 20.0, 3: 30.0}, "search": {1: 10.0, 2: 20.0, 3: 60.0}, "report": {1: 10.0}}
costs = st.dictionaries(
    st.sampled_from("abcdef"), st.dictionaries(st.integers(1, 9), st.floats(0.1, 1e4), min_size=1), min_size=1
)


def test_shares_are_in_proportion_to_what_steps_would_like() -> None:
    assert share(100.0, 0.0, "headroom", COSTS) == 30.0
    assert share(50.0, 0.0, "search", COSTS) == 20.0  # the others need 30
    assert share(100.0, 90.0, "report", {"report": COSTS["report"]}) == 10.0


def test_what_a_step_leaves_goes_to_those_after_it() -> None:
    rest = {name: COSTS[name] for name in ("search", "report")}
    assert share(100.0, 20.0, "search", rest) > share(100.0, 30.0, "search", rest)


@given(costs, st.floats(1, 1e6))
def test_steps_that_keep_to_their_shares_keep_to_the_whole(costs: dict[str, dict[int, float]], more: float) -> None:
    least = sum(min(one.values()) for one in costs.values())
    whole, spent, left = least * (1 + more), 0.0, dict(costs)
    while left:
        name = next(iter(left))
        mine = share(whole, spent, name, left)
        assert mine >= min(costs[name].values()) * (1 - 1e-9)
        spent += mine
        left.pop(name)
    assert spent <= whole * (1 + 1e-9)


def test_a_step_has_the_most_that_fits_and_the_least_at_least() -> None:
    assert [fitting(COSTS["search"], seconds) for seconds in (5, 19, 20, 1e9)] == [1, 1, 2, 3]


def test_a_budget_below_the_cheapest_plan_is_refused() -> None:
    check(40.0, COSTS, 0.0)
    with pytest.raises(InputError, match="--time 1 min: the cheapest plan takes about 1 min here"):
        check(39.0, COSTS, 0.0)
    with pytest.raises(InputError, match="1 min were spent before"):
        check(60.0, COSTS, 30.0)
    with pytest.raises(InputError, match="what train takes is not known before it is done"):
        check_known({**COSTS, "train": {}})


STEPS = ["headroom", "search", "train", "export"]
SECTIONS = {"headroom": {"ref": "search", "seeds": 3}, "search": {"config": "search.py"}}


def measured(folder: Path) -> Path:
    return written(folder, "MeasuredEvaluator", STEPS, **SECTIONS)


def test_a_dry_run_says_what_every_step_and_the_whole_take_and_keeps_nothing(tmp_path: Path) -> None:
    file = measured(tmp_path)
    done = autoloss("run", file, tmp_path / "out", "--dry-run", "--seconds", "0.1", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["steps"] == STEPS
    assert {name: list(one) for name, one in found["seconds"].items()} == {
        "headroom": ["2", "3"],
        "search": ["1", "2"],
        "train": ["2"],
        "export": ["1"],
    }
    assert not (tmp_path / "out").exists()
    table = autoloss("run", file, tmp_path / "out", "--dry-run", "--seconds", "0.1", "--time", "1h").stdout
    assert "takes about" in table
    assert "A budget of 60.0 min, shared out" in table


def test_where_nothing_can_be_measured_a_dry_run_says_so_and_a_budget_is_refused(tmp_path: Path) -> None:
    file = written(tmp_path, "DescentEvaluator", STEPS, **SECTIONS)
    done = autoloss("run", file, tmp_path / "out", "--dry-run")
    assert "20 s + ?" in done.stdout
    done = autoloss("run", file, tmp_path / "out", "--time", "1h")
    assert (done.returncode, done.stderr.splitlines()[-1][:34]) == (2, "autoloss: --time: what headroom ta")


def test_a_time_too_short_is_one_line_before_anything_runs(tmp_path: Path) -> None:
    done = autoloss("run", measured(tmp_path), tmp_path / "out", "--time", "2s", "--seconds", "0.1")
    assert done.returncode == 2
    assert "--time 1 min: the cheapest plan takes about" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "out").exists()


def test_steps_get_what_their_shares_have_room_for_and_keep_it_when_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {"headroom": {2: 20.0, 3: 3000.0}, "search": {1: 20.0, 2: 20_000.0}, "train": {2: 20.0}, "export": {1: 1.0}}
    monkeypatch.setattr("autoloss.pipeline.budget.projected", lambda *_: known)
    file = measured(tmp_path)
    assert flow(file, tmp_path / "out", time=3600.0, only="headroom").run()
    monkeypatch.setattr("autoloss.pipeline.budget.projected", None)
    assert flow(file, tmp_path / "out").run()  # the budget, and what steps take, stand in the index
    found = index(tmp_path / "out")
    assert found["budget"] == 3600.0
    assert [entry["amount"] for entry in found["steps"].values()] == [2, 1, None, None]
    assert found["steps"]["headroom"]["figures"]["seeds"] == 2

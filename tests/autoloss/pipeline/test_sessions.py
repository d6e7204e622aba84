"""Sessions of a pipeline: what one leaves, and what the next makes of it where the config or the time changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from autoloss.pipeline import budget
from autoloss.pipeline.index import FILE
from autoloss.pipeline.kinds import search as search_kind
from primitives.errors import InputError
from tests.helpers.command import autoloss
from tests.helpers.pipelines import flow, index, written
from tests.helpers.searches import facts

TWO = ["search_bbox", "export"]
SEARCH = {"config": "search.py", "slots": ["loss_bbox"]}
MEASURED = ["headroom", "search", "export"]
KNOWN = {"headroom": {2: 20.0, 3: 30.0}, "search": {1: 20.0, 2: 40.0}, "export": {1: 1.0}}


def entries(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / FILE).read_text())["steps"]
    return found


def change(folder: Path, **steps: dict[str, Any]) -> None:
    """As if a session had left steps so."""
    document = json.loads((folder / FILE).read_text())
    for name, changes in steps.items():
        document["steps"][name].update(changes)
    (folder / FILE).write_text(json.dumps(document))


def measured(folder: Path, evaluator: str = "MeasuredEvaluator", **sections: Any) -> Path:
    given = {"headroom": {"ref": "search", "seeds": 3}, "search": {"config": "search.py"}, **sections}
    return written(folder, evaluator, MEASURED, **given)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The steps whose costs were measured."""
    found: list[str] = []

    def projected(_: Any, steps: Any, *__: Any) -> dict[str, dict[int, float]]:
        found.extend(step.name for step in steps)
        return {step.name: KNOWN[step.name] for step in steps}

    monkeypatch.setattr(budget, "projected", projected)
    return found


def test_a_search_that_failed_goes_on_with_another_config_and_what_was_there_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, out = written(tmp_path, steps=TWO), tmp_path / "out"
    with monkeypatch.context() as broken:
        broken.setattr(search_kind, "_outcome", failing)
        with pytest.raises(InputError, match="the disk is full"):
            flow(file, out).run()
    before = facts(out / "search_bbox")
    written(tmp_path, steps=TWO, search_bbox={**SEARCH, "cfg_options": {"search.seed": 8}})
    assert flow(file, out).run()
    assert entries(out)["search_bbox"]["inputs"]["search"]["seed"] == 8
    assert facts(out / "search_bbox.1") == before


def failing(*_: Any) -> Any:
    raise InputError("the disk is full")


def test_a_condition_that_no_longer_holds_leaves_what_is_begun_as_it_is(tmp_path: Path) -> None:
    file, out = written(tmp_path, steps=["search_bbox", "search_cls", "export"]), tmp_path / "out"
    assert flow(file, out).run()
    change(out, search_cls={"state": "running"})
    gated = {"ref": "search_bbox", "slots": ["loss_cls"], "proceed_if": "search_bbox.gain > 2"}
    written(tmp_path, steps=["search_bbox", "search_cls", "export"], search_cls=gated)
    assert not flow(file, out).run()
    assert [entry["state"] for entry in entries(out).values()] == ["done", "running", "done"]


def test_a_step_that_left_the_config_is_known_when_it_comes_back(tmp_path: Path) -> None:
    file, out = written(tmp_path, steps=TWO), tmp_path / "out"
    assert flow(file, out).run()
    before = entries(out)["export"]
    written(tmp_path, steps=["search_bbox"])
    assert flow(file, out).run()
    assert entries(out)["export"] == before
    written(tmp_path, steps=TWO, export={"to": ["torch"]})
    with pytest.raises(InputError, match="export has changed since it was begun"):
        flow(file, out).run()


def test_a_step_that_does_something_else_is_called_something_else(tmp_path: Path) -> None:
    file, out = written(tmp_path, steps=TWO), tmp_path / "out"
    assert flow(file, out).run()
    written(tmp_path, steps=["search_bbox", "export"], export={"command": "report"})
    with pytest.raises(InputError, match="step 'export' is report here, and was export in .*; rename it"):
        flow(file, out)


def test_from_looks_at_all_that_the_steps_from_there_need(tmp_path: Path) -> None:
    sections: dict[str, Any] = {"headroom": {"ref": "search"}, "search": {"config": "search.py"}, "audit": {"seeds": 5}}
    file = written(tmp_path, steps=["search", "headroom", "audit"], **sections)
    with pytest.raises(InputError, match="--from headroom: audit needs search, which is not done"):
        flow(file, tmp_path / "out", first="headroom").run()
    file = written(tmp_path, steps=["headroom", "search"], headroom={"ref": "search"}, search=sections["search"])
    with pytest.raises(InputError, match="--from search: it needs headroom, which is not done"):
        flow(file, tmp_path / "out", first="search").run()  # it begins with what headroom finds best
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("asked")
def test_a_budget_that_was_enough_is_not_asked_for_more_in_the_next_session(tmp_path: Path) -> None:
    file, out = measured(tmp_path), tmp_path / "out"
    assert flow(file, out, time=60.0, only="headroom").run()
    change(out, headroom={"seconds": 55.0})  # longer than it was to take
    assert flow(file, out, time=60.0).run()
    change(out, search={"seconds": 1000.0})
    assert flow(file, out, time=60.0).run()  # there is nothing left to do
    assert flow(file, out, time=50.0).run()


@pytest.mark.usefixtures("asked")
def test_another_time_is_compared_with_what_is_left_of_a_step_that_is_begun(tmp_path: Path) -> None:
    file, out = measured(tmp_path), tmp_path / "out"
    assert flow(file, out, time=60.0, only="headroom").run()
    change(out, headroom={"state": "running", "seconds": 15.0})
    with pytest.raises(InputError, match="--time 1 min: the cheapest plan takes about 1 min here"):
        flow(file, out, time=40.0).run()
    flow(file, out, time=41.0).shares(flow(file, out).check())  # 20 of which 15 are gone, 20 and 1
    change(out, headroom={"state": "running", "seconds": 25.0})
    with pytest.raises(InputError, match="the cheapest plan takes"):
        flow(file, out, time=41.0).run()


@pytest.mark.usefixtures("asked")
def test_a_budget_is_lifted_by_none(tmp_path: Path) -> None:
    file, out = measured(tmp_path), tmp_path / "out"
    assert flow(file, out, time=60.0, only="headroom").run()
    assert index(out)["budget"] == 60.0
    done = autoloss("run", file, out, "--time", "none")
    assert done.returncode == 0, done.stderr
    assert index(out)["budget"] is None


def test_what_is_done_anew_under_a_budget_is_shared_out_again_and_what_it_took_counts(
    tmp_path: Path, asked: list[str]
) -> None:
    file, out = measured(tmp_path), tmp_path / "out"
    assert flow(file, out, time=90.0).run()
    change(out, headroom={"seconds": 30.0})
    (out / "headroom").rename(tmp_path / "elsewhere")
    assert flow(file, out, time=90.0).run()
    assert asked == MEASURED  # nothing twice
    assert entries(out)["headroom"]["before"] == 30.0
    assert entries(out)["headroom"]["seconds"] < 30.0
    asked.clear()
    measured(tmp_path, search={"config": "search.py", "cfg_options": {"search.seed": 8}})
    assert flow(file, out, time=90.0, anew=True).run()
    assert asked[0] == "headroom"


def test_costs_are_measured_anew_where_the_step_or_its_workers_changed(tmp_path: Path, asked: list[str]) -> None:
    file, out = measured(tmp_path), tmp_path / "out"
    assert flow(file, out, time=90.0, only="headroom").run()
    assert asked == MEASURED
    asked.clear()
    measured(tmp_path, search={"config": "search.py", "workers": 2})
    flow(file, out).projected(flow(file, out).pipeline.steps)
    assert asked == ["headroom", "search"]  # a ref takes workers over, too


@pytest.mark.usefixtures("asked")
def test_a_step_that_is_to_be_done_anew_may_have_less_than_it_was_given(tmp_path: Path) -> None:
    file, out = measured(tmp_path), tmp_path / "out"
    assert flow(file, out, time=90.0, only="headroom").run()
    change(out, headroom={"state": "running", "amount": 5})
    measured(tmp_path, headroom={"ref": "search", "seeds": 2})
    again = flow(file, out, anew=True)
    assert again.shares(again.check()) is not None


def test_a_step_that_can_no_longer_be_measured_ends_a_budget_in_one_line(tmp_path: Path) -> None:
    file, out = measured(tmp_path), tmp_path / "out"
    assert autoloss("run", file, out, "--time", "1h", "--seconds", "0.1", "--only", "headroom").returncode == 0
    measured(tmp_path, "DescentEvaluator")
    done = autoloss("run", file, out, "--anew")
    assert done.returncode == 2
    assert "what search takes is not known before it is done" in done.stderr.splitlines()[-1]


def test_a_search_whose_share_was_too_short_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    short = {name: dict.fromkeys(costs, 1e-6) for name, costs in KNOWN.items()}
    monkeypatch.setattr(budget, "projected", lambda _, steps, *__: {step.name: short[step.name] for step in steps})
    file, out = measured(tmp_path), tmp_path / "out"
    written(tmp_path, "MeasuredEvaluator", ["search"], search={"config": "search.py"})
    with pytest.raises(InputError, match=r"before its budget ended .*; give the pipeline more --time, and it goes on"):
        flow(file, out, time=1e-5).run()
    assert flow(file, out, time=60.0).run()


@pytest.mark.usefixtures("asked")
def test_a_dry_run_shares_the_budget_of_the_index_among_all_that_follow(tmp_path: Path) -> None:
    file, out = measured(tmp_path), tmp_path / "out"
    assert flow(file, out, time=90.0, only="headroom").run()
    done = autoloss("run", file, out, "--dry-run", "--only", "search")
    shared = done.stdout[done.stdout.index("A budget of 90 s, shared out") :]
    assert "search" in shared
    assert "export" in shared
    assert "headroom" not in shared

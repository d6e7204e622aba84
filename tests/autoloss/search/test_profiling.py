"""What is measured of a search, and the command that projects it, beside the search itself."""

from __future__ import annotations

import io
import json
import logging
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from autoloss.config import from_mapping
from autoloss.report import cost_tables
from autoloss.search.loop import discover
from autoloss.search.profiling import measure_costs
from autoloss.search.progress import MEASURING, Progress
from autoloss.settings import Settings
from autoloss.store.run import Run
from primitives.errors import InputError
from tests.helpers.command import autoloss
from tests.helpers.small import section

EVALUATOR = {"type": "tests.helpers.fast_evaluator:MeasuredEvaluator"}
LADDER = [
    {"name": "descend", "task": {"kind": "descend"}, "seeds": [9], "ranks": False},
    {"name": "verify", "task": {"steps": 2, "shares": True}, "keep": {"count": 2}, "batch": 3},
    {"name": "proxy", "task": {"steps": 8}, "seeds": [1, 5]},
]


def settings(**changes: Any) -> Settings:
    return from_mapping(
        section(**{"evaluator": EVALUATOR, "ladder": LADDER, "controls": [{"loss_bbox": 2.0}], **changes})
    )


def failing(how: str) -> Settings:
    return settings(evaluator={**EVALUATOR, "fail": how})


def test_the_trainings_projected_are_those_that_the_search_does(tmp_path: Path) -> None:
    config = tmp_path / "config.py"
    config.write_text(f"search = {section(evaluator=EVALUATOR, ladder=LADDER, controls=[{'loss_bbox': 2.0}])!r}")
    done = autoloss("estimate", config, "--seconds", "0.2", "--json")
    assert done.returncode == 0, done.stderr
    assert [line.split(" ", 1)[1] for line in done.stderr.splitlines()][:3] == [
        "1 of 11: data",
        "2 of 11: proposals and gates",
        "3 of 11: workers",
    ]
    found = json.loads(done.stdout)
    assert autoloss("search", config, tmp_path / "run").returncode == 0
    with Run.open(tmp_path / "run") as run:
        really = Counter(evaluation.rung for evaluation in run.evaluations())
        births = len(run.candidates())
    stages = {stage["name"]: stage for stage in found["stages"]}
    assert {name: stages[name]["evaluations"] for name in ("descend", "verify", "proxy", "full")} == really
    assert births == stages["descend"]["candidates"]
    assert found["seconds"]["at most"] == found["seconds"]["at least"]  # no rung has of_own
    assert all(wall > 0 for wall in found["seconds"]["at most"].values())
    assert sum(stage["share"] for stage in stages.values()) == pytest.approx(1)
    assert found["device hours"]["at most"] > 0
    assert found["bytes"] > 2 * 5e6 / 2
    assert found["measured"]["costs"]["verify"]["shared"]["iteration"] == 0.02
    assert found["measured"]["costs"]["proxy"]["memory"] > 1e6
    assert found["halving"]["share"] < 1


def test_the_table_has_a_row_a_rung_and_says_what_would_halve_it() -> None:
    rules = settings(ladder=[{**LADDER[1], "keep": {"of_own": 0.5}}, LADDER[2]])
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(cost_tables.table(cost_tables.summary(rules, measure_costs(rules, 0.1))))
    out = console.export_text()
    for text in ("verify", "proxy", "full", "at most", "at least", "1 core", "32 cores", "(here)", "halve"):
        assert text in out, text


@pytest.mark.parametrize(("seconds", "text"), [(3.21, "3.2 s"), (75, "75 s"), (6000, "100.0 min"), (1e6, "11.6 d")])
def test_times_have_the_unit_that_suits_them(seconds: float, text: str) -> None:
    assert cost_tables.clock(seconds) == text


def test_an_evaluator_without_the_method_is_told_how_to_get_it() -> None:
    with pytest.raises(
        InputError, match="DescentEvaluator cannot be measured; give it the methods 'measure' and 'meas"
    ):
        measure_costs(from_mapping(section()), 0.1)


def test_what_a_measurement_does_not_give_is_named_and_a_search_does_without_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the evaluator's `measure` does not give iteration, evaluate, iterations"):
        measure_costs(failing("little"), 0.1)
    rules = failing("little")
    with Run.create(tmp_path / "run", rules.identity()) as run:
        discover(rules, run, foretell=True)


def test_no_memory_names_the_rung_and_what_to_lower() -> None:
    with pytest.raises(InputError, match=r"^rung 'verify': out of memory .*lower the rung's batch \(3 candidates"):
        measure_costs(failing("shared memory"), 0.1)
    with pytest.raises(InputError, match=r"^rung 'verify': .*CUDA out of memory\. Tried to allocate.*lower the rung's"):
        measure_costs(failing("memory"), 0.1)


def test_a_worker_that_outgrows_its_memory_while_it_is_measured_is_that_too() -> None:
    with pytest.raises(
        InputError, match=r"^rung 'verify': out of memory \(it took .* GB of memory, its limit is 0\.1 GB"
    ):
        measure_costs(
            settings(ladder=LADDER[1:], isolate=True, limits={"memory": 0.1}, evaluator={**EVALUATOR, "pause": 0.3}),
            0.1,
        )


def test_a_failing_own_loss_is_a_wrong_set_up() -> None:
    with pytest.raises(
        InputError, match=r"the detector's own loss failed at rung 'proxy', so the set-up is wrong: no im"
    ):
        measure_costs(settings(ladder=[LADDER[2]], evaluator={**EVALUATOR, "fail": "own"}), 0.1)


def test_the_own_loss_takes_the_place_of_a_candidate_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        found = measure_costs(settings(ladder=LADDER[1:], evaluator={**EVALUATOR, "fail": "known"}), 0.1)
    assert "it is a known one" in caplog.text
    assert "measuring rung 'verify' with candidates 0, 1, 2 failed" in caplog.text
    assert found.costs["verify"].group.seconds(2) > 0


def test_a_search_whose_own_loss_has_no_memory_names_the_rung_and_what_to_lower(tmp_path: Path) -> None:
    rules = failing("memory")
    message = (
        r"^rung 'verify' with the detector's own loss: out of memory \(CUDA out of memory\. Tried to allocate 20\.00"
        r" GiB.*\); lower the rung's batch \(3 candidates side by side\), search\.workers, the evaluator's batch_size"
    )
    with Run.create(tmp_path / "run", rules.identity()) as run, pytest.raises(InputError, match=message):
        discover(rules, run)


def test_a_search_says_at_its_start_how_long_it_will_take_and_finds_the_same(tmp_path: Path) -> None:
    found: dict[bool, list[Progress]] = {True: [], False: []}
    scores = {}
    for foretell, told in found.items():
        with Run.create(tmp_path / str(foretell), settings().identity()) as run:
            discover(settings(), run, told.append, foretell=foretell)
            scores[foretell] = {(e.candidate, e.rung, e.seed): e.score for e in run.evaluations()}
    assert scores[True] == scores[False]
    stages = [one.stage for one in found[True]]
    assert stages[0] == MEASURING
    said = next(one.forecast for one in found[True] if one.forecast)
    assert 0 < said.least < said.most
    assert set(said.evaluations) == {"descend", "verify", "proxy", "full"}
    first = next(one for one in found[True] if one.stage == "gates")
    assert first.left is not None
    assert first.left > 0
    assert all(one.forecast is None and one.stage != MEASURING for one in found[False])


def test_what_goes_on_or_has_a_budget_or_cannot_be_measured_is_not_measured(tmp_path: Path) -> None:
    config, told = tmp_path / "config.py", "the search will take about"
    config.write_text(f"search = {section(evaluator=EVALUATOR, ladder=LADDER)!r}")
    ended = autoloss("search", config, tmp_path / "run", "--evaluations", 4)
    assert told not in ended.stderr
    assert told not in autoloss("search", config, tmp_path / "run").stderr
    assert told in autoloss("search", config, tmp_path / "other").stderr
    config.write_text(f"search = {section()!r}")
    assert told not in autoloss("search", config, tmp_path / "third").stderr

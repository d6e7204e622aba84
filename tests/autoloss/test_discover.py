from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from small import section

from autoloss.candidate import Kind, State
from autoloss.discover import Progress, discover, mean_scores
from autoloss.ladder import mean_ranked
from autoloss.run import FILE, Run
from autoloss.settings import from_mapping
from primitives.errors import InputError


def facts(directory: Path) -> tuple[Any, ...]:
    """Everything a run holds but times."""
    with Run.open(directory) as run:
        return (
            run.candidates(),
            run.refusals(),
            [(e.candidate, e.rung, e.seed, e.state, e.score, e.error) for e in run.evaluations()],
        )


def searched(directory: Path, **changes: Any) -> tuple[Any, ...]:
    settings = from_mapping(section(**changes))
    with Run.create(directory, settings.identity()) as run:
        discover(settings, run)
    return facts(directory)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, ...]:
    return searched(tmp_path_factory.mktemp("whole") / "run")


def test_every_candidate_climbs_the_ladder_with_the_rungs_seeds(uninterrupted: tuple[Any, ...]) -> None:
    candidates, _, evaluations = uninterrupted
    assert len(candidates) == 3 + 3 * 4
    assert {(rung, seed) for _, rung, seed, *_ in evaluations} == {
        ("verify", 0),
        ("proxy", 1),
        ("full", 2),
        ("full", 3),
    }
    assert {number for number, rung, *_ in evaluations if rung == "verify"} == set(range(15))
    finalists = {number for number, rung, *_ in evaluations if rung == "full"}
    assert {0, 2} < finalists
    assert len(finalists) == 4


def test_a_search_that_is_done_does_nothing_again(tmp_path: Path) -> None:
    first = searched(tmp_path / "run")
    written = (tmp_path / "run" / FILE).read_bytes()
    assert searched(tmp_path / "run") == first
    assert len(written) > 0


def test_two_processes_give_what_one_gives(tmp_path: Path, uninterrupted: tuple[Any, ...]) -> None:
    assert searched(tmp_path / "run", workers=2) == uninterrupted


@pytest.mark.parametrize("seed", range(3))
def test_a_search_killed_at_random_moments_and_resumed_equals_the_uninterrupted(
    tmp_path: Path, uninterrupted: tuple[Any, ...], seed: int
) -> None:
    config = tmp_path / "config.py"
    slow = {"type": "fast_evaluator:DescentEvaluator", "pause": 0.1}
    config.write_text(f"search = {section(evaluator=slow)!r}")
    command = [sys.executable, "-m", "autoloss", "search", str(config), str(tmp_path / "run")]
    rng, kills = random.Random(seed), 0
    while kills < 3:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        time.sleep(rng.uniform(2.0, 4.5))
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.communicate()
        if process.returncode == 0:
            break
    last = subprocess.run(command, capture_output=True, text=True, check=False)
    assert last.returncode == 0, last.stderr
    assert kills > 0
    assert facts(tmp_path / "run") == uninterrupted


def test_a_failing_own_loss_ends_the_search_and_is_tried_again(tmp_path: Path) -> None:
    evaluator = {"type": "fast_evaluator:DescentEvaluator", "fail": "own"}
    with pytest.raises(InputError, match=r"own loss failed at rung 'verify'.*RuntimeError: no images"):
        searched(tmp_path / "run", evaluator=evaluator)
    assert all(state is State.RUNNING for number, _, _, state, *_ in facts(tmp_path / "run")[2] if number == 0)
    with pytest.raises(InputError, match="own loss failed"):
        searched(tmp_path / "run", evaluator=evaluator)


def test_a_failing_candidate_is_one_failed_evaluation(tmp_path: Path) -> None:
    # Without steps to take nothing fails; a formula that another grammar names does.
    evaluator = {"type": "fast_evaluator:DescentEvaluator", "fail": "known"}
    result = searched(tmp_path / "run", evaluator=evaluator)
    failed = [row for row in result[2] if row[3] is State.FAILED]
    assert {number for number, *_ in failed} == {1, 2}
    assert all("FloatingPointError: it is a known one" in row[5] for row in failed)
    assert not any(rung == "proxy" for number, rung, *_ in result[2] if number in (1, 2))


def test_an_evaluator_that_cannot_be_had_is_named(tmp_path: Path) -> None:
    for spec, message in (
        ({"type": "no_such_module:Evaluator"}, "cannot import no_such_module:Evaluator"),
        ({"type": "fast_evaluator:Nothing"}, "cannot import fast_evaluator:Nothing"),
        ({"type": "fast_evaluator:DescentEvaluator", "speed": 3}, "does not take these arguments"),
        ({"type": "fast_evaluator:DescentEvaluator", "fail": "prepare"}, "data: missing"),
    ):
        with pytest.raises(InputError, match=message):
            searched(tmp_path / str(len(message)), evaluator=spec)


def test_progress_tells_stage_counts_and_time_left(tmp_path: Path) -> None:
    settings = from_mapping(section())
    seen: list[Progress] = []
    with Run.create(tmp_path / "run", settings.identity()) as run:
        discover(settings, run, seen.append)
    assert {progress.stage for progress in seen} == {"gates", "verify", "proxy", "full"}
    assert seen[-1].done == seen[-1].total == 8
    assert seen[-1].born == 15
    assert seen[-1].own is not None
    assert seen[-1].best is not None
    assert seen[-1].left == 0
    left = [progress.left for progress in seen if progress.left is not None]
    assert left[0] > left[-1]


GROUPS: dict[str, Any] = {
    "evaluator": {"type": "fast_evaluator:GroupEvaluator"},
    "ladder": [
        {"name": "verify", "task": {"steps": 2}, "keep": {"of_own": 0.5}, "batch": 3},
        {"name": "proxy", "task": {"steps": 8}, "seeds": [1, 4], "batch": 2},
    ],
}


def test_who_stands_beside_whom_does_not_depend_on_workers_or_on_what_is_done(tmp_path: Path) -> None:
    whole = searched(tmp_path / "whole", **GROUPS)
    assert searched(tmp_path / "two", **GROUPS, workers=2) == whole
    settings = from_mapping(section(**GROUPS))
    with Run.create(tmp_path / "half", settings.identity()) as run:
        discover(settings, run)
        lost = [e for e in run.evaluations("verify") if e.candidate in (1, 4, 5)]
        assert len(lost) == 3
        with run._sql:
            run._sql.execute("DELETE FROM evaluation WHERE rung = 'verify' AND candidate IN (1, 4, 5)")
        discover(settings, run)
        again = [e for e in run.evaluations("verify") if e.candidate in (1, 4, 5)]
    assert [e.score for e in again] == [e.score for e in lost]


def test_a_failure_in_a_group_is_one_failed_evaluation(tmp_path: Path) -> None:
    evaluator = {**GROUPS["evaluator"], "fail": "one"}
    result = searched(tmp_path / "run", **{**GROUPS, "evaluator": evaluator})
    failed = {number for number, rung, _, state, *_ in result[2] if state is State.FAILED and rung == "verify"}
    assert failed == {2, 5, 9, 13}  # the third of every group of three; a generation's groups are its own


def test_an_exception_in_a_group_stays_with_the_candidate_that_raised_it(tmp_path: Path) -> None:
    evaluator = {**GROUPS["evaluator"], "fail": "known"}
    result = searched(tmp_path / "run", **{**GROUPS, "evaluator": evaluator})
    failed = {number for number, rung, _, state, *_ in result[2] if state is State.FAILED and rung == "verify"}
    assert failed == {1, 2}


def test_what_cannot_be_shared_ends_the_search_in_one_line(tmp_path: Path) -> None:
    evaluator = {**GROUPS["evaluator"], "fail": "warm"}
    with pytest.raises(InputError, match="candidates of rung 'verify' share could not be made.*own loss is NaN"):
        searched(tmp_path / "run", **{**GROUPS, "evaluator": evaluator})


def test_a_batch_needs_an_evaluator_that_can(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="rung 'verify': DescentEvaluator evaluates one candidate at a time"):
        searched(tmp_path / "run", ladder=GROUPS["ladder"])


def test_a_rung_that_descends_asks_no_evaluator_and_drops_what_does_not_arrive(tmp_path: Path) -> None:
    descend = {"name": "descend", "task": {"kind": "descend"}, "keep": {"of_own": 0.99}, "ranks": False}
    ladder = [descend, {"name": "proxy", "task": {"steps": 8}, "seeds": [1]}]
    _, _, evaluations = searched(tmp_path / "run", ladder=ladder)
    scores = {number: score for number, rung, _, _, score, _ in evaluations if rung == "descend"}
    assert set(scores) == set(range(15))
    assert all(0 < score <= 1 for score in scores.values())
    kept = {number for number, score in scores.items() if score >= 0.99 * scores[0]} | {0}
    assert {number for number, rung, *_ in evaluations if rung == "proxy"} == kept


def test_finalists_are_the_best_by_mean_rank_and_what_was_given_climbs_with_them(tmp_path: Path) -> None:
    ladder: list[dict[str, Any]] = [
        {"name": "first", "task": {"steps": 3}, "keep": {"count": 2}},
        {"name": "second", "task": {"steps": 8}, "seeds": [1]},
    ]
    settings = from_mapping(section(ladder=ladder, generations=2, controls=[{"loss_cls": 2.0}]))
    with Run.create(tmp_path / "run", settings.identity()) as run:
        discover(settings, run)
        candidates = {candidate.number: candidate for candidate in run.candidates()}
        scores = [mean_scores(run.evaluations(name), [seed]) for name, seed in (("first", 0), ("second", 1))]
        final = {e.candidate for e in run.evaluations("full")}
    given = {number for number, candidate in candidates.items() if candidate.kind is not Kind.FOUND}
    climbed = [number for number in scores[1] if number not in given]
    assert given <= scores[1].keys()
    assert len(climbed) == 2 * 2
    best = [number for number in mean_ranked(scores) if number in climbed][:2]
    assert final == {0, 2, 3, *best}

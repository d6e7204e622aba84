from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from autoloss.candidate import Evaluation, Kind, State
from autoloss.config import from_mapping
from autoloss.search.ladder import mean_ranked
from autoloss.search.loop import discover
from autoloss.search.progress import Progress
from autoloss.search.results import Results, mean_scores
from autoloss.settings import FREE, Rung
from autoloss.store.file import FILE
from autoloss.store.ledger import EVALUATION
from autoloss.store.lock import FILE as LOCK
from autoloss.store.records import of_evaluation
from autoloss.store.run import Run
from primitives.errors import InputError
from tests.helpers import fast_evaluator
from tests.helpers.searches import WAYS, facts, searched
from tests.helpers.small import section

HERE = "tests.helpers.fast_evaluator"
DESCENT = f"{HERE}:DescentEvaluator"


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


def test_two_processes_give_what_one_gives_where_strategies_take_turns(tmp_path: Path) -> None:
    changes = WAYS["schedule"]
    assert searched(tmp_path / "two", **changes, workers=2) == searched(tmp_path / "one", **changes)


KILLED = """
import json, sys
from autoloss.search.loop import discover
from autoloss.store.run import Run
from autoloss.config import from_mapping
settings = from_mapping(json.loads(sys.argv[2]))
with Run.create(sys.argv[1], settings.identity()) as run:
    print("begins", flush=True)
    discover(settings, run)
"""
SECONDS = 1.5
"""Within which a kill comes, after the run was opened; the small search takes about as long."""


def killed_and_resumed(directory: Path, seed: int, **changes: Any) -> int:
    """Runs a search that SIGKILL ends up to five times at random moments, and then to its end; gives the kills."""
    rng, kills = random.Random(seed), 0
    most = rng.randint(1, 5)
    command = [sys.executable, "-c", KILLED, str(directory), json.dumps(section(**changes))]
    while True:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout is not None
        # Most kills fall after the run was opened, where there is something to lose.
        if rng.random() < 0.8:
            process.stdout.readline()
        if kills < most:
            time.sleep(rng.uniform(0.0, SECONDS))
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                kills += 1
        _, error = process.communicate()
        assert process.returncode in (0, -signal.SIGKILL), error
        if process.returncode == 0:
            return kills


def rounds(tmp_path: Path, count: int, uninterrupted: tuple[Any, ...], **changes: Any) -> int:
    """Kills in so many searches, each of which must end as the uninterrupted one."""
    kills = 0
    for seed in range(count):
        kills += killed_and_resumed(tmp_path / str(seed), seed, **changes)
        assert facts(tmp_path / str(seed)) == uninterrupted, seed
    return kills


SLOWER = {"type": DESCENT, "pause": 0.02}


def test_a_search_that_dies_after_any_of_its_transactions_and_is_resumed_equals_the_uninterrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small: dict[str, Any] = {"generations": 2, "births": 2}
    left: list[Path] = []
    writing = Run._writing

    @contextmanager
    def kept(run: Run) -> Iterator[None]:
        with writing(run):
            yield
        # Whoever dies here leaves the files as they are.
        left.append(tmp_path / str(len(left)))
        shutil.copytree(run.directory, left[-1], ignore=shutil.ignore_patterns(LOCK))

    with monkeypatch.context() as patch:
        patch.setattr(Run, "_writing", kept)
        whole = searched(tmp_path / "whole", **small)
    assert len(left) > 2 * len(whole[2])  # each evaluation starts and ends
    assert len({len(facts(one)[2]) for one in left}) > 5
    for one in left:
        assert searched(one, **small) == whole, one


class Whole(NamedTuple):
    """A search that nothing stopped: how it proposed, what it found, and copies of it before each generation."""

    changes: dict[str, Any]
    facts: tuple[Any, ...]
    left: list[Path]


@pytest.fixture(scope="module", params=WAYS)
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    folder, changes, left = tmp_path_factory.mktemp("way"), WAYS[request.param], []
    born = Run.born

    def kept(run: Run, *facts: Any) -> None:
        left.append(folder / str(len(left)))
        shutil.copytree(run.directory, left[-1], ignore=shutil.ignore_patterns(LOCK))
        born(run, *facts)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "born", kept)
        return Whole(changes, searched(folder / "whole", **changes), left)


def test_a_search_that_dies_before_any_generation_and_is_resumed_equals_the_uninterrupted_however_it_proposes(
    whole: Whole,
) -> None:
    assert len(whole.left) == 3
    for one in whole.left[1:]:
        assert searched(one, **whole.changes) == whole.facts, one


def test_what_is_proposed_does_not_depend_on_the_order_in_which_evaluations_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: Whole
) -> None:
    """Workers change that order, and nothing else."""
    monkeypatch.setattr(Results, "add", _added_first)
    assert searched(tmp_path / "other", **whole.changes) == whole.facts


def _added_first(results: Results, evaluation: Evaluation, rung: Rung) -> None:
    """In place of `Results.add`: as if the last to end had ended first."""
    results._run.finished(evaluation)
    results.ended(rung).insert(0, evaluation)
    results.count += 1


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("way", WAYS)
def test_searches_of_every_strategy_killed_at_random_moments_equal_the_uninterrupted_one_of_two_workers(
    tmp_path: Path, way: str
) -> None:
    whole = searched(tmp_path / "whole", **WAYS[way], workers=2)
    assert rounds(tmp_path, 5, whole, **{**WAYS[way], "evaluator": SLOWER}) >= 5


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_hundred_searches_killed_at_random_moments_and_resumed_equal_the_uninterrupted(
    tmp_path: Path, uninterrupted: tuple[Any, ...]
) -> None:
    assert rounds(tmp_path, 100, uninterrupted, evaluator=SLOWER) >= 100


def test_a_search_with_process_workers_killed_and_resumed_equals_the_uninterrupted(
    tmp_path: Path, uninterrupted: tuple[Any, ...]
) -> None:
    changes = {"evaluator": {**SLOWER, "pause": 0.2}, "workers": 2}
    command = [sys.executable, "-c", KILLED, str(tmp_path / "run"), json.dumps(section(**changes))]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while not (tmp_path / "run" / FILE).exists() or State.DONE not in states(tmp_path / "run"):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert len(states(tmp_path / "run")) < len(uninterrupted[2])
    assert searched(tmp_path / "run") == uninterrupted


def test_an_isolated_worker_gives_what_this_process_gives(tmp_path: Path, uninterrupted: tuple[Any, ...]) -> None:
    assert searched(tmp_path / "run", workers=1, isolate=True) == uninterrupted


@pytest.mark.slow
def test_four_workers_give_what_one_gives(tmp_path: Path, uninterrupted: tuple[Any, ...]) -> None:
    assert searched(tmp_path / "run", workers=4) == uninterrupted


@pytest.mark.parametrize("most", [1, 7, 20, 31])
def test_a_budget_of_evaluations_is_kept_and_a_larger_one_ends_as_if_there_had_been_none(
    tmp_path: Path, uninterrupted: tuple[Any, ...], most: int
) -> None:
    for budget in (most, most + 3):
        settings = from_mapping(section(budget={"evaluations": budget}))
        with Run.create(tmp_path / "run", settings.identity()) as run:
            assert discover(settings, run) == f"the budget of {budget} evaluations"
            assert len(run.evaluations()) == budget
            assert run.ended
    assert searched(tmp_path / "run") == uninterrupted
    with Run.open(tmp_path / "run") as run:
        assert run.ended == ""


def test_a_budget_of_time_ends_a_search_and_counts_earlier_sessions(
    tmp_path: Path, uninterrupted: tuple[Any, ...]
) -> None:
    changes: dict[str, Any] = {"evaluator": {**SLOWER, "pause": 0.1}, "budget": {"time": 2.0}}
    settings = from_mapping(section(**changes))
    with Run.create(tmp_path / "run", settings.identity()) as run:
        assert discover(settings, run) == "the budget of 2 s"
        first = run.evaluations()
        assert discover(settings, run) == "the budget of 2 s"
        assert run.evaluations() == first
        assert all(evaluation.state is State.DONE for evaluation in first)
        assert 1.9 < run.seconds < 5
    assert searched(tmp_path / "run", evaluator=changes["evaluator"]) == uninterrupted


def test_fewer_generations_end_with_a_finale_and_more_go_on(tmp_path: Path, uninterrupted: tuple[Any, ...]) -> None:
    few, more = (from_mapping(section(generations=count)) for count in (2, 3))
    with Run.create(tmp_path / "run", few.identity(), FREE) as run:
        assert discover(few, run) == ""
        assert {e.rung for e in run.evaluations()} == {"verify", "proxy", "full"}
    with Run.create(tmp_path / "run", more.identity(), FREE) as run:
        discover(more, run)
        assert run.settings.generations == 3
    candidates, refusals, evaluations = facts(tmp_path / "run")
    assert (candidates, refusals) == uninterrupted[:2]
    assert set(uninterrupted[2]) <= set(evaluations)  # the first finale's stay


PATIENT = """
import sys
from autoloss import cli
from autoloss.search import stopping
stopping.GRACE = float(sys.argv.pop(1))
cli.main()
"""
AMPLE = 60.0
"""Seconds of grace where what is to end may run on a busy machine."""


def interrupted(
    directory: Path, times: int, pause: float, number: int = signal.SIGINT, grace: float = AMPLE, **changes: Any
) -> tuple[subprocess.CompletedProcess[str], float]:
    """A search by the command line that gets Ctrl-C once its first evaluation runs: how it ended, in what time.

    Another signal goes to all its processes, as batch systems do it.
    """
    config = directory.parent / "config.py"
    config.write_text(f"search = {section(evaluator={'type': DESCENT, 'pause': pause}, **changes)!r}")
    command = [sys.executable, "-c", PATIENT, str(grace), "search", str(config), str(directory)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not (directory / FILE).exists() or State.RUNNING not in states(directory):
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)
    time.sleep(0.5)
    begin = time.monotonic()
    for _ in range(times):
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        for child in children if number != signal.SIGINT else []:
            os.kill(int(child), number)
        process.send_signal(number)
        time.sleep(0.3)
    out, error = process.communicate(timeout=2 * AMPLE)
    return subprocess.CompletedProcess(command, process.returncode, out, error), time.monotonic() - begin


@pytest.mark.parametrize("workers", [1, 2])
def test_sigterm_to_every_process_of_a_job_is_like_ctrl_c_and_blames_nobody(tmp_path: Path, workers: int) -> None:
    ended, _ = interrupted(tmp_path / "run", 1, 3.0, signal.SIGTERM, workers=workers, isolate=True)
    assert ended.returncode == 130
    assert "goes on from there" in ended.stderr
    assert states(tmp_path / "run") == [State.DONE] * workers
    with Run.open(tmp_path / "run") as run:
        assert run.crashes() == []


def states(directory: Path) -> list[State]:
    with Run.open(directory) as run:
        return [evaluation.state for evaluation in run.evaluations()]


@pytest.mark.parametrize("workers", [1, 2])
def test_one_ctrl_c_lets_what_ends_in_seconds_end(tmp_path: Path, workers: int) -> None:
    ended, _ = interrupted(tmp_path / "run", 1, 3.0, workers=workers)
    assert ended.returncode == 130
    assert "goes on from there" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert states(tmp_path / "run") == [State.DONE] * workers


def test_what_takes_longer_is_given_up_after_some_seconds(tmp_path: Path) -> None:
    ended, seconds = interrupted(tmp_path / "run", 1, 3600.0, grace=3.0, workers=2)
    assert ended.returncode == 130
    assert 3 - 1 < seconds < AMPLE / 2
    assert State.DONE not in states(tmp_path / "run")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_second_ctrl_c_stops_at_once_and_the_run_resumes(
    tmp_path: Path, uninterrupted: tuple[Any, ...], workers: int
) -> None:
    ended, seconds = interrupted(tmp_path / "run", 2, 3600.0, workers=workers)
    assert ended.returncode == 130
    assert "Traceback" not in ended.stderr
    assert seconds < AMPLE / 2
    with Run.open(tmp_path / "run") as run:
        assert run.worked_on == ""
    slept = {"type": DESCENT, "pause": 3600.0}
    settings = from_mapping(section(evaluator=slept))
    with Run.create(tmp_path / "run", settings.identity()) as run:
        run.forget_running()
        assert run.evaluations() == []
        assert run.candidates() == [one for one in uninterrupted[0] if one.generation == 0]


def test_a_failing_own_loss_ends_the_search_and_is_tried_again(tmp_path: Path) -> None:
    evaluator = {"type": DESCENT, "fail": "own"}
    with pytest.raises(InputError, match=r"own loss failed at rung 'verify'.*RuntimeError: no images"):
        searched(tmp_path / "run", evaluator=evaluator)
    assert all(state is State.RUNNING for number, _, _, state, *_ in facts(tmp_path / "run")[2] if number == 0)
    with pytest.raises(InputError, match="own loss failed"):
        searched(tmp_path / "run", evaluator=evaluator)


def test_a_run_does_not_go_on_with_another_detector_or_other_data_behind_the_same_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: dict[str, Any] = {"own losses": {"loss_bbox": "GIoU"}, "images": {"train": 30}, "classes": ["cat"]}
    monkeypatch.setattr(fast_evaluator.DescentEvaluator, "describe", lambda _: told)
    with pytest.raises(InputError, match="data: missing"):
        searched(tmp_path / "run", evaluator={"type": DESCENT, "fail": "prepare"})
    whole = searched(tmp_path / "run")
    assert searched(tmp_path / "run") == whole
    told["images"] = {"train": 230}
    with pytest.raises(InputError, match='was begun with other images: {"train": 30} there, {"train": 230} now; put'):
        searched(tmp_path / "run")
    assert facts(tmp_path / "run") == whole


def test_nor_does_one_over_several_set_ups_where_those_of_one_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = iter([30, 40, 30, 40, 30, 41])  # of the two set-ups, as each beginning of the run has them
    monkeypatch.setattr(
        fast_evaluator.DescentEvaluator, "describe", lambda _: {"images": {"train": next(images)}, "classes": ["cat"]}
    )
    changes = {"evaluator": {}, "evaluators": [{"type": DESCENT}] * 2, "objective": "mean"}
    whole = searched(tmp_path / "run", **changes)
    assert searched(tmp_path / "run", **changes) == whole
    other = 'other images for search.evaluators.1: {"train": 40} there, {"train": 41} now'
    with pytest.raises(InputError, match=other):
        searched(tmp_path / "run", **changes)
    assert facts(tmp_path / "run") == whole


def test_a_score_below_0_of_the_own_loss_ends_the_search(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="own loss scores -0.5; scores begin at 0, higher is better"):
        searched(tmp_path / "run", evaluator={"type": f"{HERE}:MinusEvaluator"})


def test_a_failing_candidate_is_one_failed_evaluation(tmp_path: Path) -> None:
    # Without steps to take nothing fails; a formula that another grammar names does.
    evaluator = {"type": DESCENT, "fail": "known"}
    result = searched(tmp_path / "run", evaluator=evaluator)
    failed = [row for row in result[2] if row[3] is State.FAILED]
    assert {number for number, *_ in failed} == {1, 2}
    assert all("FloatingPointError: it is a known one" in row[5] for row in failed)
    assert not any(rung == "proxy" for number, rung, *_ in result[2] if number in (1, 2))


def test_an_evaluator_that_cannot_be_had_is_named(tmp_path: Path) -> None:
    for spec, message in (
        ({"type": "no_such_module:Evaluator"}, "no_such_module:Evaluator cannot be imported"),
        ({"type": f"{HERE}:Nothing"}, f"{HERE}:Nothing cannot be imported"),
        ({"type": DESCENT, "speed": 3}, "does not take these arguments"),
        ({"type": DESCENT, "fail": "prepare"}, "data: missing"),
    ):
        with pytest.raises(InputError, match=message):
            searched(tmp_path / str(len(message)), evaluator=spec)


def test_an_evaluators_metrics_are_kept_as_plain_numbers_with_a_score_among_them(tmp_path: Path) -> None:
    scores = searched(tmp_path / "odd", evaluator={"type": f"{HERE}:OddEvaluator", "name": "score"})[2]
    assert all(type(score) is float for *_, score, _ in scores)
    with pytest.raises(InputError, match="an evaluator gives 'score' among its metrics, got only: mAP"):
        searched(tmp_path / "none", evaluator={"type": f"{HERE}:OddEvaluator", "name": "mAP"})


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
    "evaluator": {"type": f"{HERE}:GroupEvaluator"},
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
        with run._writing():
            run._ledger.remove(EVALUATION, map(of_evaluation, lost))
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


@pytest.mark.parametrize("workers", [0, 1, 2], ids=["in this process", "1 worker", "2 workers"])
def test_what_cannot_be_shared_for_lack_of_memory_is_tried_once_more(tmp_path: Path, workers: int) -> None:
    evaluator = {**GROUPS["evaluator"], "fail": f"warm memory {tmp_path / 'tries'}"}
    many = {"workers": max(workers, 1), "isolate": workers > 0}
    wanted = r"rung 'verify' share could not be made, so the set-up is wrong: out of memory.*lower.*\(2 times\)"
    with pytest.raises(InputError, match=wanted):
        searched(tmp_path / "run", **{**GROUPS, **many, "evaluator": evaluator})
    assert (tmp_path / "tries").read_text() == "xx"


@pytest.mark.parametrize(("how", "given"), [("none", "0 results for 3 candidates"), ("twice", "6 results for 3")])
def test_an_evaluator_that_gives_no_result_for_each_of_a_batch_is_named(tmp_path: Path, how: str, given: str) -> None:
    evaluator = {**GROUPS["evaluator"], "fail": how}
    with pytest.raises(InputError, match=f"GroupEvaluator.evaluate_many gave {given}"):
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
    with Run.open(tmp_path / "run") as run:  # memory of a worker is that of the rungs that train in it
        assert {one.memory for one in run.evaluations("descend")} == {0.0}
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

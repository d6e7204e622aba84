from __future__ import annotations

import json
import logging
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from autoloss.candidate import State
from autoloss.config import from_mapping
from autoloss.search.loop import discover
from autoloss.store.run import Run
from autoloss.workers import executors, retries
from autoloss.workers.limits import (
    ENOUGH,
    FIRST_SECONDS,
    FRESH_SECONDS,
    LEAST_MEMORY,
    LEAST_SECONDS,
    Limited,
    Limits,
    StartError,
    WorkerError,
    current_limits,
)
from autoloss.workers.pool import Processes
from autoloss.workers.process import Worker
from primitives.errors import InputError
from tests.helpers.faults import loaded, misbehave, nothing, sick, sick_by_variable, terminated_child, wrong
from tests.helpers.small import section

LIMITS = {"sleep": Limits(2.0), "allocate": Limits(memory=1.5e9)}


@pytest.fixture(scope="module")
def pool() -> Iterator[Processes]:
    with Processes(1, nothing) as processes:
        yield processes


@pytest.mark.parametrize(
    ("how", "cause"),
    [
        ("sleep", "no end after 2 s, its limit"),
        ("allocate", r"it took 1\.\d GB of memory, its limit is 1\.5 GB"),
        ("segfault", "the worker was killed by SIGSEGV"),
        ("exit", "the worker ended with exit code 3"),
    ],
)
def test_a_lost_worker_is_an_error_with_its_cause_and_is_replaced(pool: Processes, how: str, cause: str) -> None:
    with pytest.raises(WorkerError, match=cause):
        pool.submit(Limited(misbehave, lambda: LIMITS.get(how, Limits()), how), how).result()
    assert pool.submit(pow, 2, 5).result() == 32


def test_an_exception_is_raised_again_and_the_worker_stays(pool: Processes) -> None:
    before = pool.submit(os.getpid).result()
    with pytest.raises(ValueError, match="no such thing"):
        pool.submit(misbehave, "raise").result()
    pool.submit(misbehave, "delete").result()
    assert pool.submit(os.getpid).result() == before != os.getpid()


def test_limits_are_asked_again_while_a_call_runs(pool: Processes) -> None:
    begin = time.monotonic()

    def known() -> Limits:  # another evaluation of the rung ends meanwhile
        return Limits(1.5) if time.monotonic() - begin > 1 else Limits(900.0)

    with pytest.raises(WorkerError, match="no end after 2 s, its limit"):
        pool.submit(Limited(misbehave, known, "sleep"), "sleep").result()


def test_what_calls_share_is_made_before_a_call_and_outside_its_time(pool: Processes) -> None:
    pool.submit(pow, 2, 5).result()  # the worker is there
    slow = partial(time.sleep, 1.5)
    assert pool.submit(Limited(pow, lambda: Limits(1.0), "pow", slow), 2, 5).result() == 32


def test_what_a_worker_warns_of_is_said_once(pool: Processes, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        pool.submit(logging.getLogger("detectors").warning, "going on with %d", 3).result()
    assert [record.getMessage() for record in caplog.records] == ["going on with 3"]


def test_there_is_a_worker_for_each_gpu_or_core(monkeypatch: pytest.MonkeyPatch) -> None:
    assert executors.count(0) == len(os.sched_getaffinity(0))
    monkeypatch.setattr(executors.torch.cuda, "is_available", lambda: True)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6,7")
    assert executors.count(0) == 3
    assert executors.count(5) == 5


def test_what_a_worker_prints_fills_neither_pipe_nor_disk_nor_memory(pool: Processes) -> None:
    pool.submit(misbehave, "print").result()
    assert pool.submit(pow, 2, 5).result() == 32


def test_every_task_has_a_work_folder_of_its_own_that_is_gone_afterwards(pool: Processes) -> None:
    first, second = (pool.submit(tempfile.gettempdir).result() for _ in range(2))
    assert first != second
    pool.submit(pow, 2, 5).result()
    assert not Path(first).exists()


def test_what_cannot_travel_is_an_error_of_its_task_alone(pool: Processes) -> None:
    with pytest.raises(Exception, match="pickle"):
        pool.submit(lambda: 1).result()
    assert pool.submit(pow, 2, 5).result() == 32


def test_a_worker_that_cannot_start_says_why() -> None:
    with Processes(2, wrong) as processes, pytest.raises(InputError, match="data: missing"):
        processes.submit(pow, 2, 5).result()


def test_a_worker_that_cannot_be_made_ready_is_not_the_fault_of_a_call(
    pool: Processes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retries, "PLACE_RESTS", 0.01)
    with Processes(1, sick, (str(tmp_path / "times"), 2)) as fresh:
        assert fresh.submit(pow, 2, 5).result() == 32
    with Processes(1, sick, (str(tmp_path / "more"), 3)) as fresh:
        with pytest.raises(StartError, match="no worker can be made ready.*OSError: the GPU has fallen off the bus"):
            fresh.submit(pow, 2, 5).result()
        assert fresh.submit(pow, 2, 5).result() == 32
    with pytest.raises(StartError, match="SIGSEGV"):
        pool.submit(Limited(pow, Limits, "pow", partial(misbehave, "segfault")), 2, 5).result()
    assert pool.submit(pow, 2, 5).result() == 32


def test_another_worker_takes_over_where_one_cannot_be_made_ready(tmp_path: Path) -> None:
    lame, sound = {"AUTOLOSS_TEST_SICK": "1"}, {"AUTOLOSS_TEST_SICK": ""}
    with Processes(2, sick_by_variable, (), (lame, sound)) as fresh:
        assert [fresh.submit(pow, 2, power).result() for power in range(4)] == [1, 2, 4, 8]
        assert [worker.pid > 0 for worker in fresh.workers()] == [False, True]


def test_who_stops_a_job_by_sigterm_to_all_of_it_leaves_the_workers_to_their_parent(pool: Processes) -> None:
    slow = pool.submit(time.sleep, 1.0)
    while pool.workers()[0].doing != "sleep":
        time.sleep(0.05)
    os.kill(pool.workers()[0].pid, signal.SIGTERM)
    assert slow.result() is None
    for start in ("fork", "exec"):  # what a worker starts is as ever
        assert pool.submit(terminated_child, start).result() == signal.SIGTERM


def test_a_shutdown_that_cancels_kills_what_runs() -> None:
    pool = Processes(1, nothing)
    sleeping, waiting = pool.submit(misbehave, "sleep"), pool.submit(pow, 2, 5)
    while pool.workers()[0].doing != "misbehave":
        time.sleep(0.05)
    pid = pool.workers()[0].pid
    pool.shutdown(cancel_futures=True)
    assert waiting.cancelled()
    assert isinstance(sleeping.exception(), WorkerError)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_workers_die_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    code = (
        "from tests.helpers.faults import *\n"
        "from autoloss.workers.pool import Processes\n"
        "if __name__ == '__main__':\n"
        "    pool = Processes(1, nothing); print(pool.submit(os.getpid).result(), flush=True)\n"
        "    pool.submit(misbehave, 'sleep').result()\n"
    )
    script = tmp_path / "script.py"
    script.write_text(code)
    parent = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    os.kill(worker, 0)
    parent.send_signal(signal.SIGKILL)
    parent.communicate()
    deadline = time.monotonic() + 10
    while Path(f"/proc/{worker}").exists() and time.monotonic() < deadline:
        if "Z" in Path(f"/proc/{worker}/stat").read_text().split()[2]:
            break  # dead, and nobody has asked for its exit code
        time.sleep(0.05)
    assert time.monotonic() < deadline


def test_limits_follow_the_median_of_what_has_finished_at_the_rung() -> None:
    assert current_limits([], [], 1, 9e9) == Limits(FIRST_SECONDS, 9e9, FRESH_SECONDS)
    assert current_limits([100.0], [], 1, 9e9).seconds == 1000
    assert current_limits([90.0, 100.0, 500.0], [], 6, 9e9).seconds == 6000
    assert current_limits([0.1] * ENOUGH, [1e9] * (ENOUGH - 1), 1, 9e9).memory == 9e9
    assert current_limits([0.1] * ENOUGH, [1e9] * ENOUGH, 1, 9e9) == Limits(LEAST_SECONDS, LEAST_MEMORY, FRESH_SECONDS)
    assert current_limits([0.1] * ENOUGH, [1e9] * ENOUGH, 2, 9e9, Limits(5.0, 6e9)) == Limits(10.0, 6e9)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_every_process_does_not_end_a_worker_that_is_only_beginning(tmp_path: Path, number: int) -> None:
    worker = Worker(nothing, (), {}, str(tmp_path))
    os.kill(worker.pid, number)  # long before its interpreter has come up
    patient, never = (lambda: Limits(60.0)), threading.Event()
    assert worker.answer(patient, never) is None
    worker.send(pickle.dumps((pow, (2, 5), {})))
    assert worker.answer(patient, never) == 32
    worker.kill()


def test_a_task_may_load_data_in_processes_of_its_own() -> None:
    """They send tensors by sockets, the paths of which must not be long."""
    pool = Processes(1, nothing)
    try:
        assert pool.submit(Limited(loaded, lambda: Limits(60.0), "loading")).result() == 15
    finally:
        pool.shutdown()


HARM = ("sleep", "allocate", "raise", "segfault", "nan", "inf", "print", "delete", "exit", "assert")
CAUSES = {
    "sleep": "no end after 5 s, its limit (2 times)",
    "allocate": "GB of memory, its limit is 1.5 GB (2 times)",
    "raise": "ValueError: no such thing",
    "segfault": "the worker was killed by SIGSEGV (2 times)",
    "nan": "the score is NaN",
    "inf": "the score is inf",
    "delete": "FileNotFoundError",
    "exit": "the worker ended with exit code 3",
    "assert": "CUDA error: device-side assert triggered Compile with TORCH_USE_CUDA_DSA. (2 times)",
}


def search(directory: Path, faults: dict[str, str], **changes: Any) -> dict[int, Any]:
    evaluator = {"type": "tests.helpers.fast_evaluator:BadEvaluator", "faults": faults}
    rung = {"name": "proxy", "task": {"steps": 8}, "seeds": changes.pop("seeds", [1]), "batch": changes.pop("batch", 1)}
    rules = from_mapping(
        section(generations=1, births=14, ladder=[rung], finale=None, evaluator=evaluator, known=[], **changes)
    )
    with Run.create(directory, rules.identity()) as run:
        discover(rules, run)
        if not faults:
            specs = {c.number: json.dumps(c.spec(), sort_keys=True) for c in run.candidates()}
            return {e.candidate: (specs[e.candidate], e.score) for e in run.evaluations()}
        assert all(crash.ended > 0 for crash in run.crashes())
        return {e.candidate: e for e in run.evaluations()}


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Any]:
    """Losses and scores of all candidates where none does harm."""
    return search(tmp_path_factory.mktemp("good") / "run", {})


def test_bad_candidates_fail_with_their_causes_and_the_good_ones_are_all_there(
    good: dict[int, Any], tmp_path: Path
) -> None:
    bad = dict(zip(range(2, 2 + len(HARM)), HARM, strict=True))
    assert len(good) > 2 + len(HARM)
    faults = {good[number][0]: how for number, how in bad.items()}
    found = search(tmp_path / "run", faults, workers=2, isolate=True, limits={"time": 5.0, "memory": 1.5})
    assert found.keys() == good.keys()
    for number, evaluation in found.items():
        how = bad.get(number, "")
        if how in CAUSES:
            assert evaluation.state is State.FAILED
            assert CAUSES[how] in str(evaluation.error)
        else:  # what prints a gigabyte does no harm
            assert evaluation.score == good[number][1]
    with Run.open(tmp_path / "run") as run:
        crashes = [crash.candidates for crash in run.crashes()]
        assert sorted(crashes) == sorted(
            [(n,) for n, how in bad.items() if how in ("sleep", "allocate")] * 2
            + [(n,) for n, how in bad.items() if how in ("segfault", "exit", "assert")] * 2
        )


def test_in_a_group_only_the_culprit_fails_and_other_groups_keep_their_company(tmp_path: Path) -> None:
    good = search(tmp_path / "good", {}, batch=5)
    faults = {good[6][0]: "segfault", good[13][0]: "sleep"}
    found = search(tmp_path / "run", faults, batch=5, workers=2, isolate=True, limits={"time": 0.8})
    assert {number for number, e in found.items() if e.state is State.FAILED} == {6, 13}
    assert all(found[number].score == good[number][1] for number in range(5))
    alone = search(tmp_path / "alone", {})
    for number in (5, 7, 8, 9, 10, 11, 12, 14):  # evaluated one by one
        assert found[number].score == pytest.approx(alone[number][1] + 1e-5, abs=2e-6)


def test_a_candidate_that_fails_twice_is_not_tried_with_other_seeds(good: dict[int, Any], tmp_path: Path) -> None:
    search(tmp_path / "run", {good[6][0]: "segfault"}, isolate=True, seeds=[1, 2, 3])
    with Run.open(tmp_path / "run") as run:
        failed = [e for e in run.evaluations() if e.state is State.FAILED]
        assert [(e.candidate, e.seed) for e in failed] == [(6, 1), (6, 2), (6, 3)]
        assert all("SIGSEGV" in str(e.error) and str(e.error).endswith("(2 times)") for e in failed)
        assert [crash.candidates for crash in run.crashes()] == [(6,), (6,)]


def small(tmp_path: Path, most: int) -> tuple[list[Any], list[Any]]:
    """Scores of a search whose first workers cannot be made, and the crashes that candidates are charged with."""
    evaluator = {"type": "tests.helpers.fast_evaluator:SickEvaluator", "file": str(tmp_path / "times"), "most": most}
    rules = from_mapping(section(generations=1, finale=None, evaluator=evaluator, isolate=True))
    with Run.create(tmp_path / "run", rules.identity()) as run:
        try:
            discover(rules, run)
        finally:
            found = [(e.candidate, e.rung, e.seed, e.score) for e in run.evaluations()], run.crashes()
    return found


def test_workers_that_cannot_start_are_charged_to_no_candidate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "PLACE_RESTS", 0.01)
    for name in ("sound", "sick", "dead"):
        (tmp_path / name).mkdir()
    expected, _ = small(tmp_path / "sound", 0)
    found, crashes = small(tmp_path / "sick", 2)
    assert found == expected
    assert crashes == []
    with pytest.raises(InputError, match=r"no worker can be made ready.*fallen off the bus"):
        small(tmp_path / "dead", 3)


@pytest.mark.parametrize("how", ["segfault", "sleep"])
def test_a_lost_worker_with_the_own_loss_ends_the_search(good: dict[int, Any], tmp_path: Path, how: str) -> None:
    with pytest.raises(InputError, match=r"the detector's own loss failed at rung 'proxy'.*\(2 times\)"):
        search(tmp_path / "run", {good[0][0]: how}, isolate=True, limits={"time": 2.0})

"""A cluster of three nodes on this machine; see also the README for the command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
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
from autoloss.search.progress import Progress
from autoloss.settings import Ray
from autoloss.store.run import Run
from autoloss.workers.executors import start
from autoloss.workers.limits import Limited, Limits, WorkerError
from autoloss.workers.ray_code import modules
from primitives.errors import InputError
from primitives.system.memory import machine_memory
from tests.helpers.fast_evaluator import text_of
from tests.helpers.faults import misbehave
from tests.helpers.small import section

SPEC = {"type": "tests.helpers.fast_evaluator:GroupEvaluator", "pause": 0.3}


@pytest.fixture
def cluster() -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    three = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    three.more = [three.add_node(num_cpus=1) for _ in range(2)]
    yield three
    three.shutdown()


def facts(directory: Path) -> Any:
    with Run.open(directory) as run:
        ended = [(e.candidate, e.rung, e.seed, e.state, e.score, e.error) for e in run.evaluations()]
        return run.candidates(), run.refusals(), ended


def searched(directory: Path, watch: Any = lambda _: None, **changes: Any) -> Any:
    ladder = [
        {"name": "verify", "task": {"steps": 2}, "keep": {"of_own": 0.5}, "ranks": False},
        {"name": "proxy", "task": {"steps": 8}, "seeds": [1], "batch": 3},
    ]
    settings = from_mapping(section(evaluator=SPEC, ladder=ladder, **changes))
    with Run.create(directory, settings.identity()) as run:
        discover(settings, run, watch)
    return facts(directory)


@pytest.mark.slow
def test_a_search_on_a_cluster_that_loses_a_node_equals_one_in_this_process(cluster: Any, tmp_path: Path) -> None:
    expected = searched(tmp_path / "here")
    killed: list[int] = []

    def kill_a_node(progress: Progress) -> None:
        if progress.stage == "proxy" and progress.running.startswith("candidates") and not killed:
            killed.append(progress.done)
            node = cluster.more[0]
            threading.Timer(0.1, lambda: cluster.remove_node(node, allow_graceful=False)).start()

    found = searched(tmp_path / "cluster", kill_a_node, workers=0, ray={"address": cluster.address})
    assert killed
    assert found == expected
    assert all(state is State.DONE for *_, state, _, _ in found[2])


@pytest.mark.slow
def test_limits_and_causes_on_a_cluster_are_those_of_processes(cluster: Any) -> None:
    from autoloss.workers.ray_cluster import Cluster

    executor = Cluster(Ray(address=cluster.address, cpus=0.5), 0, start, SPEC, {})
    try:
        assert executor.width == 6
        for how, cause in (("segfault", "was killed by SIGSEGV"), ("sleep", "no end after 2 s")):
            with pytest.raises(WorkerError, match=cause):
                executor.submit(Limited(misbehave, partial(Limits, 2.0), how), how).result()
        with pytest.raises(ValueError, match="no such thing"):
            executor.submit(misbehave, "raise").result()
        before = executor.submit(os.getpid).result()
        assert before != os.getpid()
        slow = partial(time.sleep, 2.5)
        assert executor.submit(Limited(pow, partial(Limits, 2.0), "pow", slow), 2, 5).result() == 32
        assert 0 < executor.share < machine_memory()
        cluster.add_node(num_cpus=2)
        deadline = time.monotonic() + 60
        while executor.width != 10 and time.monotonic() < deadline:  # nodes come, too
            time.sleep(0.5)
        assert executor.width == 10
    finally:
        executor.shutdown(cancel_futures=True)


@pytest.mark.slow
def test_what_no_node_has_is_asked_for_in_vain_and_one_line_says_so(cluster: Any) -> None:
    from autoloss.workers.ray_cluster import Cluster

    with pytest.raises(InputError, match=r"no node .* has 2 CPU, which .*; they have: 1 CPU; 1 CPU; 1 CPU$"):
        Cluster(Ray(address=cluster.address, cpus=2), 0, start, SPEC, {})


def test_what_ray_itself_imports_on_a_node_does_not_hold_pytorch_a_second_time() -> None:
    code = "import sys, autoloss.workers.ray_cluster, autoloss.candidate; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


def test_on_a_node_without_the_folder_of_the_search_paths_are_looked_for_in_what_was_shipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from autoloss.workers.ray_node import start_as_in

    told: list[Any] = []
    monkeypatch.chdir(tmp_path)
    beside = ["/elsewhere/configs/search", "/elsewhere/configs", "/far"]
    start_as_in("/elsewhere/configs", told.append, {"type": "command", "beside": beside})
    assert told == [{"type": "command", "beside": [*beside, str(tmp_path / "search"), str(tmp_path)]}]


def test_an_evaluation_that_ray_ends_for_want_of_memory_says_so() -> None:
    exceptions = pytest.importorskip("ray.exceptions", reason="Ray is not installed: pip install 'autoloss[ray]'")
    from autoloss.workers.memory import lacks_memory
    from autoloss.workers.ray_cluster import _cause

    assert lacks_memory(_cause(exceptions.OutOfMemoryError("Task was killed due to the node running low on memory.")))
    assert _cause(RuntimeError("a\n b")) == "Ray gave it up: RuntimeError: a b"


@pytest.mark.slow
def test_a_cluster_leaves_sigterm_to_the_search_and_limits_follow_what_has_finished(cluster: Any) -> None:
    from autoloss.workers.ray_cluster import Cluster

    begin, before = time.monotonic(), signal.getsignal(signal.SIGTERM)

    def known() -> Limits:  # another evaluation of the rung ends meanwhile
        return Limits(900.0) if time.monotonic() - begin < 5 else Limits(3.0)

    executor = Cluster(Ray(address=cluster.address), 0, start, SPEC, {})
    try:
        assert signal.getsignal(signal.SIGTERM) is before
        begin = time.monotonic()
        with pytest.raises(WorkerError, match="no end after 3 s, its limit"):
            executor.submit(Limited(misbehave, known, "sleep"), "sleep").result(timeout=120)
    finally:
        executor.shutdown(cancel_futures=True)


@pytest.mark.slow
def test_a_node_that_makes_no_worker_ready_leaves_its_tasks_to_the_others(cluster: Any, tmp_path: Path) -> None:
    from autoloss.workers.ray_cluster import Cluster

    spec = {"type": "tests.helpers.fast_evaluator:LameEvaluator", "file": str(tmp_path / "node")}
    executor = Cluster(Ray(address=cluster.address), 0, start, spec, {})
    try:
        tasks = [executor.submit(pow, 2, power) for power in range(3)]
        assert [task.result(timeout=300) for task in tasks] == [1, 2, 4]
        assert len(executor._sick) == 1
    finally:
        executor.shutdown(cancel_futures=True)


def test_a_node_that_cannot_be_given_the_code_is_no_candidates_fault() -> None:
    exceptions = pytest.importorskip("ray.exceptions", reason="Ray is not installed: pip install 'autoloss[ray]'")
    from autoloss.workers.ray_cluster import _of_node, _of_set_up

    assert _of_set_up(exceptions.RuntimeEnvSetupError("no space"))
    assert not _of_set_up(exceptions.WorkerCrashedError())
    assert _of_node(exceptions.WorkerCrashedError())


@pytest.mark.slow
def test_code_and_configs_of_the_present_folder_are_shipped(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from autoloss.workers.ray_cluster import Cluster

    (tmp_path / "configs").mkdir()
    (tmp_path / "configs/one.py").write_text("found = 41")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights.pth").write_text("weights")
    data = {"config": "configs/one.py", "weights": "weights.pth"}
    spec = {"type": "tests.helpers.fast_evaluator:NamingEvaluator", "data": data}
    executor = Cluster(Ray(address=cluster.address), 0, start, spec, {})
    try:
        (tmp_path / "configs/one.py").write_text("found = 42")  # what the search began with counts
        assert executor.submit(text_of, "config").result() == "found = 41"
        assert executor.submit(text_of, "weights").result() == "weights"
        assert executor.submit(os.getcwd).result() == str(tmp_path)
    finally:
        executor.shutdown(cancel_futures=True)


def test_every_evaluator_of_several_is_shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "theirs_alone.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    shipped = modules(["detectors.evaluator:DetectorEvaluator", "theirs_alone:Evaluator"])
    assert str(tmp_path / "theirs_alone.py") in shipped


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:10001", "nowhere"])
def test_no_cluster_at_an_address_is_one_line(address: str) -> None:
    from autoloss.workers.ray_cluster import Cluster

    with pytest.raises(InputError, match=f"{address}'") as caught:
        Cluster(Ray(address=address), 0, start, SPEC, {})
    assert "\n" not in str(caught.value)

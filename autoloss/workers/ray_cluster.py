"""A Ray cluster as an executor: nodes come and go, results come back as values, nothing but the network is shared.

On a node a task of Ray hands the call to an isolated process of ours (see `processes`), which stays from task to task.
So limits and causes of failure are the same everywhere; Ray only says where. See `ray_node` for what runs there.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import pickle
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoloss.workers import retries
from autoloss.workers.limits import Limited, Limits, StartError, WorkerError, WorkerState, not_ready, share_of
from autoloss.workers.process import warn
from autoloss.workers.ray_code import modules, snapshot
from autoloss.workers.ray_node import ASK, Board, on_node, start_as_in
from primitives.errors import InputError
from primitives.system import scratch

if TYPE_CHECKING:
    from autoloss.candidate import Loss
    from autoloss.settings import Ray

_log = logging.getLogger(__name__)
_VARIABLES = ("AUTOLOSS_CACHE", "AUTOLOSS_DATA")
"""What names data: it lies at the same place on every node."""


class Cluster(Executor):
    """Runs what is submitted on a Ray cluster.

    Args:
        setting: address of the cluster, and what an evaluation reserves.
        workers: at most so many at a time; 0 for as many as the cluster has room for.
        start: called in each worker before its first task.
        spec: its first argument, of the evaluator.
        own: its second one.

    Raises:
        InputError: Ray is not installed, there is no cluster at the address, or no node of it has what an evaluation
            reserves.
    """

    def __init__(
        self,
        setting: Ray,
        workers: int,
        start: Callable[..., None],
        spec: Mapping[str, Any],
        own: Mapping[str, Loss],
    ) -> None:
        self._ray = _ray()
        _reach(setting.address)
        self._most, self._seen = workers, (0.0, list[Any]())
        scratch.sweep()
        self._code = scratch.make()
        self._connect(setting.address, [str(one["type"]) for one in spec.get("evaluators", [spec])])
        gpus = setting.gpus
        if gpus is None:
            gpus = 1.0 if self._ray.cluster_resources().get("GPU", 0) else 0.0
        self._need = {name: need for name, need in (("CPU", setting.cpus), ("GPU", gpus)) if need}
        self._check_room()
        # A worker that dies is our own process; what Ray would try again is counted here.
        self._task = self._ray.remote(num_cpus=setting.cpus, num_gpus=gpus, max_retries=0)(on_node)
        # As bytes, so that Ray's own process on a node need not import what only the isolated one uses.
        self._held = self._ray.put(pickle.dumps((start_as_in, (os.getcwd(), start, dict(spec), own), {})))
        self._lock, self._running = threading.Lock(), dict[Future[Any], _Running]()
        self._closed, self._moved, self._numbers, self._sick = threading.Event(), 0, count(), set[str]()
        # By name: a handle that every task carries costs more than the few that ask.
        self._name = f"limits of {os.path.basename(self._code)}"
        self._board = self._ray.remote(num_cpus=0, max_restarts=-1)(Board).options(name=self._name).remote()
        self._telling = threading.Thread(target=self._tell_limits, name="limits", daemon=True)
        self._telling.start()

    def _connect(self, address: str, evaluators: Sequence[str]) -> None:
        environment: dict[str, Any] = {
            "working_dir": snapshot(Path(self._code) / "here"),
            "py_modules": modules(evaluators),
            "env_vars": {name: os.environ[name] for name in _VARIABLES if name in os.environ},
        }
        theirs = signal.getsignal(signal.SIGTERM)
        try:
            self._ray.init(
                address=address,
                runtime_env=environment,
                log_to_driver=False,
                configure_logging=False,
                include_dashboard=False if address == "local" else None,
            )
        except (ConnectionError, ValueError, RuntimeError) as error:
            shutil.rmtree(self._code, ignore_errors=True)
            raise InputError(f"no Ray cluster at {address!r}: {' '.join(str(error).split())[:300]}") from None
        finally:
            # Ray lets SIGTERM end the process at once; what ends in seconds shall end.
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, theirs or signal.SIG_DFL)

    @property
    def width(self) -> int:
        """Tasks that the cluster has room for now."""
        room = max(1, sum(map(self._room, self._nodes())))
        return min(room, self._most) if self._most else room

    @property
    def share(self) -> float:
        """Bytes of memory that are a worker's on the node where that is least."""
        rooms = [(node["memory"], self._room(node)) for node in self._nodes() if "memory" in node]
        return min((share_of(memory, room) for memory, room in rooms if room), default=0.0)

    def _nodes(self) -> list[dict[str, float]]:
        """Resources of every node that lives; asked once a second, for nodes come and go."""
        return [node["Resources"] for node in self._known()]

    def _alive(self) -> list[str]:
        """Ids of the nodes that live and have room for a task."""
        return [node["NodeID"] for node in self._known() if self._room(node["Resources"])]

    def _known(self) -> list[Any]:
        if time.monotonic() - self._seen[0] > 1:
            self._seen = (time.monotonic(), [node for node in self._ray.nodes() if node["Alive"]])
        return self._seen[1]

    def _room(self, node: Mapping[str, float]) -> int:
        """Tasks that a node has room for."""
        return min(int(node.get(name, 0) / need + 1e-9) for name, need in self._need.items())

    def _check_room(self) -> None:
        nodes = self._nodes()
        if not any(map(self._room, nodes)):
            need = " and ".join(f"{need:g} {name}" for name, need in self._need.items())
            have = "; ".join(", ".join(f"{node.get(name, 0):g} {name}" for name in self._need) for node in nodes)
            self._ray.shutdown()
            shutil.rmtree(self._code, ignore_errors=True)
            raise InputError(
                f"no node of the Ray cluster has {need}, which search.ray reserves for an evaluation; they have: {have}"
            )

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """See concurrent.futures.Executor."""
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()
        self._send(future, (fn, args, kwargs), retries.MOVES)
        return future

    def _send(self, future: Future[Any], call: tuple[Any, ...], moves: int, node: str | None = None) -> None:
        if self._closed.is_set():
            raise RuntimeError("cannot submit after shutdown")
        fn, arguments = call[0], call[1:]
        if not isinstance(fn, Limited):
            fn = Limited(fn, Limits, getattr(fn, "__name__", ""))
        before, message = fn.before and pickle.dumps((fn.before, (), {})), pickle.dumps((fn.call, *arguments))
        number = next(self._numbers)
        task = self._task if node is None else self._task.options(scheduling_strategy=self._on(node))
        reference = task.remote(self._held, before, message, fn.limits(), fn.name, self._name, number)
        state = WorkerState("ray", 0, fn.name, time.time(), lost=self._moved)
        with self._lock:
            self._running[future] = _Running(number, reference, state, fn.limits)
        reference.future().add_done_callback(lambda done: self._answered(done, future, call, moves))

    def _answered(self, done: Future[Any], future: Future[Any], call: tuple[Any, ...], moves: int) -> None:
        """Takes an answer in a thread of Ray's."""
        with self._lock:
            self._running.pop(future, None)
        try:
            answered, value, warnings, node = done.result()
        except Exception as error:
            if self._closed.is_set():
                future.set_exception(WorkerError("the worker was stopped"))
            elif _of_set_up(error):
                warn(f"a node could not be given the code: {_cause(error)}")
                self._elsewhere(future, call, moves, not_ready(WorkerError(_cause(error))), "")
            elif not _of_node(error):
                future.set_exception(WorkerError(_cause(error)))
            elif moves:  # the node died, not the candidate: elsewhere
                self._moved += 1
                _log.info("%s: sent elsewhere, for %s", call[0], type(error).__name__)
                try:
                    self._send(future, call, moves - 1)
                except Exception as refused:
                    future.set_exception(refused)
            else:
                future.set_exception(WorkerError(f"{retries.MOVES} nodes were lost under it: {type(error).__name__}"))
            return
        for text in warnings:
            warn(text)
        if not answered and isinstance(value, StartError):
            self._elsewhere(future, call, moves, value, node)
            return
        self._sick.discard(node)
        if answered:
            future.set_result(value)
        else:
            future.set_exception(value)

    def _elsewhere(self, future: Future[Any], call: tuple[Any, ...], moves: int, why: StartError, node: str) -> None:
        """Sends a task again whose worker could not be made ready: to a node where some can, or else after a rest."""
        if self._closed.is_set() or not moves:
            future.set_exception(why)
            return
        self._sick.add(node)
        good = [one for one in self._alive() if one not in self._sick]
        self._moved += 1

        def again() -> None:
            try:
                self._send(future, call, moves - 1, good[self._moved % len(good)] if good and node else None)
            except Exception as refused:
                future.set_exception(refused)

        if good and node:
            again()
        else:
            timer = threading.Timer(retries.CLUSTER_RESTS, again)
            timer.daemon = True
            timer.start()

    def _on(self, node: str) -> Any:
        """There, or elsewhere once that node is gone."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        return NodeAffinitySchedulingStrategy(node, soft=True)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """See concurrent.futures.Executor; with `cancel_futures` what runs is killed, too."""
        with self._lock:
            running = dict(self._running)
        if wait and not cancel_futures:
            for future in running:
                with suppress(Exception):
                    future.result()
        self._closed.set()
        self._telling.join()
        for one in running.values():
            self._ray.cancel(one.reference, force=True)
        self._ray.shutdown()
        shutil.rmtree(self._code, ignore_errors=True)

    def workers(self) -> list[WorkerState]:
        """What runs now; Ray says where only to those who ask its dashboard."""
        with self._lock:
            return [one.state for one in self._running.values()]

    def _tell_limits(self) -> None:
        """Lets the nodes know what is known by now, in a thread of its own."""
        while not self._closed.wait(ASK):
            with self._lock:
                running = list(self._running.values())
            try:
                self._board.tell.remote({one.number: one.limits() for one in running})
            except Exception as error:  # the cluster is lost, and whoever waits for a result will hear of it
                _log.info("limits were not told: %s", error)


@dataclass(frozen=True)
class _Running:
    """A task that Ray has."""

    number: int
    reference: Any
    state: WorkerState
    limits: Callable[[], Limits]


def _ray() -> Any:
    if importlib.util.find_spec("ray") is None:
        raise InputError("a search on a Ray cluster needs Ray, which is not installed: pip install 'autoloss[ray]'")
    # Without it Ray warns that a task without a GPU will come to see none, which is what we want.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray

    return ray


def _reach(address: str) -> None:
    """Asks an address before Ray does, which would wait for minutes."""
    if address in ("auto", "local"):
        return
    host, mark, port = address.rpartition(":")
    if not mark or not port.isdigit() or "/" in host:
        raise InputError(f"--ray takes HOST:PORT of a cluster's head node, auto or local, got {address!r}")
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except OSError as error:
        raise InputError(f"no Ray cluster at {address!r}: {error.strerror or error}") from None


def _cause(error: Exception) -> str:
    """Why Ray gave a task up, in one line."""
    from ray.exceptions import OutOfMemoryError

    if isinstance(error, OutOfMemoryError):
        return "out of memory (the node ran low on it, and Ray ended what ran there)"
    return f"Ray gave it up: {type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _of_node(error: Exception) -> bool:
    """Whether Ray lost a node, or its own process there, and not because of what ran."""
    from ray import exceptions

    lost = (
        exceptions.WorkerCrashedError,
        exceptions.NodeDiedError,
        exceptions.LocalRayletDiedError,
        exceptions.ObjectLostError,
        exceptions.RaySystemError,
    )
    return isinstance(error, lost)


def _of_set_up(error: Exception) -> bool:
    """Whether a node could not be given the code."""
    from ray.exceptions import RuntimeEnvSetupError

    return isinstance(error, RuntimeEnvSetupError)

"""Executors: in this process, in isolated ones, or in a Ray cluster; all of them concurrent.futures.Executor."""

from __future__ import annotations

import errno
import math
import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future
from typing import Any, Protocol, runtime_checkable

import torch

from autoloss.candidate import Candidate, Evaluation, Loss, State
from autoloss.evaluator import PER_IMAGE, SideBySide, class_of
from autoloss.rungs.rung import Rung
from autoloss.settings import Settings
from autoloss.store.contributions import pack
from autoloss.workers.limits import WorkerError, WorkerState, share_of
from autoloss.workers.memory import forget_peak, lacks_memory, out_of_memory, peak_memory, what_to_lower
from autoloss.workers.pool import Processes
from autoloss.workers.simulation_rung import Evaluators
from primitives.errors import InputError
from primitives.system import scratch
from primitives.system.memory import machine_memory

PER_CORE = 4
"""Workers at most, of a thread each: more of them only wait for one another."""
LEAST_OF_WORKER = 0.4e9
"""Bytes of a worker that has imported PyTorch and the engine, and nothing else."""
_evaluators: Evaluators | None = None


class Serial(Executor):
    """Runs what is submitted at once, in this process, with no limits."""

    width = 1

    @property
    def share(self) -> float:
        """See `Workers`."""
        return share_of(machine_memory(), 1)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """See concurrent.futures.Executor."""
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future

    def workers(self) -> list[WorkerState]:
        """See `Workers`."""
        return [WorkerState(f"{socket.gethostname()}/0", os.getpid(), "", time.time())]


@runtime_checkable
class Workers(Protocol):
    """What the loop asks of an executor besides."""

    @property
    def width(self) -> int:
        """Tasks that it has room for at a time."""

    @property
    def share(self) -> float:
        """Bytes of memory that are a worker's."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """See concurrent.futures.Executor; a worker that is lost gives WorkerError."""

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """See concurrent.futures.Executor; with `cancel_futures` what runs is stopped, too."""

    def workers(self) -> Sequence[WorkerState]:
        """What each worker does now."""


def make(settings: Settings) -> Workers:
    """An executor whose workers hold the evaluator.

    Args:
        settings: `ray` for a cluster; else `workers` isolated processes, but this one where `isolate` is False and
            there is one worker.
    """
    spec, own = settings.evaluator_spec, settings.stand_ins
    check_room(settings)
    if settings.ray is not None:
        from autoloss.workers import ray_cluster

        cluster: Workers = ray_cluster.Cluster(settings.ray, settings.workers, start, spec, own)
        return cluster
    if count(settings.workers) == 1 and not settings.isolate:
        scratch.sweep()
        start(spec, own)
        return Serial()
    return Processes(count(settings.workers), start, (spec, own), environments())


def check_room(settings: Settings) -> None:
    """Refuses more workers than this machine's memory or cores can hold; a cluster says by itself what it has room for.

    Raises:
        InputError: with the most that fits.
    """
    if settings.ray is not None or waiting(settings) or settings.workers <= 1:
        return
    cores = len(os.sched_getaffinity(0))
    by_memory = int(share_of(machine_memory(), 1) / LEAST_OF_WORKER)
    most = max(1, min(PER_CORE * cores, by_memory))
    if settings.workers > most:
        raise InputError(
            f"search.workers: {settings.workers:,} processes are more than this machine can hold; at most {most:,}: "
            f"{cores} cores with {PER_CORE} each, {machine_memory() / 1e9:.0f} GB with {LEAST_OF_WORKER / 1e9:g} each "
            "before it has loaded data; 0 is one per GPU, or per core without one"
        )


def waiting(settings: Settings) -> bool:
    """Whether the evaluations only wait, so that cores and memory say nothing of how many can be had."""
    return getattr(class_of(settings.evaluator_spec), "waits", False) is True


def environments() -> list[dict[str, str]]:
    """Variables of each worker: one GPU each, in turn; none where there are none."""
    gpus = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    names = gpus.split(",") if gpus else [str(index) for index in range(torch.cuda.device_count())]
    return [{"CUDA_VISIBLE_DEVICES": name} for name in names] or [{}]


def count(workers: int) -> int:
    """Number of workers, 0 meaning one per GPU, or per core that this process may use where there is no GPU."""
    gpus = len(environments()) if torch.cuda.is_available() else 0
    return workers or gpus or len(os.sched_getaffinity(0))


def start(spec: Mapping[str, Any], own: Mapping[str, Loss]) -> None:
    """Makes this process a worker: one thread, so that scores do not depend on the number of cores.

    Args:
        spec: of the evaluator, as the config has it.
        own: the known losses that stand for the detector's own, by slot.
    """
    global _evaluators
    torch.set_num_threads(1)
    _evaluators = Evaluators(spec, own)


def warm(rung: Rung, seed: int) -> None:
    """Makes what the evaluations of a rung with a seed share, where the evaluator has that.

    Raises:
        InputError: the set-up is wrong.
        WorkerError: this worker has no memory for it, or its GPU is of no use any more.
    """
    evaluator = held().of(rung.task)
    if isinstance(evaluator, SideBySide):
        try:
            evaluator.warm(rung.task, seed)
        except InputError:
            raise
        except Exception as caught:
            if lacks_memory(caught):
                raise WorkerError(f"{out_of_memory(caught)}; {what_to_lower(1)}") from None
            _check_device(caught)
            what = f"what the candidates of rung {rung.name!r} share could not be made"
            raise InputError(f"{what}, so the set-up is wrong: {caught}") from None
    elif rung.batch > 1:
        raise InputError(
            f"rung {rung.name!r}: {type(evaluator).__name__} evaluates one candidate at a time; batch is 1"
        )


def evaluate(candidates: Sequence[Candidate], rung: Rung, seed: int) -> list[Evaluation]:
    """Evaluates candidates in a worker, side by side; what goes wrong in training is a failed evaluation.

    Raises:
        InputError: the set-up is wrong, not a candidate.
        WorkerError: the GPU is of no use any more to this process, or the evaluator lost what it waited for.
    """
    evaluator, begin = held().of(rung.task), time.perf_counter()
    forget_peak()
    found: Sequence[Mapping[str, float] | str]
    spoilt = False
    try:
        if rung.batch > 1 and isinstance(evaluator, SideBySide):
            found = evaluator.evaluate_many([candidate.spec() for candidate in candidates], rung.task, seed)
        else:
            found = [dict(evaluator.evaluate(candidate.spec(), rung.task, seed)) for candidate in candidates]
    except (InputError, WorkerError):
        raise
    except Exception as caught:
        if _disk_is_full(caught):
            raise InputError(f"no space left for the files of a training ({caught}); make some") from None
        _check_device(caught)
        found = [out_of_memory(caught) if lacks_memory(caught) else f"{type(caught).__name__}: {caught}"]
        spoilt = len(candidates) > 1
    if spoilt:  # by one of them for all; nothing of the attempt is held any more
        return [ended for candidate in candidates for ended in evaluate([candidate], rung, seed)]
    if len(found) != len(candidates):
        kind = type(evaluator).__name__
        raise InputError(f"{kind}.evaluate_many gave {len(found)} results for {len(candidates)} candidates; one each")
    seconds, now = (time.perf_counter() - begin) / len(candidates), time.time()
    memory = 0.0 if rung.descends else peak_memory()  # what its process holds is then of other rungs
    return [
        _ended(one.number, rung, seed, what, seconds, now - seconds * behind, memory)  # as if one came after another
        for behind, one, what in zip(range(len(candidates))[::-1], candidates, found, strict=True)
    ]


def _disk_is_full(error: Exception) -> bool:
    """Which is no candidate's fault."""
    full = os.strerror(errno.ENOSPC)
    return (isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)) or full in str(error)


def _check_device(error: Exception) -> None:
    """After a failed assertion on a GPU, or an access beside its memory, every later call of the process fails, too."""
    if "CUDA error" in str(error) and not lacks_memory(error):
        raise WorkerError(f"{type(error).__name__}: {' '.join(str(error).split())[:300]}") from None


def held() -> Evaluators:
    """The evaluators of this worker."""
    if _evaluators is None:
        raise RuntimeError("this runs in a worker that make() started")
    return _evaluators


def _ended(
    number: int,
    rung: Rung,
    seed: int,
    found: Mapping[str, float] | str,
    seconds: float,
    ended: float,
    memory: float = 0.0,
) -> Evaluation:
    metrics = {} if isinstance(found, str) else _numbers(found)
    if metrics and not math.isfinite(metrics["score"]):
        found = f"the score is {'NaN' if math.isnan(metrics['score']) else metrics['score']}"
    if isinstance(found, str):
        return Evaluation(number, rung.name, seed, State.FAILED, None, {}, found, seconds, ended, memory)
    done, images = State.DONE, pack(found[PER_IMAGE]) if PER_IMAGE in found else ""
    return Evaluation(number, rung.name, seed, done, metrics["score"], metrics, None, seconds, ended, memory, images)


def _numbers(metrics: Mapping[str, float]) -> dict[str, float]:
    """Metrics as plain numbers."""
    try:
        found = {str(name): float(value) for name, value in metrics.items() if name != PER_IMAGE}
    except (AttributeError, TypeError, ValueError):
        raise InputError(f"an evaluator gives a mapping of names to numbers, got {metrics!r}") from None
    if "score" not in found:
        raise InputError(f"an evaluator gives 'score' among its metrics, got only: {', '.join(found) or 'none'}")
    return found

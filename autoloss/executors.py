"""Executors: in this process or in a pool of processes, one thread each; both are concurrent.futures.Executor."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any

import torch

from autoloss.candidate import Candidate, Evaluation, State
from autoloss.evaluator import Evaluator, build
from autoloss.settings import Rung
from primitives.errors import InputError

_evaluator: Evaluator | None = None


class Serial(Executor):
    """Runs what is submitted at once, in this process."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """See concurrent.futures.Executor."""
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


def make(workers: int, spec: Mapping[str, Any]) -> Executor:
    """An executor whose workers hold the evaluator.

    Args:
        workers: 1 for this process, more for a pool, 0 for one per core.
        spec: of the evaluator.
    """
    if count(workers) == 1:
        _start(dict(spec))
        return Serial()
    context = multiprocessing.get_context("spawn")  # fork is not safe once torch has threads
    pool = ProcessPoolExecutor(count(workers), context, initializer=_start, initargs=(dict(spec),))
    with _ctrl_c_ignored():
        pool.submit(os.getpid)  # starts the workers, which inherit that Ctrl-C is for the main process alone
    return pool


@contextmanager
def _ctrl_c_ignored() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers, and only it gets Ctrl-C
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def count(workers: int) -> int:
    """Number of workers, 0 meaning one per core that this process may use."""
    return workers or len(os.sched_getaffinity(0))


def _start(spec: Mapping[str, Any]) -> None:
    """Makes this process a worker: one thread, so that scores do not depend on the number of cores."""
    global _evaluator
    torch.set_num_threads(1)
    _evaluator = build(spec)


def evaluate(candidate: Candidate, rung: Rung, seed: int) -> Evaluation:
    """Trains a candidate in a worker; what goes wrong in training is a failed evaluation.

    Raises:
        InputError: the set-up is wrong, not the candidate.
    """
    if _evaluator is None:
        raise RuntimeError("evaluate() runs in a worker that make() started")
    begin = time.perf_counter()
    try:
        metrics = dict(_evaluator.evaluate(candidate.spec(), rung.task, seed))
        score = float(metrics["score"])
        error = None if score == score else "the score is NaN"
    except InputError:
        raise
    except Exception as caught:
        metrics, score, error = {}, float("nan"), f"{type(caught).__name__}: {caught}"
    seconds = time.perf_counter() - begin
    if error is not None:
        return Evaluation(candidate.number, rung.name, seed, State.FAILED, None, {}, error, seconds, time.time())
    return Evaluation(candidate.number, rung.name, seed, State.DONE, score, metrics, None, seconds, time.time())

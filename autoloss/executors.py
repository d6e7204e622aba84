"""Executors: in this process or in a pool of processes, one thread each; both are concurrent.futures.Executor."""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any

import torch

from autoloss import descent
from autoloss.candidate import Candidate, Evaluation, Loss, State
from autoloss.evaluator import Evaluator, SideBySide, build
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


def warm(rung: Rung, seed: int) -> None:
    """Makes what the evaluations of a rung with a seed share, where the evaluator has that.

    Raises:
        InputError: the set-up is wrong.
    """
    evaluator = _held()
    if isinstance(evaluator, SideBySide):
        try:
            evaluator.warm(rung.task, seed)
        except InputError:
            raise
        except Exception as caught:
            raise InputError(
                f"what the candidates of rung {rung.name!r} share could not be made, so the set-up is wrong: {caught}"
            ) from None
    elif rung.batch > 1:
        raise InputError(
            f"rung {rung.name!r}: {type(evaluator).__name__} evaluates one candidate at a time; batch is 1"
        )


def evaluate(candidates: Sequence[Candidate], rung: Rung, seed: int) -> list[Evaluation]:
    """Evaluates candidates in a worker, side by side; what goes wrong in training is a failed evaluation.

    Raises:
        InputError: the set-up is wrong, not a candidate.
    """
    evaluator, begin = _held(), time.perf_counter()
    found: Sequence[Mapping[str, float] | str]
    try:
        if rung.batch > 1 and isinstance(evaluator, SideBySide):
            found = evaluator.evaluate_many([candidate.spec() for candidate in candidates], rung.task, seed)
        else:
            found = [dict(evaluator.evaluate(candidate.spec(), rung.task, seed)) for candidate in candidates]
    except InputError:
        raise
    except Exception as caught:
        if len(candidates) > 1:  # one of them spoils it for all
            return [ended for candidate in candidates for ended in evaluate([candidate], rung, seed)]
        found = [f"{type(caught).__name__}: {caught}"]
    seconds, now = (time.perf_counter() - begin) / len(candidates), time.time()
    return [
        _ended(one.number, rung, seed, what, seconds, now - seconds * behind)  # as if one had come after another
        for behind, one, what in zip(range(len(candidates))[::-1], candidates, found, strict=True)
    ]


def descend(candidates: Sequence[Candidate], rung: Rung, seed: int, own: Mapping[str, Loss]) -> list[Evaluation]:
    """The same without an evaluator: free boxes and logits descend; `own` stands for slots left out."""
    ended = []
    for candidate in candidates:
        begin = time.perf_counter()
        metrics = descent.scored({**own, **candidate.losses})
        ended.append(_ended(candidate.number, rung, seed, metrics, time.perf_counter() - begin, time.time()))
    return ended


def _held() -> Evaluator:
    if _evaluator is None:
        raise RuntimeError("this runs in a worker that make() started")
    return _evaluator


def _ended(
    number: int, rung: Rung, seed: int, found: Mapping[str, float] | str, seconds: float, ended: float
) -> Evaluation:
    if not isinstance(found, str) and math.isnan(float(found["score"])):
        found = "the score is NaN"
    if isinstance(found, str):
        return Evaluation(number, rung.name, seed, State.FAILED, None, {}, found, seconds, ended)
    score = float(found["score"])
    return Evaluation(number, rung.name, seed, State.DONE, score, dict(found), None, seconds, ended)

"""Ray node: what runs on a node of a Ray cluster, and the actor that tells limits there.

What this file imports does not import PyTorch: Ray's own process on a node, one for each evaluation that runs, would
hold it a second time.
"""

from __future__ import annotations

import os
import pickle
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from autoloss.evaluator import BESIDE
from autoloss.workers.limits import Limited, Limits, WorkerError, not_ready
from autoloss.workers.pool import Processes
from autoloss.workers.process import WarningLog
from primitives.errors import InputError

ASK = 5.0
"""Seconds between two times that limits are told to the nodes, and that a node asks."""
_inner: tuple[tuple[bytes, str | None], Processes, WarningLog] | None = None


class Board:
    """An actor of Ray: what runs may take, which becomes known while it does."""

    def __init__(self) -> None:
        self._limits: dict[int, Limits] = {}

    def tell(self, limits: dict[int, Limits]) -> None:
        """Takes those of all that runs."""
        self._limits = limits

    def ask(self, number: int) -> Limits | None:
        """Those of a task, where they are known."""
        return self._limits.get(number)


def on_node(
    held: bytes, before: bytes | None, call: bytes, limits: Limits, name: str, board: str, number: int
) -> tuple[bool, Any, list[str], str]:
    """On a node: the call in this Ray worker's own isolated process; a failure comes back as a value.

    Returns:
        Whether it is an answer, the answer or the failure, what was logged as a warning, and the node's id.
    """
    import ray

    global _inner
    node, key = str(ray.get_runtime_context().get_node_id()), (held, os.environ.get("CUDA_VISIBLE_DEVICES"))
    if _inner is None or _inner[0] != key:
        if _inner is not None:
            _inner[1].shutdown(cancel_futures=True)
        try:
            _inner = (key, Processes(1, _called, (held,)), _inner[2] if _inner else WarningLog())
        except (InputError, OSError) as error:
            return False, not_ready(WorkerError(f"{socket.gethostname()}: {error}")), [], node
    try:
        ask = _Asking(board, number, limits)
        limited = Limited(_called, ask, name, partial(_called, before) if before else None)
        return True, _inner[1].submit(limited, call).result(), _inner[2].drain(), node
    except Exception as error:
        return False, error, _inner[2].drain(), node


class _Asking:
    """Limits as they are known by now, or were when the board answered last."""

    def __init__(self, board: str, number: int, limits: Limits) -> None:
        self._board, self._number, self._known, self._asked = board, number, limits, time.monotonic()

    def __call__(self) -> Limits:
        import ray

        if time.monotonic() - self._asked > ASK:
            self._asked = time.monotonic()
            with suppress(ray.exceptions.RayError, ValueError):  # the board's node died; it comes up elsewhere
                board = ray.get_actor(self._board)
                self._known = ray.get(board.ask.remote(self._number), timeout=1) or self._known
        return self._known


def start_as_in(folder: str, start: Callable[..., None], spec: Mapping[str, Any], *arguments: Any) -> None:
    """In the isolated process: Python files are those that were shipped, other relative paths lead where they led."""
    shipped = Path.cwd()
    if os.path.isdir(folder):
        os.chdir(folder)
    beside = list(spec.get(BESIDE, ()))
    start({**_found(spec, shipped), BESIDE: [*beside, *_shipped_beside(beside, folder, shipped)]}, *arguments)


def _shipped_beside(beside: Sequence[str], folder: str, shipped: Path) -> list[str]:
    """Where what lay beside the config is, as far as it was shipped."""
    below = (Path(one).relative_to(folder) for one in beside if Path(one).is_relative_to(folder))
    return list(dict.fromkeys(str(shipped / one) for one in (*below, Path())))


def _found(spec: Mapping[str, Any], shipped: Path) -> dict[str, Any]:
    """A specification with the paths of configs that were shipped."""
    found: dict[str, Any] = {}
    for key, value in spec.items():
        if isinstance(value, Mapping):
            found[key] = _found(value, shipped)
        elif isinstance(value, str) and value.endswith(".py") and (shipped / value).is_file():
            found[key] = str(shipped / value)
        else:
            found[key] = value
    return found


def _called(message: bytes) -> Any:
    """In the isolated process: a call that came as bytes."""
    # From this user's search, by way of the Ray cluster it was told to use: who may submit to it may run code anyway.
    fn, args, kwargs = pickle.loads(message)
    return fn(*args, **kwargs)

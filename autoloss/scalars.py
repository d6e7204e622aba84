"""Scalars: the progress of a search for TensorBoard."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from autoloss.discover import Progress, Watcher
from primitives.errors import InputError


@contextmanager
def watching(folder: Path | None) -> Iterator[Watcher]:
    """A watcher that writes scalars.

    Args:
        folder: for TensorBoard's files; None for a watcher that does nothing.

    Raises:
        InputError: TensorBoard is not installed.
    """
    if folder is None:
        yield lambda _: None
        return
    if importlib.util.find_spec("tensorboard") is None:
        raise InputError("--tensorboard needs TensorBoard, which is not installed: pip install 'autoloss[tensorboard]'")
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder)) as writer:
        yield Scalars(writer)


class Scalars:
    """Writes a point per evaluation, and the best score when it changes.

    Args:
        writer: a SummaryWriter.
    """

    def __init__(self, writer: Any) -> None:
        self.writer = writer
        self._last = Progress()

    def __call__(self, progress: Progress) -> None:
        """Takes a change."""
        new = progress.latest
        if new is not None and new is not self._last.latest:
            self.writer.add_scalar(f"seconds/{new.rung}", new.seconds, new.candidate)
            if new.score is not None:
                self.writer.add_scalar(f"score/{new.rung}, seed {new.seed}", new.score, new.candidate)
        if progress.best is not None and progress.best != self._last.best:
            self.writer.add_scalar("best", progress.best[1], progress.born)
            if progress.own is not None:
                self.writer.add_scalar("best minus own", progress.best[1] - progress.own, progress.born)
        if progress.born != self._last.born:
            self.writer.add_scalar("refused", progress.refused, progress.born)
        self._last = progress

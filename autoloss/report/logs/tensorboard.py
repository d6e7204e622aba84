"""TensorBoard: the progress of a search as its scalars."""

from __future__ import annotations

import importlib.util
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from autoloss.search.progress import Progress, Watcher
from primitives.errors import InputError


@contextmanager
def watching(folder: Path | None) -> Iterator[Watcher]:
    """A watcher that writes scalars.

    Args:
        folder: for TensorBoard's files; None for a watcher that does nothing.

    Raises:
        InputError: TensorBoard is not installed, or the folder cannot be written.
    """
    if folder is None:
        yield lambda _: None
        return
    if importlib.util.find_spec("tensorboard") is None:
        raise InputError("--tensorboard needs TensorBoard, which is not installed: pip install 'autoloss[tensorboard]'")
    from torch.utils.tensorboard import SummaryWriter

    try:
        folder.mkdir(parents=True, exist_ok=True)
        writer = SummaryWriter(str(folder))
    except OSError as error:
        raise InputError(f"cannot write scalars to {str(folder)!r}: {error.strerror or error}") from None
    before = threading.excepthook
    threading.excepthook = lambda what: None if _is_full(what) else before(what)
    try:
        yield Scalars(writer)
    finally:
        with suppress(OSError):
            writer.close()
        threading.excepthook = before


def _is_full(what: threading.ExceptHookArgs) -> bool:
    """Whether TensorBoard's thread could not write, which its next call says again."""
    return type(what.thread).__module__.startswith("tensorboard.") and isinstance(what.exc_value, OSError)


class Scalars:
    """Writes a point per evaluation, and the best score when it changes.

    Args:
        writer: a SummaryWriter.
    """

    def __init__(self, writer: Any) -> None:
        self.writer = writer
        self._last, self._told = Progress(), False

    def __call__(self, progress: Progress) -> None:
        """Takes a change; says once that it cannot be written, as on a full disk, for the search goes on."""
        try:
            self._write(progress)
        except OSError as error:
            if not self._told:
                self._told = True
                logging.getLogger(__name__).warning("scalars cannot be written from here on: %s", error)
        self._last = progress

    def _write(self, progress: Progress) -> None:
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

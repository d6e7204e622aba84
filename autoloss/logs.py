"""Logs: what a search does, a line of JSON each."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from primitives.errors import InputError


class Json(logging.Formatter):
    """A record as one line: `time` (Unix), `level`, `event`, and the facts of the event."""

    def format(self, record: logging.LogRecord) -> str:
        """See logging.Formatter."""
        facts = getattr(record, "facts", {})
        line = {"time": record.created, "level": record.levelname.lower(), "event": record.getMessage(), **facts}
        return json.dumps(line, default=str)


@contextmanager
def as_json(file: str | None) -> Iterator[None]:
    """Appends what is logged to a file.

    Args:
        file: its name, "-" for stderr, None for no log.

    Raises:
        InputError: it cannot be written.
    """
    if file is None:
        yield
        return
    try:
        handler = logging.StreamHandler(sys.stderr) if file == "-" else logging.FileHandler(file)
    except OSError as error:
        raise InputError(f"cannot write the log {file!r}: {error.strerror}") from None
    handler.setFormatter(Json())
    root, ours = logging.getLogger(), logging.getLogger("autoloss")
    # Else what is logged for the file would come to the terminal, too.
    quiet = [(one, one.level) for one in root.handlers]
    for one, _ in quiet:
        one.setLevel(max(one.level, logging.WARNING))
    before = ours.level
    ours.setLevel(logging.INFO)
    root.addHandler(handler)
    begin = time.time()
    ours.info("session begins")
    try:
        yield
    except BaseException as error:
        ours.info("session stopped", extra={"facts": {"why": str(error) or type(error).__name__}})
        raise
    else:
        ours.info("session ends", extra={"facts": {"seconds": time.time() - begin}})
    finally:
        root.removeHandler(handler)
        handler.close()
        ours.setLevel(before)
        for one, level in quiet:
            one.setLevel(level)

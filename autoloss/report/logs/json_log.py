"""JSON log: what a search does, a line of JSON each."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from primitives.errors import InputError


class Json(logging.Formatter):
    """A record as one line: `time` (Unix), `level`, `event`, and the facts of the event."""

    def format(self, record: logging.LogRecord) -> str:
        """See logging.Formatter."""
        facts = getattr(record, "facts", {})
        line = {"time": record.created, "level": record.levelname.lower(), "event": record.getMessage(), **facts}
        return json.dumps(line, default=str)


class _Log(logging.StreamHandler):  # type: ignore[type-arg]  # which Python 3.10 takes no argument for
    """Says once that it cannot write, as on a full disk; what is logged about goes on."""

    told = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802, ARG002  as logging calls it
        """See logging.Handler."""
        if not self.told:
            self.told = True
            why = sys.exc_info()[1]
            logging.getLogger(__name__).warning("the log cannot be written from here on: %s", why)


@contextmanager
def as_json(file: str | None) -> Iterator[None]:
    """Appends what is logged to a file.

    Args:
        file: its name, "-" for stderr, None for no log; its folder is made.

    Raises:
        InputError: it cannot be written.
    """
    if file is None:
        yield
        return
    try:
        if file != "-":
            Path(file).parent.mkdir(parents=True, exist_ok=True)
        stream = sys.stderr if file == "-" else open(file, "a", encoding="utf-8")  # noqa: SIM115  closed below
    except OSError as error:
        raise InputError(f"cannot write the log {file!r}: {error.strerror}") from None
    handler = _Log(stream)
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
        with suppress(OSError):
            handler.close()
            if stream is not sys.stderr:
                stream.close()
        ours.setLevel(before)
        for one, level in quiet:
            one.setLevel(level)

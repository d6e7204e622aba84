"""Files: written whole, or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from primitives.errors import InputError
from primitives.text.printable import printable


def write_whole(file: Path, text: str) -> None:
    """Writes a text where a kill or a full disk leaves the file that was there, if any.

    Raises:
        InputError: it cannot be written.
    """
    fresh = file.with_name(f"{file.name}.new")
    try:
        fresh.write_text(text, encoding="utf-8")
        os.replace(fresh, file)
    except OSError as error:
        raise InputError(f"cannot write {printable(file)}: {error.strerror}") from None

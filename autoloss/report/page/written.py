"""Written: a page as a file, whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from primitives.errors import InputError

_MARK = b'<meta name="generator" content="autoloss'
_HEAD = 4000


def write(text: str, file: Path, force: bool = False) -> None:
    """Writes a page; one that the toolkit wrote before is replaced.

    Args:
        text: of the page.
        file: to write.
        force: replace any file.

    Raises:
        InputError: it cannot be written, or another file is there.
    """
    fresh = file.with_name(f"{file.name}.new")
    try:
        if not force and file.exists() and not _is_page(file):
            raise InputError(
                f"{file} is there and no page of this toolkit; name another, or write over it with --force"
            )
        fresh.write_text(text, encoding="utf-8")
        os.replace(fresh, file)
    except OSError as error:
        raise InputError(f"cannot write {str(file)!r}: {error.strerror}") from None


def _is_page(file: Path) -> bool:
    with file.open("rb") as content:
        return _MARK in content.read(_HEAD)

"""Written: a page as a file, whole or not at all."""

from __future__ import annotations

from pathlib import Path

from primitives.errors import InputError
from primitives.system.files import write_whole
from primitives.text.printable import printable

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
    try:
        foreign = not force and file.exists() and not _is_page(file)
    except OSError as error:
        raise InputError(f"cannot write {printable(file)}: {error.strerror}") from None
    if foreign:
        raise InputError(f"{file} is there and no page of this toolkit; name another, or write over it with --force")
    write_whole(file, text)


def _is_page(file: Path) -> bool:
    with file.open("rb") as content:
        return _MARK in content.read(_HEAD)

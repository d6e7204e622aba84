"""Cache: folders of prepared data, made once, and looked over before they are used again."""

from __future__ import annotations

import json
import logging
import os
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path

import platformdirs

from detectors.data.annotations import uncollected
from primitives.errors import InputError
from primitives.system import scratch

_log = logging.getLogger(__name__)
_SUMS = "sums.json"
_PICTURES = {".png", ".jpg"}
"""Their own formats tell when they are damaged; there can be too many to read them all before each training."""


def cache_folder() -> Path:
    """Where prepared data lies: $AUTOLOSS_CACHE, or the user's cache folder, ~/.cache/autoloss on Linux."""
    return Path(os.environ.get("AUTOLOSS_CACHE") or platformdirs.user_cache_dir("autoloss"))


def once(folder: Path, write: Callable[[Path], None]) -> Path:
    """Makes a folder as a whole or not at all, also when two processes try; one that is damaged is made anew.

    Args:
        folder: to be there.
        write: puts the files into the folder that it is given.

    Raises:
        InputError: there is no place for it.
    """
    try:
        wrong = _wrong(folder) if folder.is_dir() else ""
        if wrong:
            _log.warning("prepared data in %s is damaged (%s) and made anew", folder, wrong)
            _discard(folder)
        if folder.is_dir():
            return folder
        folder.parent.mkdir(parents=True, exist_ok=True)
        scratch.sweep(folder.parent)
        fresh = Path(scratch.make(folder.parent, hidden=True))
    except OSError as error:
        raise _no_place(folder, error) from None
    try:
        with uncollected():
            write(fresh)
        (fresh / _SUMS).write_text(json.dumps(_sums(fresh)))
        fresh.rename(folder)
    except OSError as error:
        if not folder.is_dir():  # else the other process was first
            raise _no_place(folder, error) from None
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return folder


def _no_place(folder: Path, error: OSError) -> InputError:
    return InputError(f"cannot keep prepared data in {folder.parent} ($AUTOLOSS_CACHE): {error}")


def _wrong(folder: Path) -> str:
    """What a folder does not hold as it was made; empty when nothing is."""
    try:
        made = dict(json.loads((folder / _SUMS).read_bytes()))
    except (FileNotFoundError, ValueError, TypeError, RecursionError):
        return f"no {_SUMS} that can be read"
    there = _sums(folder)
    return next(
        (
            f"{name} is another" if name in there else f"{name} is missing"
            for name, found in made.items()
            if there.get(name) != found
        ),
        "",
    )


def _sums(folder: Path) -> dict[str, list[int]]:
    """Size of every file, and the checksum of those that are no pictures."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != _SUMS)
    return {
        path.relative_to(folder).as_posix(): [path.stat().st_size, 0 if path.suffix in _PICTURES else _checksum(path)]
        for path in files
    }


def _checksum(file: Path) -> int:
    found = 0
    with file.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            found = zlib.crc32(chunk, found)
    return found


def _discard(folder: Path) -> None:
    """Out of the way first, for another process may be about to do the same."""
    away = Path(scratch.make(folder.parent, hidden=True))
    try:
        folder.rename(away / "damaged")
    except FileNotFoundError:
        pass
    finally:
        shutil.rmtree(away, ignore_errors=True)

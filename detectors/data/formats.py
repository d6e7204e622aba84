"""Formats: whether a path can be COCO JSON, said before anything slow begins."""

from __future__ import annotations

from pathlib import Path

from primitives.errors import InputError
from primitives.text.printable import printable


def look_at(annotations: object, images: object = None) -> None:
    """Refuses annotations that are no file, and images that are no folder.

    Args:
        annotations: path of the file.
        images: folder, None for none to look at.

    Raises:
        InputError: no path, or no such file or folder.
    """
    file, folder = as_path(annotations, "annotations"), None if images is None else as_path(images, "images")
    try:
        there, listed = file.is_file(), folder is None or folder.is_dir()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise InputError(f"cannot read {printable(file)!r}: {why}") from None
    if not there:
        raise InputError(f"no annotation file at {printable(file)!r}")
    if not listed:
        raise InputError(f"no image folder at {printable(images)!r}, which {printable(file)} needs")


def as_path(value: object, what: str) -> Path:
    """A path of a description.

    Raises:
        InputError: it is none.
    """
    if not isinstance(value, (str, Path)) or not str(value):
        raise InputError(f"{what} must be a path, got {printable(repr(value))}")
    return Path(value)

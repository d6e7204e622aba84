"""Find: the image that a file of annotations is about, in the folders where people keep images."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

KINDS = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"}
_SPLITS = {
    "train": ("train", "training", "trainval"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}
_FOLDERS = ("JPEGImages", "images", "Images", "imgs", "img", "")


class Finder:
    """Images below a folder, by the place and the name of a file of annotations.

    Args:
        root: nothing is looked for outside of it.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._known: dict[Path, dict[str, list[str]]] = {}

    def of(self, file: Path, said: str) -> Path | None:
        """The image of a file of annotations: of its name, as tools that write such files pair them; else as it says.

        It is looked for beside the file, then in JPEGImages, images and their like of every folder above.

        Args:
            file: of annotations.
            said: name of the image in it; of a path, also one of Windows, its last part counts.
        """
        said = last_part(said)
        for name in (f"{file.stem}{Path(said).suffix}", said):
            for folder in self._folders(file):
                if folder not in self._known:
                    self._known[folder] = _listed(folder)
                found = _matching(self._known[folder], name)
                if found:
                    return folder / found
        return None

    def _folders(self, file: Path) -> Iterator[Path]:
        yield file.parent
        for above in (parent for parent in file.parent.parents if parent == self.root or self.root in parent.parents):
            inner = file.parent.relative_to(above).parts[1:]
            for name in _FOLDERS:
                yield above / name
                if inner:
                    yield (above / name).joinpath(*inner)


def split_of(name: str) -> str | None:
    """The split that a name of a file or a folder speaks of, such as val of `instances_val2017`; None for none."""
    words = re.findall(r"[a-z]+", name.lower())
    return next((split for split, names in _SPLITS.items() if any(word in words for word in names)), None)


def split_folders(folder: Path) -> dict[str, Path]:
    """The folders in a folder that are called after splits, by train, val and test."""
    try:
        there = {entry.name.lower(): Path(entry.path) for entry in os.scandir(folder) if entry.is_dir()}
    except (OSError, ValueError):
        return {}
    found = {split: next((there[name] for name in names if name in there), None) for split, names in _SPLITS.items()}
    return {split: place for split, place in found.items() if place is not None}


def last_part(path: str) -> str:
    """The name of a file, of a path of any system."""
    return path.replace("\\", "/").rsplit("/", 1)[-1].strip()


def images(folder: Path) -> list[Path]:
    """All images below a folder, sorted."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in KINDS and path.is_file())


def size(file: Path) -> tuple[int, int] | None:
    """Width and height in pixels as mmdetection reads them, turned as EXIF says; None for no image."""
    from PIL import Image

    try:
        with Image.open(file) as picture:
            turned = picture.getexif().get(0x0112, 1) in (5, 6, 7, 8)
            width, height = picture.size
    except Exception:  # Pillow raises many kinds
        return None
    return (height, width) if turned else (width, height)


def _matching(names: dict[str, list[str]], name: str) -> str | None:
    """The name itself, else another ending or case of it."""
    stem = os.path.splitext(name)[0]
    there = names.get(stem.casefold(), [])
    ranked = sorted(there, key=lambda one: (one != name, os.path.splitext(one)[0] != stem, one))
    return ranked[0] if ranked else None


def _listed(folder: Path) -> dict[str, list[str]]:
    """Images of a folder by their stems in lower case."""
    found: dict[str, list[str]] = {}
    try:
        names = sorted(entry.name for entry in os.scandir(folder) if entry.is_file())
    except (OSError, ValueError):
        return found
    for name in names:
        stem, ending = os.path.splitext(name)
        if ending.lower() in KINDS:
            found.setdefault(stem.casefold(), []).append(name)
    return found

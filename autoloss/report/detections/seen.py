"""Seen: images beside each other with what was found in them by one loss and by another, as a page draws them."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

from autoloss.candidate import OWN
from autoloss.report.detections.document import FOLDER, Box, Detections, Image
from primitives.errors import InputError
from primitives.text.printable import printable

_SIDE = 400
"""Units of the longer side of a picture, whatever its pixels, so that letters are as large in each."""
_LETTERS = 16
_NAME = 20
"""Most characters of a class beside a box."""
_SAID = 12
"""Most objects that the words for those who do not see it name."""


@dataclass(frozen=True)
class Mark:
    """A box of a picture.

    Args:
        kind: `object`, `missed`, `right` or `wrong`.
        box: x, y, width, height, in units of the picture.
        text: class and score.
        at: left and lower end of the text.
    """

    kind: str
    box: tuple[str, ...]
    text: str
    at: tuple[str, str]


@dataclass(frozen=True)
class Pane:
    """An image as one loss sees it.

    Args:
        title: of the loss.
        marks: objects first.
        caption: how many were found.
        says: the same with what they are.
    """

    title: str
    marks: list[Mark]
    caption: str
    says: str


@dataclass(frozen=True)
class Seen:
    """An image as several losses see it.

    Args:
        name: of its file.
        source: the picture as a URL that holds it.
        width: in units.
        height: in units.
        panes: a loss each.
    """

    name: str
    source: str
    width: str
    height: str
    panes: list[Pane]


@dataclass(frozen=True)
class SeenSet:
    """The images of a data set; `says` has of each loss how it scores on all of them and what of it is shown."""

    says: list[str]
    images: list[Seen]


def beside(losses: Sequence[Detections], metric: str) -> list[SeenSet]:
    """Images with what each loss finds in them.

    Args:
        losses: detections, of the same images.
        metric: what scores are.

    Raises:
        InputError: they are of different images.
    """
    if len({tuple(tuple(image.name for image in some.images) for some in one.sets) for one in losses}) > 1:
        raise InputError(f"{FOLDER}/ holds what two losses find on different images; delete it, and make it anew")
    titles = ["own loss" if one.candidate == OWN else f"#{one.candidate}" for one in losses]
    found = []
    for sets in zip(*(one.sets for one in losses), strict=True):
        says = [
            f"{title}: {metric} {one.score:.3f}; shown {printable(one.says, 300)}"
            for title, one in zip(titles, sets, strict=True)
        ]
        rows = zip(*(one.images for one in sets), strict=True)
        found.append(SeenSet(says, [_seen(titles, row) for row in rows]))
    return found


def _seen(titles: Sequence[str], images: Sequence[Image]) -> Seen:
    first = images[0]
    unit = _SIDE / max(first.width, first.height)
    source = f"data:{first.type};base64,{base64.b64encode(first.picture).decode()}"
    width, height = (f"{unit * side:.0f}" for side in (first.width, first.height))
    panes = [_pane(title, image, unit) for title, image in zip(titles, images, strict=True)]
    return Seen(printable(first.name, 60), source, width, height, panes)


def _pane(title: str, image: Image, unit: float) -> Pane:
    missed = [printable(one.name, 60) for one in image.objects if not one.found]
    right, wrong = (
        [f"{printable(one.name, 60)} {one.score:.2f}" for one in image.found if one.right is hit]
        for hit in (True, False)
    )
    count = len(image.objects)
    caption = f"{count - len(missed)} of {count} found, {len(wrong)} wrong"
    parts = [f"{what}: {_few(some)}" for what, some in (("found", right), ("missed", missed), ("wrong", wrong)) if some]
    says = ". ".join([f"{title}, {printable(image.name, 60)}: {caption}", *parts])
    return Pane(title, _marks(image, unit), caption, says)


def _marks(image: Image, unit: float) -> list[Mark]:
    """Objects, then detections, the surest on top; no text lies on another."""
    said: list[tuple[float, float, float]] = []
    marks = []
    for one in image.objects:
        kind, text = ("object", "") if one.found else ("missed", f"missed {_short(one.name)}")
        marks.append(_mark(kind, one.box, text, unit, said))
    surest = []
    for two in sorted(image.found, key=lambda one: -one.score):
        text = f"{_short(two.name)} {two.score:.2f}"
        surest.append(
            _mark("right" if two.right else "wrong", two.box, text if two.right else f"\u2717 {text}", unit, said)
        )
    return [*marks, *reversed(surest)]


def _mark(kind: str, box: Box, text: str, unit: float, said: list[tuple[float, float, float]]) -> Mark:
    """A mark, its text below an object that was missed and above a detection, where there is room.

    Args:
        kind: of mark.
        box: in units of the image.
        text: beside it.
        unit: of the picture, in those of the image.
        said: left, right and lower end of every text before; this one's is added.
    """
    x, y, width, height = (unit * value for value in box)
    left, wide = max(x, 2.0), 0.6 * _LETTERS * len(text)
    low = y + height + _LETTERS - 3 if kind == "missed" else max(y - 4, _LETTERS)
    while text and any(left < right and other < left + wide and abs(low - at) < _LETTERS for other, right, at in said):
        low += _LETTERS
    if text:
        said.append((left, left + wide, low))
    shown = tuple(f"{value:.1f}" for value in (x, y, max(width, 0), max(height, 0)))
    return Mark(kind, shown, text, (f"{left:.1f}", f"{low:.1f}"))


def _short(name: str) -> str:
    shown = printable(name, None)
    return shown if len(shown) <= _NAME else f"{shown[: _NAME - 1]}\u2026"


def _few(names: Sequence[str]) -> str:
    rest = len(names) - _SAID
    return ", ".join(names[:_SAID]) + (f" and {rest} more" if rest > 0 else "")

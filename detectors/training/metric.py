"""Metric: which of the metrics of an evaluation is the score that a search is for."""

from __future__ import annotations

import difflib
import json
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from detectors.data.annotations import is_ignored
from detectors.data.coco import CocoSource
from detectors.data.images import spaced
from detectors.data.names import alike
from primitives.errors import InputError
from primitives.text.printable import printable

AREAS = {"small": (0, 32**2), "medium": (32**2, 96**2), "large": (96**2, 1e10)}
"""COCO's, in square pixels, both ends included."""
OF_CLASS = "AP of "
"""What the name of a class's AP begins with."""
_KEYS = {
    "mAP": "mAP",
    "AP50": "mAP_50",
    "AP75": "mAP_75",
    **{name: name for area in AREAS for name in (f"AP_{area}", f"AR_{area}")},
    **{name: name for name in ("AR1", "AR10", "AR100")},
}
"""The names that a person may give, and those of `Truth.score`."""


@dataclass(frozen=True)
class Metric:
    """What a score is.

    Args:
        name: what people call it.
        keys: of the metrics whose mean it is.
        classes: that these are of, none where they are of all.
    """

    name: str
    keys: tuple[str, ...]
    classes: tuple[str, ...] = ()

    @classmethod
    def of(cls, value: object) -> Metric:
        """The metric that a config names.

        Args:
            value: such as "mAP", "AP50" or "AR100", or a list of names of classes, whose mean AP it is.

        Raises:
            InputError: it is none.
        """
        if isinstance(value, (list, tuple)):
            names = [str(name) for name in value]
            if not names or len(set(names)) < len(names) or not all(isinstance(one, (str, int)) for one in value):
                raise InputError(f"metric is a list of different classes, got {printable(repr(value), 200)}")
            return cls(_title(names), tuple(OF_CLASS + name for name in names), tuple(names))
        if not isinstance(value, str) or value not in _KEYS:
            near = difflib.get_close_matches(str(value), _KEYS, n=1, cutoff=0.5)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            raise InputError(
                f"unknown metric {printable(repr(value), 80)}{hint}; choices: {', '.join(_KEYS)}, or a list of "
                "classes, such as ['cat', 'dog']"
            )
        return cls(value, (_KEYS[value],))

    def score(self, metrics: Mapping[str, float]) -> float:
        """The score of an evaluation.

        Raises:
            InputError: the images have no box that it could be of.
        """
        missing = [key for key in self.keys if key not in metrics]
        if missing:
            raise InputError(f"metric {printable(missing[0], 80)}: the images that are evaluated have no such box")
        if len(self.keys) == 1:
            return metrics[self.keys[0]]
        return statistics.fmean(metrics[key] for key in self.keys)

    def check(self, source: CocoSource, split: str, most: int | None = None) -> None:
        """Refuses data that has no box that it could be of.

        Args:
            source: the data.
            split: its name.
            most: images that are evaluated, evenly spaced ones where there are more; None for all.

        Raises:
            InputError: an unknown class, one without boxes, or no box of a size.
        """
        for name in self.classes:
            if name not in source.classes:
                near = next((one for one in source.classes if alike([one, name])), None)
                near = near or next(iter(difflib.get_close_matches(name, source.classes, n=1)), None)
                hint = f" (did you mean {printable(repr(near), 60)}?)" if near else ""
                known = ", ".join(printable(one, 40) for one in source.classes[:20])
                raise InputError(f"metric names class {printable(repr(name), 60)}, which is none{hint}; known: {known}")
            if name in source.bare:
                raise InputError(f"metric names class {printable(repr(name), 60)}, which has no box in data.{split}")
        area = "" if self.classes else self.name.partition("_")[2]
        if area not in AREAS and not self.classes:
            return
        boxes, named = _boxes(source, most)
        few = "" if most is None or most >= source.count else f" in the {most} images that a rung evaluates there"
        for name in self.classes:
            if not any(named[entry["category_id"]] == name for entry in boxes):
                raise InputError(
                    f"metric names class {printable(repr(name), 60)}, which has no box in data.{split}{few}; raise "
                    "evaluate_images in the rung's task"
                )
        if area in AREAS and not any(_within(entry, area) for entry in boxes):
            low, high = AREAS[area]
            raise InputError(
                f"metric {self.name}: data.{split} has no box of {low:,.0f} to {high:,.0f} square pixels{few}"
            )


def _boxes(source: CocoSource, most: int | None) -> tuple[list[Mapping[str, Any]], dict[Any, str]]:
    """The boxes of the images that are evaluated, and the classes by their id."""
    content = json.loads(source.boxes.read_text())
    images = content["images"]
    chosen = {images[place]["id"] for place in spaced(len(images), most or len(images))}
    boxes = [one for one in content["annotations"] if one["image_id"] in chosen and not is_ignored(one)]
    return boxes, {one["id"]: one["name"] for one in content["categories"]}


def _within(entry: Mapping[str, Any], area: str) -> bool:
    low, high = AREAS[area]
    return low <= entry["area"] <= high


def _title(names: list[str]) -> str:
    shown = ", ".join(printable(name, 30) for name in names[:3])
    return f"AP of {shown}" + (f" and {len(names) - 3} more" if len(names) > 3 else "")

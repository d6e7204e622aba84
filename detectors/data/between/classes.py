"""Classes: those of other splits become those of the training set, by their names, as in mmdetection."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from detectors.data.cache import cache_folder, once
from detectors.data.coco import CocoSource, digest, prepared, store
from detectors.data.names import alike
from primitives.errors import InputError
from primitives.text.printable import printable


def like(source: CocoSource, classes: Sequence[str], split: str, others: str = "data.train") -> CocoSource:
    """The same images and boxes with other classes: their order, and their ids.

    Args:
        source: of a split.
        classes: names, in the order to have.
        split: what messages call it.
        others: what messages call where the classes come from.

    Raises:
        InputError: a class with boxes that is not among them, or two of one name.
    """
    if source.classes == tuple(classes):
        return source
    for who, names in ((split, source.classes), (others, classes)):
        twice = next((name for name in names if list(names).count(name) > 1), None)
        if twice is not None:
            raise InputError(f"{who} has two classes called {_shown(twice)}; classes go by name, so give each its own")
    refusal = foreign(source.classes, source.bare, classes, split, others)
    if refusal:
        raise InputError(refusal)
    place = once(
        cache_folder() / f"classes-{digest(source.annotations, *classes)}",
        lambda fresh: store(fresh, _renamed(source, classes), left_out=source.left_out),
    )
    return replace(prepared(place, source.images), given=source.given, held_out_of=source.held_out_of)


def foreign(here: Sequence[str], bare: Sequence[str], classes: Sequence[str], split: str, others: str) -> str:
    """Why classes of a split cannot be evaluated: one that was not trained; empty where there is none.

    Args:
        here: names.
        bare: those without boxes; they may be any.
        classes: that are trained.
        split: what messages call it.
        others: what messages call where the classes come from.
    """
    unknown = [name for name in here if name not in classes]
    for name in unknown:
        near = next((known for known in classes if alike([known, name])), None)
        if near is not None:
            return (
                f"{split} has class {_shown(name)}, which {others} lacks; did you mean {_shown(near)}? "
                "Classes go by name: give both one spelling"
            )
    shown = [name for name in unknown if name not in bare]
    if not shown:
        return ""
    more = f" (and {len(shown) - 1} more)" if len(shown) > 1 else ""
    known = ", ".join(printable(name, 40) for name in classes[:20])
    return f"{split} has boxes of class {_shown(shown[0])}{more}, which {others} lacks; it has {known}"


def _renamed(source: CocoSource, classes: Sequence[str]) -> dict[str, Any]:
    content = json.loads(source.annotations.read_text())
    ids = {name: number for number, name in enumerate(classes, start=1)}
    names = {category["id"]: category["name"] for category in content["categories"]}
    entries = [
        {**entry, "category_id": ids[names[entry["category_id"]]]}
        for entry in content["annotations"]
        if names[entry["category_id"]] in ids
    ]
    return {**content, "annotations": entries, "categories": [{"id": ids[name], "name": name} for name in classes]}


def _shown(name: str) -> str:
    return f"'{printable(name, 60)}'"

"""Groups: images that belong together, such as the frames of one film, so that they do not stand on both sides.

A group is named by a person's regular expression. RE2 matches it, in time that is linear in the file name whatever the
expression; Python's own `re` may never end.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Mapping, Sequence

import re2

from primitives.errors import InputError
from primitives.text.printable import printable

MOST = 500  # characters of an expression
_KINDS = {
    "copies of one picture (Roboflow's)": r"^(.+?)(?:_(?:jpe?g|png|bmp|webp))?\.rf\.[^/]*$",
    "tiles of one scene": r"^(.*?[^/_.-][^/]*?)(?:[_.-]+\d+){2,}\.\w+$",
    "frames of one film": r"^(.*?[^/_.-][^/]*?)[_.-]*(?:frame|img)?[_.-]*\d+\.\w+$",
}
"""What file names often tell of, by what to call it; the first that fits is taken."""


def expression(text: str) -> str:
    """A regular expression, as it was given.

    Raises:
        InputError: it is none, or too long.
    """
    if not text or len(text) > MOST:
        raise InputError(f"group_by is a regular expression of 1 to {MOST} characters, got {len(text)}")
    try:
        re2.search(text, "", options=_options())
    except (re2.error, UnicodeError) as error:
        why = error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else error
        raise InputError(f"group_by {printable(repr(text), 120)} is no regular expression: {printable(why)}") from None
    return text


def _options() -> re2.Options:
    options = re2.Options()
    options.log_errors = False
    options.max_mem = 1 << 23
    return options


def group(name: str, text: str) -> str:
    """The group of an image: what the first bracket of an expression matches, or all of it; else the image is its own.

    Args:
        name: of the file, with the folders that the annotations name.
        text: the expression.
    """
    name = os.fsencode(name).decode(errors="replace")
    found = re2.search(text, name, options=_options())
    if not found:
        return name
    first = found.group(1) if found.re.groups else None
    return str(found.group() if first is None else first)


def parted(names: Sequence[str], text: str, each: int, parts: int) -> list[list[int]] | None:
    """Images for each of some parts, no group in two of them; None where the groups are too few or too large.

    Groups come in the order of a hash of their names, and one is left out that would make a part larger than asked for,
    unless it would else be empty.

    Args:
        names: of the files.
        text: the expression.
        each: images of a part.
        parts: how many.

    Returns:
        Places in `names`, of each part.
    """
    members: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        members.setdefault(group(name, text), []).append(place)
    left = sorted(members, key=lambda one: hashlib.sha256(one.encode("utf-8", "surrogatepass")).digest())
    found: list[list[int]] = []
    for _ in range(parts):
        chosen: list[str] = []
        count = 0
        for one in left:
            if count + len(members[one]) <= each:
                chosen.append(one)
                count += len(members[one])
        if not chosen and left:
            chosen = [min(left, key=lambda one: len(members[one]))]
        left = [one for one in left if one not in set(chosen)]
        found.append(sorted(place for one in chosen for place in members[one]))
    return found if left and all(found) else None


def on_both_sides(train: Sequence[str], other: Sequence[str], text: str) -> tuple[int, int, str]:
    """How many images of a split are of groups that are trained on too, of how many groups, and the first of these."""
    there = {group(name, text) for name in train}
    shared = [found for name in other if (found := group(name, text)) in there]
    return len(shared), len(set(shared)), shared[0] if shared else ""


def looks_grouped(names: Sequence[str]) -> tuple[str, str] | None:
    """An expression that names of files suggest, and what its groups may be; None where they suggest none.

    Nearly all images must match it, and there must be several groups, most images in one with others.
    """
    plain = [os.fsencode(name).decode(errors="replace") for name in names]
    for what, text in _KINDS.items():
        matched = [found.group(1) for name in plain if (found := re2.search(text, name, options=_options()))]
        sizes = Counter(matched)
        together = sum(size for size in sizes.values() if size > 1)
        if len(matched) >= 0.9 * len(names) and len(sizes) >= 3 and together >= len(names) / 2:
            return text, what
    return None


def straddling(splits: Mapping[str, Sequence[str]], text: str) -> dict[str, tuple[int, int, str]]:
    """What `on_both_sides` says of every split beside train, of those that share a group with it."""
    found = {split: on_both_sides(splits["train"], names, text) for split, names in splits.items() if split != "train"}
    return {split: shared for split, shared in found.items() if shared[0]}

"""Names: classes that a person may have meant to be one."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable


def alike(names: Iterable[str]) -> list[tuple[str, str]]:
    """Pairs of different names that only case, spaces, hyphens, underscores or the width of letters tell apart.

    Args:
        names: of classes.

    Returns:
        The first of its kind and the other, in the order given.
    """
    groups: dict[str, list[str]] = defaultdict(list)
    for name in dict.fromkeys(names):
        groups[re.sub(r"[\s_-]+", "", unicodedata.normalize("NFKC", name).casefold()) or name].append(name)
    return [(first, other) for first, *others in groups.values() for other in others]


def is_text(name: object) -> bool:
    """Whether a name is a text that can be written down; a lone surrogate cannot."""
    try:
        return isinstance(name, str) and bool(name.encode())
    except UnicodeEncodeError:
        return False

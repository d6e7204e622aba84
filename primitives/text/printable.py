"""Printable: text of a person or a file, as it can stand in a terminal, a table, a log or a picture.

A class name, a path or a formula may hold what moves a cursor, turns the direction of writing, breaks a line or cannot
be encoded at all. It is shown by its escape, as Python writes it, so that what is seen is what is there.
"""

from __future__ import annotations

import unicodedata

_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Unicode's categories of controls, formats (the marks of direction among them), surrogates, private and unassigned
code points, and separators of lines and paragraphs."""
_SHAPING = "\u200c\u200d"  # joiners: formats, but letters of Persian, scripts of India and emoji need them


def printable(text: object, limit: int | None = 200) -> str:
    r"""A text on one line, without anything that acts on the place where it lands.

    Args:
        text: of a person or a file; anything else is written by `str`.
        limit: most characters; of a longer text the middle is left out and its length said. None for no limit.

    Returns:
        The text, with `\x1b`, `\n`, `\u202e`, `\udc80` and their like in place of what they stand for. A backslash
        stays as it is: paths of Windows are read, not parsed.
    """
    said = str(text)
    if limit is not None and len(said) > limit:
        mark = f"...[{len(said):,} characters]..."
        kept = max(limit - len(mark), 2)
        said = said[: kept - kept // 2] + mark + said[len(said) - kept // 2 :]
    if said.isascii() and said.isprintable():
        return said
    return "".join(map(_shown, said))


def _shown(character: str) -> str:
    if unicodedata.category(character) in _HIDDEN and character not in _SHAPING:
        return character.encode("unicode_escape", "surrogatepass").decode("ascii")
    return character

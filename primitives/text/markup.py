"""Text: names that people or files gave, made harmless where they land: Markdown, LaTeX, Python; and short digests."""

from __future__ import annotations

import hashlib
import re

MOST = 120
"""Characters of a name that are shown."""
_MARKDOWN = {"&": "&amp;", "<": "&lt;", ">": "&gt;", **{mark: f"\\{mark}" for mark in "\\`*_{}[]|#~$!"}}
_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{mark: f"\\{mark}" for mark in "{}$&#_%"},
}


def plain(text: str, most: int = MOST) -> str:
    """One line that is shown as it is: white space becomes a space, what cannot be seen its escape, the rest is cut.

    Control and text-direction characters, lone surrogates and the like cannot be seen.

    Args:
        text: a name that a person or a file gave.
        most: characters that are kept before the rest becomes an ellipsis.
    """
    begin = " ".join(text[: 10 * most].split())
    seen = "".join(mark if mark.isprintable() else mark.encode("unicode_escape").decode() for mark in begin)
    return seen if len(seen) <= most else f"{seen[: most - 1]}…"


def markdown(text: str) -> str:
    """Text that Markdown shows as it is, in a cell of a table too; no HTML in it."""
    return "".join(_MARKDOWN.get(mark, mark) for mark in text)


def latex(text: str) -> str:
    """Text that LaTeX sets as it is, outside mathematics."""
    return "".join(_LATEX.get(mark, mark) for mark in text)


def docstring(text: str) -> str:
    """Text for between the triple quotes of a Python docstring, of a config file too, where {{ }} has a meaning."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("{{", "{ {")


def slug(text: str, most: int = 60) -> str:
    """Text as part of a file's name: ASCII letters, digits and . _ -, not at its beginning a dot or a dash."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", text)[:most].lstrip(".-") or "_"


def digest(text: str) -> str:
    """Eight hexadecimal digits that stand for a text."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:8]

"""Terminal: consoles that show text as it is: no markup, no emoji codes, and nothing that acts on the terminal."""

from __future__ import annotations

import sys
from typing import Any

from rich.console import Console
from rich.text import Text

from primitives.text.printable import printable


class Plain(Console):
    """A console to which a string is text, whoever wrote it: a name, a formula, a path, an error.

    What moves a cursor or turns the direction of writing is shown by its escape; line breaks stay line breaks, so a
    name that must keep to its line goes through `printable` where it is put into a text.
    """

    def __init__(self, **arguments: Any) -> None:
        super().__init__(markup=False, emoji=False, **arguments)

    def render_str(self, text: str, **arguments: Any) -> Text:
        """See rich.console.Console."""
        return super().render_str("\n".join(printable(line, None) for line in text.split("\n")), **arguments)


def stdout() -> Console:
    """Where tables go."""
    # Formulas are long: where nobody watches, lines may be longer than a terminal of 80 columns.
    return Plain() if sys.stdout.isatty() else Plain(width=120)


def stderr() -> Console:
    """Where progress goes."""
    return Plain(stderr=True)

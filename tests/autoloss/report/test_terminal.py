import io

import pytest
from rich.table import Table

from autoloss.report.terminal import Plain

HOSTILE = ["[red]a[/red]", "a[/b", ":smile:", "a\x1b[31mb", "a\u202eb", "a\0b", "a\x07b", "\ud800", "a|b", "<script>"]


def shown(what: object) -> str:
    stream = io.StringIO()
    console = Plain(file=stream, width=120, force_terminal=True, color_system=None)
    console.print(what, highlight=False)
    return stream.getvalue()


def table(text: str) -> Table:
    made = Table(title=text)
    made.add_column(text)
    made.add_row(text)
    return made


@pytest.mark.parametrize("text", HOSTILE, ids=repr)
def test_text_is_shown_as_text_wherever_it_stands(text: str) -> None:
    wanted = text.encode("unicode_escape").decode() if not text.isprintable() else text
    assert shown(text) == f"{wanted}\n"
    assert shown(table(text)).count(wanted) == 3


def test_lines_stay_lines() -> None:
    assert shown("a\n  b") == "a\n  b\n"

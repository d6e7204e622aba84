"""The leaderboard in a terminal: a line for each candidate, whatever the window."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from autoloss.report import tables
from autoloss.report.leaderboard import Leaderboard
from autoloss.report.terminal import Plain
from autoloss.store.run import Run


@pytest.fixture
def found(golden: Path) -> Leaderboard:
    with Run.open(golden / "runs/schema_2") as run:
        return Leaderboard.of(run)


def shown(found: Leaderboard, width: int, **options: Any) -> list[str]:
    out = io.StringIO()
    Plain(file=out, width=width, **options).print(tables.InLines(found))
    return out.getvalue().splitlines()


@pytest.mark.parametrize("width", [30, 40, 60, 80, 100, 200])
def test_a_candidate_is_a_line_as_wide_as_the_window(width: int, found: Leaderboard) -> None:
    lines = shown(found, width, force_terminal=True, color_system=None)
    assert max(map(len, lines)) <= width
    numbers = [line.split()[0] for line in lines[3:] if line.split()[:1] and line.split()[0].isdigit()]
    assert numbers == [str(row.candidate.number) for row in found.rows]


def test_where_nobody_watches_it_fits_100_columns_and_has_no_colours(found: Leaderboard) -> None:
    lines = shown(found, 120)
    assert max(map(len, lines)) <= 100
    assert "\x1b" not in "".join(lines)


def test_a_narrow_window_leaves_out_what_matters_least(found: Leaderboard) -> None:
    wide, narrow = (shown(found, width)[1] for width in (100, 40))
    assert wide.split()[-1] == "rung"
    assert "over own, 95 %" in wide
    assert "size" not in narrow
    assert "over own" not in narrow


def test_the_difference_to_the_own_loss_has_its_interval(found: Leaderboard) -> None:
    lines = shown(found, 100)
    row = next(row for row in found.rows if row.over_own)
    assert row.over_own is not None
    (line,) = [line for line in lines if line.split()[:1] == [str(row.candidate.number)]]
    assert f"{row.over_own.mean:+.3f} [{row.over_own.low:+.3f}, {row.over_own.high:+.3f}]" in line


def test_no_color_is_respected(found: Leaderboard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[36" not in "\n".join(shown(found, 100, force_terminal=True))

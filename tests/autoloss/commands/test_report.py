"""`autoloss report`: a page of a run, a page of several, and what it refuses."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from autoloss.report.page.told import Told
from autoloss.store.run import Run
from tests.autoloss.report.page.test_page import audit, valid
from tests.helpers.command import autoloss
from tests.helpers.fast_evaluator import MARKUP


@pytest.fixture
def runs(golden: Path, tmp_path: Path) -> list[Path]:
    """Two runs with the same name in two folders."""
    folders = [tmp_path / name / "run" for name in ("first", "second")]
    for folder, version in zip(folders, ("schema_1", "schema_2"), strict=True):
        shutil.copytree(golden / "runs" / version, folder)
    return folders


def test_a_page_lies_in_the_run_and_is_written_anew(runs: list[Path]) -> None:
    for _ in range(2):
        done = autoloss("report", runs[1])
        assert done.returncode == 0, done.stderr
        assert "report.html" in done.stderr
    valid((runs[1] / "report.html").read_text())
    assert {one.name for one in runs[1].iterdir()} == {"run.sqlite", "report.html"}


def test_several_runs_stand_on_one_page_by_names_that_tell_them_apart(runs: list[Path], tmp_path: Path) -> None:
    done = autoloss("report", "first/run", "second/run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "comparison.html").read_text()
    valid(text)
    for run in ("first/run", "second/run"):
        assert f"<h3>{run}</h3>" in text
    assert "What differs in their settings" in text


def test_what_an_audit_says_of_another_loss_is_not_said_of_the_winner(runs: list[Path], tmp_path: Path) -> None:
    with Run.open(runs[0]) as run:
        winner = Told.of(run).board.picks()[0].candidate.number
    shown = []
    for finalist in (winner, winner + 1):
        audit(runs[0], finalist=finalist, difference=0.4321)
        assert autoloss("report", "first/run", "second/run", cwd=tmp_path).returncode == 0
        shown.append((tmp_path / "comparison.html").read_text().count("+43.2"))
    assert shown[0] > shown[1] == 1  # in the audit's own table, which names the finalist


def test_another_file_is_left_alone_without_force(runs: list[Path], tmp_path: Path) -> None:
    file = tmp_path / "mine.html"
    file.write_text("mine")
    done = autoloss("report", runs[1], "--out", file)
    assert (done.returncode, file.read_text()) == (2, "mine")
    assert "no page of this toolkit" in done.stderr
    assert autoloss("report", runs[1], "--out", file, "--force").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["none"], "no run in 'none'"),
        (["first/run", "first/run"], "a run is named twice"),
        (["first/run", "--out", "none/report.html"], "cannot write"),
        (["first/run", "--out", "first"], "cannot write"),
    ],
)
def test_a_mistake_is_one_line(runs: list[Path], tmp_path: Path, arguments: list[str], says: str) -> None:
    done = autoloss("report", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert says in done.stderr
    assert done.stderr.count("\n") == 1


def test_names_that_are_markup_are_text_in_the_terminal_too(searched: Path) -> None:
    done = autoloss("show", searched, "--candidate", 0)
    assert done.returncode == 0
    for name in (MARKUP, "[red]alarm[/red]", "\\u202eright to left"):
        assert f"AP of {name}"[:55] in done.stdout
    lines = autoloss("show", searched).stdout.splitlines()
    assert (
        max(map(len, lines[: lines.index("*: on the front of score and size: nothing found is as good and shorter")]))
        <= 100
    )


@pytest.mark.parametrize("text", [MARKUP, "[red]i[/red]", "\u202ei - u", "\x1b[31mi", "i" + "+i" * 5_000], ids=ascii)
@pytest.mark.parametrize("command", ["check", "inspect", "show", "report"])
def test_a_formula_or_a_place_that_is_markup_is_a_line_of_text(command: str, text: str, tmp_path: Path) -> None:
    done = autoloss(command, text, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert text.encode("unicode_escape").decode()[:12] in done.stderr
    assert done.stderr.rstrip("\n").isprintable()
    assert len(done.stderr) < 2_100


def test_pictures_of_one_run_are_written_beside_the_page(runs: list[Path], tmp_path: Path) -> None:
    done = autoloss("report", runs[1], "--pictures", tmp_path / "pictures")
    assert done.returncode == 0, done.stderr
    names = {one.name for one in (tmp_path / "pictures").iterdir()}
    assert {"answer.png", "funnel.png", "front.png", "generations.png"} <= names
    done = autoloss("report", *runs, "--pictures", tmp_path / "pictures")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)

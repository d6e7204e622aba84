from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from autoloss.store.run import Run
from tests.helpers.audited import IMAGES, audited, searched
from tests.helpers.command import autoloss
from tests.helpers.small import section


@pytest.fixture(scope="module")
def search(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return searched(tmp_path_factory.mktemp("search") / "mine", generations=2, births=3)


@pytest.fixture(scope="module")
def held(search: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """The directory of a search that the command has audited, and what the command said."""
    directory = Path(shutil.copytree(search, tmp_path_factory.mktemp("held") / "mine"))
    config = directory.parent / "noisy.py"
    config.write_text(f"search = {section(evaluator={**IMAGES, 'noise': 0.05})!r}")
    audited(directory, directory / "audit", trials=3)  # in this process, so that the command has little left to train
    return directory, autoloss(
        *("audit", directory, "--on", config, "--seeds", 5, "--trials", 3, "--workers", 1), cwd=directory.parent
    )


def test_it_writes_a_table_a_picture_and_plain_values_and_says_it_in_words(held: tuple[Path, Any]) -> None:
    directory, done = held
    assert done.returncode == 0, done.stderr
    assert (directory / "audit" / "table.txt").read_text() == done.stdout
    said = " ".join(done.stdout.split())
    assert "On mine: seeds differ by" in said
    assert "On noisy, with weights as tuned elsewhere, over 5 new seeds and 32 images, in points of mAP" in said
    assert "self-balanced own loss" in said
    with Image.open(directory / "audit" / "forest.png") as image:
        assert image.width > 800


def test_the_plain_values_have_the_set_up_and_a_row_per_finalist_and_control(held: tuple[Path, Any]) -> None:
    written = json.loads((held[0] / "audit" / "audit.json").read_text())
    setup = written["setup"]
    assert setup["seeds"] == [101, 102, 103, 104, 105]
    assert 0 < setup["noise"] < setup["elsewhere"][0]["noise"]
    assert 0 < setup["smallest_difference"] < setup["elsewhere"][0]["smallest_difference"]
    keys = ["finalist", "control", "on", "metric", "difference", "low", "high", "p_better", "holm"]
    assert all(list(row) == keys for row in written["comparisons"])
    assert len(written["comparisons"]) == 2 * 2 * 5
    assert all(row["low"] <= row["difference"] <= row["high"] for row in written["comparisons"])


def test_an_audit_is_read_again_and_nothing_is_written(held: tuple[Path, Any], tmp_path: Path) -> None:
    directory, done = held
    before = {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}
    assert autoloss("audit", directory / "audit").stdout == done.stdout
    plain = autoloss("audit", directory / "audit", "--json", "--plot", tmp_path / "forest.svg")
    assert json.loads(plain.stdout) == json.loads((directory / "audit" / "audit.json").read_text())
    assert (tmp_path / "forest.svg").read_text().startswith("<?xml")
    assert {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--seeds", "4"], "an audit needs 5 seeds at least, got 4"),
        (["--seeds", "1,2,3,4,5"], "seed 1 took part in rung 'proxy' of"),
        (["--seeds", "many"], "--seeds is how many, such as 8, or which, such as 201,202,203, got 'many'"),
        (["--seeds", "2025"], "--seeds is 1,000 at most, got 2,025; a seed alone is no audit"),
        (["--on", "nowhere.py"], "nowhere.py"),
        (["--on", "digits_faster_rcnn"], "--on digits_faster_rcnn: its slots are loss_cls (softmax), loss_bbox (box)"),
        (["--random", "nowhere"], "no run in 'nowhere'"),
        (["--headroom", "nowhere"], "no run in 'nowhere'"),
    ],
)
def test_mistakes_are_one_line_and_nothing_is_written(search: Path, options: list[str], message: str) -> None:
    done = autoloss("audit", search, *options)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (search / "audit").exists()


def test_a_run_that_is_none_or_has_found_nothing_is_refused(tmp_path: Path) -> None:
    assert "no run in" in autoloss("audit", tmp_path / "none").stderr
    from autoloss.config import from_mapping

    with Run.create(tmp_path / "run", from_mapping(section()).identity()):
        pass
    done = autoloss("audit", tmp_path / "run")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "there is nothing to audit" in done.stderr


def test_options_of_an_audit_are_not_for_one_that_is_read(held: tuple[Path, Any]) -> None:
    done = autoloss("audit", held[0] / "audit", "--seeds", 7)
    assert done.returncode == 2
    assert "is an audit that is read, no search; it takes --plot and --json alone" in done.stderr

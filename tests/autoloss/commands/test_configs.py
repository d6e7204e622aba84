"""The configs that come with the toolkit: listed, taken by name from anywhere, copied, carried by the wheel."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from autoloss.config import load
from autoloss.evaluator import build
from primitives.system import places
from tests.helpers.command import autoloss

ROOT = Path(__file__).parents[3]


def test_every_config_is_listed_with_what_its_docstring_begins_with() -> None:
    lines = autoloss("configs").stdout.splitlines()
    files = sorted((ROOT / "configs").glob("*/*.py"))
    assert len(files) > 20
    for file in files:
        first = (ast.get_docstring(ast.parse(file.read_text())) or "").splitlines()[0]
        name = f"{file.parent.name}/{file.stem}"
        assert [line.split(maxsplit=1)[1] for line in lines if line.split()[:1] == [name]] == [first]
    assert set(json.loads(autoloss("configs", "--json").stdout)) == set(places.names())


@pytest.mark.parametrize("name", ["digits_fcos", "search/digits_fcos", "autoloss::search/digits_fcos.py"])
def test_a_config_is_taken_by_its_name_in_an_empty_folder(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = load(ROOT / "configs/search/digits_fcos.py").identity()
    monkeypatch.chdir(tmp_path)
    assert load(name).identity() == whole
    (tmp_path / "digits_fcos").mkdir()  # such as of a run
    assert load(name).identity() == whole


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (("search", "digits_fcso"), "did you mean 'digits_fcos'?"),
        (("estimate", "autoloss::search/paper_lader.py"), "did you mean 'search/paper_ladder'?"),
        (("fidelity", "bcd_fcos"), "did you mean 'bccd_fcos'?"),
        (("train", "retinanet_r51"), "did you mean 'retinanet_r50'?"),
        (("search", "digits_fcos", "--data", "coco2018.py"), "did you mean 'coco2017'?"),
        (("configs", "copy", "tiny_fcoss", "."), "did you mean 'tiny_fcos'?"),
        (("search", "autoloss::../pyproject"), "`autoloss configs`"),
    ],
)
def test_an_unknown_name_is_one_line_with_what_was_meant(
    arguments: tuple[str, ...], meant: str, tmp_path: Path
) -> None:
    done = autoloss(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert meant in done.stderr


def test_a_copy_of_a_search_by_a_command_brings_the_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert autoloss("configs", "copy", "own_loop", "mine", cwd=tmp_path).returncode == 0
    monkeypatch.chdir("/")
    found = load(tmp_path / "mine" / "own_loop.py")
    assert (tmp_path / "mine" / found.evaluator["command"][1]).is_file()
    build(found.evaluator_spec).prepare({"loss_cls": "sigmoid"}, [{"iterations": 3}])


@pytest.mark.parametrize("name", ["digits_fcos", "fidelity/digits_faster_rcnn", "paper_ladder"])
def test_a_copy_brings_what_it_needs_and_says_the_same(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = autoloss("configs", "copy", name, "mine", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    copied = tmp_path / "mine" / f"{Path(name).name}.py"
    monkeypatch.chdir("/")
    found, whole = load(copied), load(name, folder="search")
    detector = str(found.evaluator["detector"])
    assert (tmp_path / "mine" / detector).is_file()
    same = {**found.identity(), "evaluator": {**found.evaluator, "detector": whole.evaluator["detector"]}}
    assert same == whole.identity()
    again = autoloss("configs", "copy", name, "mine", cwd=tmp_path)
    assert (again.returncode, again.stderr.count("\n")) == (2, 1)
    assert "write over it with --force" in again.stderr
    assert autoloss("configs", "copy", name, "mine", "--force", cwd=tmp_path).returncode == 0


FROM_A_WHEEL = """
import sys
sys.path = [place for place in sys.path if place not in {outside!r}]
sys.path.insert(0, {installed!r})
import autoloss, detectors, primitives
from primitives.system.places import shipped
for one in (autoloss, detectors, primitives):
    assert one.__file__.startswith({installed!r}), one.__file__
assert str(shipped()).startswith({installed!r}), shipped()
from autoloss.cli import main
main()
"""
TINY = """search.generations=1 search.births=2 search.controls=[] search.known=[] search.finale=None search.workers=1
search.isolate=False search.ladder.0.task.pretrain=1 search.ladder.0.task.iterations=1 search.ladder.0.task.images=4
search.ladder.0.task.evaluate_images=4 search.ladder.1.task.pretrain=1 search.ladder.1.task.iterations=1
search.ladder.1.task.images=4 search.ladder.1.task.evaluate_images=4 search.evaluator.data.train=20
search.evaluator.data.val=4 search.evaluator.data.test=4""".split()


def built(folder: Path) -> Path:
    """The wheel of this checkout, built of a copy of it; its content unpacked, as `pip install --no-deps` lays it."""
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    for name in ("autoloss", "primitives", "detectors", "configs"):
        shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    build = "from setuptools import build_meta; print(build_meta.build_wheel('wheel'))"
    subprocess.run([sys.executable, "-c", build], cwd=folder, check=True, capture_output=True)
    (wheel,) = (folder / "wheel").glob("*.whl")
    with ZipFile(wheel) as content:
        content.extractall(folder / "installed")
    return folder / "installed"


def test_a_wheel_searches_from_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "empty").mkdir()
    installed = str(built(tmp_path / "source"))
    carried = {file.relative_to(installed).as_posix() for file in Path(installed).rglob("configs/*/*.py")}
    there = (file.relative_to(ROOT).as_posix() for file in (ROOT / "configs").rglob("*.py"))
    assert carried == {f"autoloss/.mim/{file}" for file in there}
    shutil.rmtree(tmp_path / "source/configs")
    outside = [str(ROOT), "", *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    code = FROM_A_WHEEL.format(installed=installed, outside=outside)
    options = [text for one in TINY for text in ("--cfg-options", one)]
    line = [sys.executable, "-c", code, "search", "digits_fcos", "run", "--evaluations", "4", *options]
    environment = {**os.environ, "PYTHONPATH": installed, "AUTOLOSS_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(
        line, cwd=tmp_path / "empty", env=environment, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stderr
    assert "the detector's own loss" in done.stdout
    assert [path.name for path in (tmp_path / "empty").iterdir()] == ["run"]

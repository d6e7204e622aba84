"""Pages say what is so: tables are made of rows and results, links lead somewhere, examples run, names are there.

`python -m tests.test_documents` writes the tables anew.
"""

from __future__ import annotations

import ast
import doctest
import importlib.util
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from autoloss.cli import app
from autoloss.config import from_mapping
from autoloss.rungs.rung import Rung
from autoloss.search.loop import discover
from autoloss.store.run import Run
from detectors.tasks import task_of
from tests.helpers.page_tables import table
from tests.helpers.small import section

ROOT = Path(__file__).parent.parent
FOLDERS = ("autoloss", "primitives", "detectors", "configs", "tests", "results")
PAGES = sorted(
    {
        file
        for pattern in (
            "*.md",
            ".github/*.md",
            *(f"{folder}/README.md" for folder in FOLDERS),
            "results/*.md",
            "tests/*/*.md",
        )
        for file in ROOT.glob(pattern)
    }
)
_TABLE = re.compile(r"<!-- (?P<what>[^>]+?) -->\n.*?<!-- end -->", re.DOTALL)
_LINK = re.compile(r"\]\((?P<file>[^)#\s]*)(?:#(?P<anchor>[^)\s]+))?\)")
_FENCED = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```", re.DOTALL | re.MULTILINE)
_SPAN = re.compile(r"`([^`]+)`")
_FILE = re.compile(r"^# (?P<name>\w+)\.py\n")
_FIGURE = re.compile(r"[01]\.\d{3} ± [01]\.\d{3}")
_PATH = re.compile(r"[\w./-]+(?:/|\.(?:py|md|txt|json|csv|png|sqlite|toml))")
_CLASS = re.compile(r"""[`"']([A-Za-z_][\w.]*):([A-Z]\w*)[`"']""")
_MODULE = re.compile(r"^((?:autoloss|detectors|primitives|tests)(?:\.[a-z]\w*)+)(?:\.([A-Z][a-z]\w*))?$", re.MULTILINE)
# What is of mmdetection, or what commands leave.
_ELSEWHERE = (
    *("tools/train.py", "mmdet/", "exports/", "classes.txt"),
    *(
        "card.md",
        "config.py",
        "detector.py",
        "example.py",
        "loss_cls.png",
        "audit.json",
        "table.txt",
        "forest.png",
        "pipeline.json",
    ),
)
_OF_BENCHMARKS = {"--parts", "--rounds", "--workers"}
_HISTORY = ROOT / "CHANGELOG.md"


def page(file: Path) -> str:
    """How a page is called."""
    return str(file.relative_to(ROOT))


every_page = pytest.mark.parametrize("file", PAGES, ids=page)


def tables() -> list[tuple[Path, str]]:
    """Every table that is made, by its page."""
    return [(file, match["what"]) for file in PAGES for match in _TABLE.finditer(file.read_text())]


def blocks(file: Path, language: str) -> list[str]:
    """Fenced text of a language."""
    return [match["text"] for match in _FENCED.finditer(file.read_text()) if match["language"] == language]


def spans(file: Path) -> list[str]:
    """Text in backticks outside of fenced text."""
    paragraphs = _FENCED.sub("", file.read_text()).split("\n\n")
    return [re.sub(r"\s+", " ", text) for paragraph in paragraphs for text in _SPAN.findall(paragraph)]


def lines(file: Path) -> list[str]:
    """Lines that a person types in a terminal."""
    typed = [text for text in blocks(file, "bash") for text in text.splitlines()]
    return typed + [line[2:] for text in blocks(file, "console") for line in text.splitlines() if line.startswith("$ ")]


def commands(file: Path) -> Iterator[list[str]]:
    """Words of every command of ours that is shown, without `autoloss`."""
    for text in (*spans(file), *lines(file)):
        if found := re.search(r"(?:^|[ /])autoloss (?P<words>[a-z][^#&|]*)", text):
            yield shlex.split(found["words"])


def anchors(file: Path) -> set[str]:
    """The headings of a page as links name them."""
    found = re.findall(r"^#+ (.+)$", _FENCED.sub("", file.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


@pytest.mark.parametrize(
    ("file", "what"), tables(), ids=lambda value: page(value) if isinstance(value, Path) else value
)
def test_a_table_is_made_of_what_it_shows(file: Path, what: str) -> None:
    shown = next(match[0] for match in _TABLE.finditer(file.read_text()) if match["what"] == what)
    assert shown == f"<!-- {what} -->\n{table(what)}\n<!-- end -->", "python -m tests.test_documents writes it anew"


def test_the_first_page_has_a_table_of_scores_with_the_detectors_own_loss_and_one_that_was_found() -> None:
    text = (ROOT / "README.md").read_text()
    for what in (
        "scores of results/digits_noisy.json",
        "scores of results/digits_fcos.json",
        "scores of results/digits_faster_rcnn.json",
    ):
        assert f"<!-- {what} -->" in text
        assert "the detector's own loss" in table(what)
        assert "**best found**" in table(what)


@every_page
def test_every_link_leads_somewhere(file: Path) -> None:
    for match in _LINK.finditer(_FENCED.sub("", file.read_text())):
        if match["file"].startswith("http"):
            continue
        target = file.parent / match["file"] if match["file"] else file
        assert target.exists(), match[0]
        assert not match["anchor"] or match["anchor"] in anchors(target), match[0]


@pytest.mark.parametrize("file", [file for file in PAGES if file != _HISTORY], ids=page)
def test_every_file_that_is_named_is_there(file: Path) -> None:
    ours = {one.name for folder in FOLDERS for one in (ROOT / folder).rglob("*") if one.is_file()}
    for text in spans(file):
        name = text.rstrip("/")
        if _PATH.fullmatch(text) and "..." not in text and not text.startswith(_ELSEWHERE):
            there = (ROOT / name).exists() or (file.parent / name).exists()
            assert there or ("/" not in name and name in ours), f"`{text}`"


@every_page
def test_every_class_and_module_that_is_named_is_there(file: Path) -> None:
    for module, name in _CLASS.findall(file.read_text()):
        if not module.startswith("my_"):
            assert hasattr(importlib.import_module(module), name), f"{module}:{name}"
    for module, name in _MODULE.findall("\n".join(spans(file))):
        assert not name or hasattr(importlib.import_module(module), name), f"{module}.{name}"
        folder, _, last = module.rpartition(".")
        assert hasattr(importlib.import_module(folder), last) or importlib.util.find_spec(module), module


@every_page
def test_every_command_and_option_that_is_shown_is_there(file: Path) -> None:
    for words in commands(file):
        command: Any = typer.main.get_command(app)
        while words and words[0] in getattr(command, "commands", {}):
            command = command.commands[words.pop(0)]
        assert not getattr(command, "commands", {}) or not words or words[0].startswith("-"), (file, words)
        known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        options = {word.split("=")[0] for word in words if word.startswith("--")}
        assert options <= known | {"--help"}, (command.name, options - known)


@every_page
def test_every_option_that_is_named_alone_is_one_of_a_command(file: Path) -> None:
    parameters = [one for command in leaves(typer.main.get_command(app)) for one in command.params]
    known = {option for one in parameters for option in (*one.opts, *one.secondary_opts)}
    named = {word for text in spans(file) if text.startswith("--") for word in text.split() if word.startswith("--")}
    assert {word.split("=")[0] for word in named} <= known | _OF_BENCHMARKS


def leaves(command: Any) -> list[Any]:
    """Commands that are no group of others."""
    below = getattr(command, "commands", {})
    return [leaf for one in below.values() for leaf in leaves(one)] if below else [command]


@every_page
def test_every_target_of_make_that_is_shown_is_there(file: Path) -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    shown = [text for text in (*spans(file), *lines(file)) if re.fullmatch(r"make [\w-]+", text)]
    assert {text.split()[1] for text in shown} <= targets


@every_page
def test_examples_in_python_give_what_they_show(file: Path) -> None:
    assert doctest.testfile(str(file), module_relative=False, optionflags=doctest.ELLIPSIS).failed == 0


@every_page
def test_other_text_in_python_can_be_parsed(file: Path) -> None:
    for text in blocks(file, "python"):
        if not text.startswith(">>>"):
            ast.parse(text)


@pytest.mark.parametrize("file", [file for file in PAGES if file != _HISTORY], ids=page)
def test_every_score_with_a_spread_stands_in_what_was_measured(file: Path) -> None:
    measured = "\n".join(one.read_text() for one in (ROOT / "results").rglob("*.txt"))
    assert set(_FIGURE.findall(file.read_text())) <= set(_FIGURE.findall(measured))


def test_the_ladder_of_the_example_can_be_climbed() -> None:
    (text,) = [one for one in blocks(ROOT / "autoloss/README.md", "python") if one.startswith("ladder = ")]
    (assignment,) = ast.parse(text).body
    assert isinstance(assignment, ast.Assign)
    for one in called(assignment.value):
        rung = Rung.model_validate(one)
        assert rung.descends or task_of(rung.task)


def called(node: ast.expr) -> Any:
    """Plain values that are written as calls of `dict`."""
    if isinstance(node, ast.Call):
        return {word.arg: called(word.value) for word in node.keywords}
    return [called(one) for one in node.elts] if isinstance(node, ast.List) else ast.literal_eval(node)


@pytest.fixture
def examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Modules that the page of the engine shows can be imported."""
    for text in blocks(ROOT / "autoloss/README.md", "python"):
        if name := _FILE.match(text):
            (tmp_path / f"{name['name']}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("examples")
def test_the_evaluator_and_the_strategy_of_the_examples_search(tmp_path: Path) -> None:
    settings = from_mapping(
        section(
            generations=2,
            births=2,
            known=[],
            slots={"loss_cls": {"grammar": "sigmoid", "like": "binary_cross_entropy"}},
            ladder=[{"name": "proxy", "task": {"steps": 5}, "seeds": [1]}],
            finale=None,
            evaluator={"type": "my_evaluator:LogitsEvaluator", "points": 20},
            strategy={"type": "my_strategy:Climber", "slot": "loss_cls"},
        )
    )
    with Run.create(tmp_path / "run", settings.identity()) as run:
        discover(settings, run)
        candidates, scores = run.candidates(), {one.candidate: one.score for one in run.evaluations("proxy")}
    assert [one.origin.how.value for one in candidates] == ["own", "random", "random", "mutation", "mutation"]
    assert all(score is not None and score > 0.25 for score in scores.values())
    best = max((0, 1, 2), key=lambda number: scores[number] or 0)
    assert [one.parents for one in candidates[3:]] == [(best,)] * 2


def test_the_first_page_can_be_read_in_a_sitting() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 260


if __name__ == "__main__":
    for place in {file for file, _ in tables()}:
        made = _TABLE.sub(lambda one: f"<!-- {one['what']} -->\n{table(one['what'])}\n<!-- end -->", place.read_text())
        place.write_text(made)

from pathlib import Path
from typing import Any

import pytest

from autoloss.config import from_mapping
from autoloss.evaluator import EVALUATORS, build, class_of, named
from primitives.errors import InputError
from tests.helpers import no_evaluators
from tests.helpers.small import section

OTHERS = "tests.helpers.no_evaluators"


def test_an_evaluator_is_built_from_its_name_and_arguments() -> None:
    found = build({"type": "tests.helpers.fast_evaluator:DescentEvaluator", "pause": 0.5})
    assert type(found) is class_of({"type": "tests.helpers.fast_evaluator:DescentEvaluator"})
    assert vars(found) == {"pause": 0.5, "fail": ""}


@pytest.mark.parametrize("name", EVALUATORS)
def test_those_of_the_toolkit_have_short_names_and_run_files_the_whole_ones(name: str) -> None:
    assert class_of({"type": name}) is class_of({"type": EVALUATORS[name]})
    assert (
        ":".join(named(name)) == from_mapping(section(evaluator={"type": name})).evaluator["type"] == EVALUATORS[name]
    )


NAMES = [
    ":",
    ".x:Y",
    "a:",
    ":a",
    "a",
    "a.b",
    "a..b:C",
    "a.:C",
    "a:b:c",
    "a:b.c",
    "a b:C",
    "a\n:C",
    "\ud800:C",
    "",
    "é:C",
]


@pytest.mark.parametrize("name", [*NAMES, None, 3, ["a:B"]], ids=repr)
def test_what_is_no_name_of_a_class_is_not_imported(name: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="evaluator needs a type: detector, command, or one of your own as 'module:Cl"):
        named(name)
    with pytest.raises(InputError, match="^search.evaluator.type: evaluator needs a type") as caught:
        build({"type": name})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("os:system", "os:system is no class, but a builtin_function_or_method"),
        ("os:environ", "os:environ is no class"),
        (f"{OTHERS}:function", f"{OTHERS}:function is no class, but a function"),
        ("subprocess:Popen", "is no evaluator: it has no prepare, describe, evaluate"),
        (f"{OTHERS}:Half", "is no evaluator: it has no describe, evaluate; needed: prepare, describe, evaluate"),
        ("builtins:type", "is no evaluator"),
        ("nothing_here:A", "cannot be imported: No module named 'nothing_here'"),
        ("tests.helpers.fast_evaluator:Nobody", "cannot be imported: .*has no attribute 'Nobody'"),
    ],
)
def test_what_is_named_is_looked_at_and_not_called(name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        build({"type": name, "command": f"touch {tmp_path / 'ran'}", "args": ["touch", str(tmp_path / "ran")]})
    assert not list(tmp_path.iterdir())
    assert not no_evaluators.CALLED


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import sys; sys.exit(0)", r"it ends the process by sys.exit\(0\)"),
        ("class Evaluator(:", "invalid syntax"),
        ("1 / 0", "division by zero"),
        ("raise RuntimeError('a\\nb')", "a b"),
    ],
)
def test_a_module_that_cannot_be_imported_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str
) -> None:
    (tmp_path / "wrong_evaluator.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError, match=message) as caught:
        build({"type": "wrong_evaluator:Evaluator"})
    assert "\n" not in str(caught.value)


def test_arguments_that_it_does_not_take_are_named() -> None:
    with pytest.raises(InputError, match="DescentEvaluator does not take these arguments: .*'speed'"):
        build({"type": "tests.helpers.fast_evaluator:DescentEvaluator", "speed": 3})

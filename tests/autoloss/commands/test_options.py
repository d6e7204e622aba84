"""Every number that an option of a command takes is within its range, or refused by one line."""

from __future__ import annotations

import math
from collections.abc import Iterator
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from autoloss import cli
from autoloss.commands import options
from primitives.catalog import GRAMMARS
from primitives.errors import InputError

GROUP: Any = typer.main.get_command(cli.app)
ParserError: type[Exception] = typer.BadParameter.__mro__[2]
NEEDED = {"funnel": ["--grammar", "box"], "show": ["run"], "search": ["c.py"], "estimate": ["c.py"], "train": ["c.py"]}
NEEDED |= {
    "fidelity": ["c.py"],
    "headroom": ["c.py"],
    "check": ["div(i, u)"],
    "export": ["run"],
    "thresholds": [],
    "inspect": ["div(i, u)"],
    "audit": ["run"],
    "serve": ["run"],
    "run": ["p.py"],
}
TRIED = ["nan", "inf", "-inf", "-1", "0", "-0.0", "1e-400", "1e300", "1e999", str(10**25), str(-(10**25)), "9" * 5000]
TRIED += ["true", "", "one", "1_000", "0x10", "१", "1e3", " 1", "\x1b[31m", "1\n", "x" * 10_000]


def kinds(annotation: Any) -> set[Any]:
    """Types that an annotation stands for."""
    if get_origin(annotation) is Annotated:
        return kinds(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return {kind for part in get_args(annotation) for kind in kinds(part)}
    return {annotation}


def numeric() -> Iterator[tuple[str, str]]:
    """Commands and their options that take numbers, by the signatures of the functions."""
    for command in cli.app.registered_commands:
        function = command.callback
        assert function is not None
        for name, annotation in get_type_hints(function, include_extras=True).items():
            if name != "return" and kinds(annotation) & {int, float} and bool not in kinds(annotation):
                yield function.__name__, f"--{name.replace('_', '-')}"


OPTIONS = list(numeric())


def parsed(command: str, option: str, text: str) -> Any:
    """The value that the command would get; nothing is run."""
    context = GROUP.commands[command].make_context(command, [*NEEDED[command], f"{option}={text}"])
    return context.params[option.removeprefix("--").replace("-", "_")]


def refused_or_sane(command: str, option: str, text: str) -> bool:
    try:
        value = parsed(command, option, text)
    except (ParserError, InputError):
        return True
    assert math.isfinite(value)
    assert abs(value) < 2**32
    return False


def test_the_options_that_take_numbers_are_found() -> None:
    assert len(OPTIONS) >= 18
    assert {("funnel", "--seed"), ("train", "--weight-bbox"), ("check", "--alpha"), ("estimate", "--seconds")} <= {
        *OPTIONS
    }
    assert {command for command, _ in OPTIONS} == {*NEEDED} - {"thresholds"}


@pytest.mark.parametrize(("command", "option"), OPTIONS, ids=" ".join)
def test_a_number_is_within_its_range_or_refused(command: str, option: str) -> None:
    refused = {text for text in TRIED if refused_or_sane(command, option, text)}
    assert refused >= {"nan", "inf", "-inf", "1e300", "1e999", str(10**25), "one", "", "-1"}
    assert not refused_or_sane(command, option, "1" if option not in ("--last", "--seeds") else "2")


@given(st.sampled_from(OPTIONS), st.one_of(st.floats().map(str), st.integers().map(str), st.text()))
def test_any_text_is_a_number_within_its_range_or_refused(place: tuple[str, str], text: str) -> None:
    refused_or_sane(*place, text)


def test_help_names_the_grammars_that_there_are() -> None:
    by_slot = {"loss_bbox": options.BOX_GRAMMARS, "loss_cls": options.CLASS_GRAMMARS}
    assert by_slot == {slot: tuple(name for name, rules in GRAMMARS.items() if rules.slot == slot) for slot in by_slot}

"""A config file, or an option, becomes settings, or one line that says what is wrong with it."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoloss.config import load, parsed, seconds
from autoloss.evaluator import build
from primitives.errors import InputError
from tests.helpers.small import section


def test_files_that_are_no_configs_are_named(tmp_path: Path) -> None:
    file = tmp_path / "config.py"
    with pytest.raises(InputError, match="no config file at"):
        load(file)
    file.write_text("search = dict(")
    with pytest.raises(InputError, match="not a config that mmengine can read"):
        load(file)
    file.write_text("serach = dict()")
    with pytest.raises(InputError, match="needs a section 'search'; found: serach"):
        load(file)
    file.write_text(f"search = {section()!r}\nmodel = dict()")
    with pytest.raises(InputError, match="unknown key 'model' beside 'search'"):
        load(file)


def test_names_of_a_config_that_begin_with_an_underscore_are_its_own(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(f"_twice = 2\nsearch = {section()!r}\nsearch['seed'] = _twice")
    assert load(file).seed == 2


def test_reading_a_config_says_nothing_on_standard_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MY_SEED", "7")
    (tmp_path / "mine.py").write_text(f"search = {section()!r}\nsearch['seed'] = int('{{{{$MY_SEED:1}}}}')")
    assert load(tmp_path / "mine.py").seed == 7
    assert capfd.readouterr().out == ""


def test_options_override_as_in_mmdetection(tmp_path: Path) -> None:
    file = tmp_path / "config.py"
    file.write_text(f"search = {section()!r}")
    settings = load(file, ["search.births=9", "search.ladder.1.seeds=[4,5]", "search.init=random"])
    assert (settings.births, settings.ladder[1].seeds, settings.init) == (9, [4, 5], "random")
    with pytest.raises(InputError, match="unknown key 'search.birth'"):
        load(file, ["search.birth=9"])
    with pytest.raises(InputError, match="--cfg-options takes key=value, got 'births'"):
        load(file, ["births"])


@pytest.mark.parametrize(("text", "found"), [("90", 90), ("1h30m", 5400), ("2d", 172800), ("0.5m", 30), ("45s", 45)])
def test_a_time_has_units(text: str, found: float) -> None:
    assert seconds(text) == found


TIMES = ["", "0", "-1", "1e999h", "9" * 400, "inf", "nan", "1.2.3h", "2 h x", "9999999999d", "1\nh", "\x1b", "x" * 9999]


@pytest.mark.parametrize("text", TIMES, ids=lambda text: repr(text)[:20])
def test_a_time_out_of_range_is_one_line(text: str) -> None:
    with pytest.raises(InputError, match=r"^a time is [^\n]+$"):
        seconds(text)


@given(st.one_of(st.text(), st.from_regex(r"([\d.]+d)?([\d.]+h)?([\d.]+m)?([\d.]+s)?", fullmatch=True)))
def test_any_time_is_within_range_or_refused(text: str) -> None:
    try:
        assert 0 < seconds(text) <= 1e9
    except InputError as error:
        assert "\n" not in str(error)


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # mmengine's, of a config that raises
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import sys; sys.exit(3)", r"it ends the process by sys.exit\(3\)"),
        ("raise SystemExit('over')", r"it ends the process by sys.exit\('over'\)"),
        ("raise ValueError('a\\nb\\x1b[31m')", r"a b\\x1b\[31m"),
        ("raise ValueError", "ValueError"),
        ("search = 3", "'search' is a section"),
        ("search = [1, 2]", "'search' is a section"),
    ],
)
def test_a_config_that_does_not_come_to_its_end_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "config.py"
    file.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        load(file)
    assert "\n" not in str(caught.value)
    gc.collect()


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
def test_a_config_that_is_interrupted_is_an_interrupt(tmp_path: Path) -> None:
    file = tmp_path / "config.py"
    file.write_text("raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        load(file)
    gc.collect()


@pytest.mark.parametrize("value", ["[1", "(1,2", "[" * 5000, "1]"])
def test_an_option_with_half_a_list_is_one_line(value: str) -> None:
    try:
        found = parsed([f"a={value}"], "a=1")
    except InputError as error:
        assert "\n" not in str(error)
        assert len(str(error)) < 800
    else:
        assert found == {"a": value}


class Told:
    """An evaluator that looks for paths."""

    def __init__(self, beside: tuple[str, ...] = (), detector: str = "") -> None:
        self.beside, self.detector = beside, detector

    def prepare(self, *_: object) -> None: ...

    def describe(self) -> dict[str, object]:
        return {}

    def evaluate(self, *_: object) -> dict[str, float]:
        return {}


def test_an_evaluator_is_told_the_folders_of_its_config_and_of_what_that_is_based_on(tmp_path: Path) -> None:
    spec = {"type": f"{__name__}:Told", "detector": "det.py"}
    for folder, text in (("base", f"search = {section(evaluator=spec)!r}"), ("mine", '_base_ = "../base/config.py"')):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "config.py").write_text(text)
    settings = load(tmp_path / "mine/config.py")
    assert settings.evaluator == spec  # which is what a run keeps, wherever its config lies
    assert settings.identity()["evaluator"] == spec
    evaluator = build(settings.evaluator_spec)
    assert [Path(one).resolve() for one in evaluator.beside] == [tmp_path / "mine", tmp_path / "base"]  # type: ignore[attr-defined]
    typed = settings.on({"type": "coco"})  # by --data, whose paths are of the working directory
    assert typed.evaluator_spec["beside"][0] == str(Path.cwd())


def test_one_that_does_not_look_for_paths_is_not_told_any(tmp_path: Path) -> None:
    (tmp_path / "config.py").write_text(f"search = {section()!r}")
    build(load(tmp_path / "config.py").evaluator_spec)

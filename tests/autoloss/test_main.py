"""What `autoloss` says and how it ends, in this process: one line for a mistake, whoever finds it."""

from __future__ import annotations

import errno
import gc
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from autoloss import cli
from autoloss.candidate import Candidate, Kind, Loss, Origin
from autoloss.config import from_mapping
from autoloss.report import tables
from autoloss.report.leaderboard import Leaderboard
from autoloss.store.run import Run
from primitives.catalog import GRAMMARS, known_loss
from primitives.errors import InputError
from tests.helpers.small import section

Ended = tuple[int, str, str]


@pytest.fixture
def autoloss(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """Runs a command; gives its exit code, output and errors."""

    def run(*arguments: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["autoloss", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        return int(str(ended.value.code)), out, err

    return run


def one_line(err: str) -> None:
    assert err.startswith("autoloss: ")
    assert err.count("\n") == 1
    assert len(err) < 2100
    assert err[:-1].isprintable()


@pytest.mark.parametrize(
    "arguments",
    [
        ("nosuch",),
        ("--nosuch",),
        ("show",),
        ("show", "run", "--top", "0"),
        ("show", "run", "--top", "nan"),
        ("check", "div(i, u)", "--alpha", "nan"),
        ("check", "x" * 20_000),
        ("check", "div(i, \x1b[31m)"),
        ("check", "div(i,\nfoo)"),
        ("check", "div(i, u)", "--plot", "."),
        ("check", "div(i, u)", "--plot", "picture"),
        ("check", "div(i, u)", "--plot", "nowhere/a.png"),
        ("show", "a\nb"),
        ("show", "\udcff"),
        ("show", "x" * 20_000),
        ("search", "x\u202e.py"),
        ("train", "x\x1b[2J.py"),
        ("train", "configs/detectors/tiny_fcos.py", "--cfg-options", "device=cuda:3"),
        ("train", "configs/detectors/tiny_fcos.py", "--cfg-options", "model.bbox_head.loss_bbox.loss_weight=[1.0,2.0]"),
        ("train", "configs/detectors/tiny_fcos.py", "--cfg-options", "model.bbox_head.loss_cls=3"),
        ("train", "configs/detectors/tiny_fcos.py", "--cfg-options", "model=3"),
        ("train", "configs/detectors/tiny_fcos.py", "--cfg-options", "model.bbox_head.loss_cls.loss_weight=nan"),
        ("train", "configs/detectors/tiny_fcos.py", "--cfg-options", "a=[1,2"),
        ("search", "configs/search/digits_fcos.py", "nowhere/run", "--time", "1e999h"),
        ("search", "configs/search/digits_fcos.py", "nowhere/run", "--cfg-options", "search.evaluator.type=:"),
        ("export", "--loss-bbox", "iou", "--weight-bbox", "inf"),
    ],
    ids=lambda arguments: " ".join(arguments)[:60].encode("unicode_escape").decode(),
)
def test_a_mistake_is_one_line_of_bounded_length(autoloss: Callable[..., Ended], arguments: tuple[str, ...]) -> None:
    code, out, err = autoloss(*arguments)
    assert (code, out) == (2, "")
    one_line(err)
    assert not Path("picture").exists()
    assert not Path("picture.png").exists()


def test_a_folder_takes_no_picture_and_gets_none_beside_it(autoloss: Callable[..., Ended], tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder.png").mkdir()
    for name in ("folder", "folder.png"):
        code, _, err = autoloss("check", "div(i, u)", "--plot", tmp_path / name)
        assert code == 2
        assert "it is a folder; name a file in it" in err
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["folder", "folder.png"]


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # mmengine's, of a config that raises
@pytest.mark.parametrize(
    ("text", "code"), [("import sys; sys.exit(0)", 2), ("raise KeyboardInterrupt", 130), ("1 / 0", 2)]
)
@pytest.mark.parametrize(
    "arguments",
    [
        *((command, "FILE") for command in ("search", "estimate", "fidelity", "train")),
        ("search", "configs/search/digits_fcos.py", "nowhere/run", "--data", "FILE"),
    ],
    ids=" ".join,
)
def test_a_config_that_ends_the_process_ends_it_with_a_line(
    autoloss: Callable[..., Ended], tmp_path: Path, arguments: tuple[str, ...], text: str, code: int
) -> None:
    file = tmp_path / "config.py"
    file.write_text(text)
    found, out, err = autoloss(*(file if word == "FILE" else word for word in arguments))
    assert (found, out) == (code, "")
    assert err.count("\n") == 1
    assert not Path("nowhere").exists()
    gc.collect()


class Full:
    """An output that cannot be written."""

    encoding = "utf-8"

    def __init__(self, number: int) -> None:
        self.number = number

    def write(self, _: str) -> int:
        raise OSError(self.number, "it cannot be written")

    def flush(self) -> None:
        """Nothing was taken."""

    def isatty(self) -> bool:
        return False

    def fileno(self) -> int:
        raise OSError(self.number, "no file")


@pytest.mark.parametrize(("number", "code"), [(errno.ENOSPC, 2), (errno.EIO, 2), (errno.EPIPE, 141)])
@pytest.mark.parametrize("more", [(), ("--json",)])
def test_an_output_that_cannot_be_written_is_one_line_and_a_reader_that_left_none(
    autoloss: Callable[..., Ended],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    more: tuple[str, ...],
    number: int,
    code: int,
) -> None:
    Run.create(tmp_path / "run", from_mapping(section()).identity()).close()
    monkeypatch.setattr(sys, "stdout", Full(number))
    found, _, err = autoloss("show", tmp_path / "run", *more)
    assert found == code
    assert err == ("autoloss: cannot write or read: it cannot be written\n" if code == 2 else "")


def test_what_is_logged_keeps_to_its_line() -> None:
    said = logging.LogRecord("autoloss", logging.WARNING, "", 0, "class %s", ("a\x1b[2Jb\u202e" + "x" * 9999,), None)
    shown = cli._Lines("%(levelname)s: %(message)s").format(said)
    assert shown.isprintable()
    assert shown.startswith(r"WARNING: class a\x1b[2Jb\u202e")
    assert len(shown) < 2100


@pytest.mark.parametrize("name", ["with space", "quote'd", "$(touch x)", "a;b", "[red]", "a" * 200])
def test_the_commands_at_the_end_are_for_a_shell_whatever_the_folder_is_called(tmp_path: Path, name: str) -> None:
    import shlex

    with Run.create(tmp_path / name, from_mapping(section()).identity()) as run:
        console = Console(width=120, file=open(tmp_path / "out", "w"))  # noqa: SIM115  closed below
        tables.ending(Leaderboard.of(run), console)
        console.file.close()
    text = (tmp_path / "out").read_text()
    commands = [shlex.split(line) for line in text.split("What next:")[1].splitlines() if line.strip()]
    assert [words[:3] for words in commands] == [["autoloss", "show", str(tmp_path / name)]] * 2


def test_an_input_error_of_any_text_is_one_printable_line(
    autoloss: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise InputError("a\nb\x1b[31m\u202e\ud800" + "x" * 20_000)

    monkeypatch.setattr(Run, "open", fail)
    code, _, err = autoloss("show", "run")
    assert code == 2
    one_line(err)


def test_showing_a_strangers_run_imports_nothing_that_it_names(
    autoloss: Callable[..., Ended], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "strange_evaluator.py").write_text(f"open({str(tmp_path / 'imported')!r}, 'w')")
    monkeypatch.syspath_prepend(tmp_path)
    named = {"type": "strange_evaluator:Evaluator", "detector": str(tmp_path / "strange_evaluator.py")}
    settings = from_mapping(section(evaluator=named)).identity()
    with Run.create(tmp_path / "run", settings) as run:
        losses = {"loss_bbox": Loss(known_loss("giou").expression, GRAMMARS["box"])}
        run.born([Candidate(1, Kind.FOUND, 0, losses, Origin.of("a [red]\x1b[2J\nb"))], [])
    for more in ((), ("--json",), ("--follow",)):
        code, out, err = autoloss("show", tmp_path / "run", *more)
        assert code == 0, err
        assert "\x1b" not in out
    code, _, err = autoloss("export", tmp_path / "run", "--candidate", 1, "--to", "torch", "--out", tmp_path / "out")
    assert code == 0, err
    assert list((tmp_path / "out").glob("*_losses_*.py"))
    code, _, err = autoloss("export", tmp_path / "run", "--candidate", 1, "--out", tmp_path / "other")
    assert code == 2
    one_line(err)
    assert not (tmp_path / "imported").exists()

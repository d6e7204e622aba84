from __future__ import annotations

import errno
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from autoloss.config import from_mapping, seconds
from autoloss.report.logs.tensorboard import Scalars, watching
from autoloss.search.loop import discover
from autoloss.search.progress import Progress
from autoloss.store.file import FILE
from autoloss.store.run import Run
from primitives.errors import InputError
from tests.helpers.command import autoloss
from tests.helpers.small import section


def command(folder: Path, *arguments: str, **changes: Any) -> list[str]:
    config = folder / "config.py"
    config.write_text(f"search = {section(**changes)!r}")
    return ["search", str(config), str(folder / "run"), *arguments]


def test_a_search_is_followed_from_another_process_until_it_ends(tmp_path: Path) -> None:
    slow = {"type": "tests.helpers.fast_evaluator:DescentEvaluator", "pause": 0.3}
    line = command(tmp_path, evaluator=slow, generations=1, finale=None, isolate=True)
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    search = subprocess.Popen([sys.executable, "-m", "autoloss", *line], **quiet)
    while not (tmp_path / "run" / FILE).exists():
        time.sleep(0.05)
    seen = autoloss("show", tmp_path / "run", "--follow")
    assert search.wait() == 0
    assert seen.returncode == 0, seen.stderr
    lines = seen.stderr.splitlines()
    assert len(lines) > 3
    assert "1 running" in seen.stderr
    assert lines[-1].startswith("generation 1 of 1; 7 candidates; verify: 7 done, 0 running")
    assert "Funnel" in seen.stdout  # the report at its end
    with Run.open(tmp_path / "run") as run:
        workers = run.workers()
    assert len(workers) == 1
    assert {"name", "pid", "doing", "since", "memory", "lost"} == set(workers[0])
    assert workers[0]["memory"] > 1e7


def test_what_happens_is_logged_as_lines_of_json(tmp_path: Path) -> None:
    log = tmp_path / "logs/log.jsonl"  # its folder is made
    done = autoloss(*command(tmp_path, "--log-json", str(log), "--evaluations", "9"))
    assert done.returncode == 0, done.stderr
    assert "Ended by the budget of 9 evaluations" in done.stdout
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    assert [rows[0]["event"], rows[-1]["event"]] == ["session begins", "session ends"]
    ended = [row for row in rows if row["event"] == "evaluation ended"]
    assert len(ended) == 9
    assert all({"candidate", "rung", "seed", "state", "score", "seconds", "time", "level"} <= set(row) for row in ended)
    wrong = autoloss(*command(tmp_path, "--log-json", str(log / "log")))
    assert wrong.returncode == 2
    assert "cannot write the log" in wrong.stderr
    config, _, *rest = command(tmp_path)[1:]
    for option in ("--log-json", "--tensorboard"):  # a folder that is not empty is no place for a run
        inside = autoloss("search", config, tmp_path / "new", option, tmp_path / "new" / "log", *rest)
        assert inside.returncode == 2
        assert f"{option} {tmp_path / 'new' / 'log'} lies in {tmp_path / 'new'}" in inside.stderr
        assert not (tmp_path / "new").exists()


def test_a_search_goes_on_whose_log_finds_the_disk_full(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full of Linux")
    done = autoloss(*command(tmp_path, "--log-json", "/dev/full", generations=1, finale=None))
    assert done.returncode == 0
    assert done.stderr.count("the log cannot be written from here on: [Errno 28] No space left on device") == 1
    assert "Traceback" not in done.stderr


def test_scalars_that_cannot_be_written_are_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Full:
        def add_scalar(self, *_: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

    watch = Scalars(Full())
    for born in range(3):
        watch(Progress(born=born + 1))
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        "scalars cannot be written from here on"
    ]
    pytest.importorskip("tensorboard")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write scalars to .*file': File exists"), watching(tmp_path / "file"):
        pass


def test_scalars_are_written_for_tensorboard(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    settings = from_mapping(section())
    with Run.create(tmp_path / "run", settings.identity()) as run, watching(tmp_path / "board") as watch:
        discover(settings, run, watch)
        wanted = {e.candidate: e.score for e in run.evaluations("proxy")}
    found = EventAccumulator(str(tmp_path / "board"))
    found.Reload()
    assert {"best", "best minus own", "refused"} <= set(found.Tags()["scalars"])
    points = {event.step: event.value for event in found.Scalars("score/proxy, seed 1")}
    assert points == pytest.approx(wanted)


def test_without_tensorboard_its_option_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"pip install 'autoloss\[tensorboard\]'"), watching(tmp_path):
        pass


@pytest.mark.parametrize(
    ("text", "wanted"), [("90", 90), ("90s", 90), ("15m", 900), ("2h", 7200), ("1h30m", 5400), ("2d", 172800)]
)
def test_times_are_read(text: str, wanted: float) -> None:
    assert seconds(text) == wanted


@pytest.mark.parametrize("text", ["", "0", "-3h", "2 weeks", "h", "1.2.3h"])
def test_what_is_no_time_is_named(text: str) -> None:
    with pytest.raises(InputError, match="a time is such as 2h"):
        seconds(text)

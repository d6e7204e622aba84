import hashlib
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from autoloss.candidate import Candidate, Crash, Evaluation, Kind, Loss, Origin, Refusal, State
from autoloss.config import from_mapping
from autoloss.report.leaderboard import Leaderboard
from autoloss.search.loop import discover
from autoloss.store.file import FILE
from autoloss.store.lock import FILE as LOCK
from autoloss.store.run import Run
from autoloss.store.schema import SCHEMA
from primitives.errors import InputError
from tests.helpers import fast_evaluator
from tests.helpers.command import autoloss
from tests.helpers.small import section

SETTINGS = {"seed": 1, "ladder": [{"name": "proxy"}]}
LOSS = Loss.of({"expression": "i", "grammar": "box", "loss_weight": 2.0})
ORIGIN = Origin.of("mutation of 1: loss_bbox")
CANDIDATE = Candidate(3, Kind.FOUND, 1, {"loss_bbox": LOSS}, ORIGIN, (1,), True, "ab", 7)


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    done = Evaluation(3, "proxy", 0, State.DONE, 0.5, {"score": 0.5}, seconds=1.5, ended=1e9)
    failed = Evaluation(3, "proxy", 1, State.FAILED, error="the loss is NaN")
    with Run.create(tmp_path / "run", SETTINGS) as run:
        run.born([CANDIDATE], [Refusal(3, 0, "loss_bbox", "u", "minimum", "because")])
        for evaluation in (done, failed):
            run.started(3, "proxy", evaluation.seed)
            run.finished(evaluation)
    with Run.open(tmp_path / "run") as run:
        assert run.kept_settings == SETTINGS
        assert run.candidates() == [CANDIDATE]
        assert run.evaluations("proxy") == run.evaluations() == [done, failed]
        assert run.evaluations("full") == []
        assert run.refusals() == [Refusal(3, 0, "loss_bbox", "u", "minimum", "because")]
        assert run.refused_by_gate() == {"minimum": 1}


def test_an_evaluation_ends_once(tmp_path: Path) -> None:
    done = Evaluation(3, "proxy", 0, State.DONE, 0.5)
    with Run.create(tmp_path / "run", SETTINGS) as run:
        run.born([CANDIDATE], [])
        with pytest.raises(ValueError, match="not running"):
            run.finished(done)
        run.started(3, "proxy", 0)
        with pytest.raises(ValueError, match="has not finished"):
            run.finished(Evaluation(3, "proxy", 0, State.RUNNING))
        run.finished(done)
        with pytest.raises(ValueError, match="not running"):
            run.finished(Evaluation(3, "proxy", 0, State.DONE, 0.9))
        with pytest.raises(sqlite3.IntegrityError):
            run.started(3, "proxy", 0)
        assert run.evaluations() == [done]


def test_a_generation_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    with Run.create(tmp_path / "run", SETTINGS) as run:
        refusal = Refusal(3, 0, "loss_bbox", "u", "minimum", "because")
        with pytest.raises(sqlite3.IntegrityError):
            run.born([CANDIDATE], [refusal, refusal])
        assert run.candidates() == []


def test_evaluations_of_a_dead_process_are_forgotten(tmp_path: Path) -> None:
    with Run.create(tmp_path / "run", SETTINGS) as run:
        run.born([CANDIDATE], [])
        run.started(3, "proxy", 0)
    with Run.create(tmp_path / "run", SETTINGS) as run:
        assert run.forget_running() == 1
        assert run.evaluations() == []


def test_another_config_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    with Run.create(tmp_path / "run", SETTINGS) as run:
        run.born([CANDIDATE], [])
    before = (tmp_path / "run" / FILE).read_bytes()
    with pytest.raises(InputError, match=r"another config: search\.ladder\.0\.name was 'proxy', is 'full'"):
        Run.create(tmp_path / "run", {"seed": 1, "ladder": [{"name": "full"}]})
    assert (tmp_path / "run" / FILE).read_bytes() == before
    Run.create(tmp_path / "run", SETTINGS).close()


def test_a_config_that_was_wrong_may_be_mended_until_candidates_are_born(tmp_path: Path) -> None:
    Run.create(tmp_path / "run", SETTINGS).close()
    mended = {"seed": 1, "ladder": [{"name": "full"}]}
    with Run.create(tmp_path / "run", mended) as run:
        assert run.kept_settings == mended


def test_directories_that_hold_no_run_are_left_alone(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no run in"):
        Run.open(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="is not empty and holds no run"):
        Run.create(tmp_path, SETTINGS)
    (tmp_path / FILE).write_text("not a database, but some text that is long enough to look like a header" * 20)
    with pytest.raises(InputError, match="is not a run file"):
        Run.open(tmp_path)


def test_a_run_of_a_newer_version_is_named(tmp_path: Path) -> None:
    Run.create(tmp_path / "run", SETTINGS).close()
    with sqlite3.connect(tmp_path / "run" / FILE) as connection:
        connection.execute("UPDATE meta SET value = '99' WHERE key = 'schema'")
    connection.close()
    with pytest.raises(InputError, match="has schema 99"):
        Run.open(tmp_path / "run")


def test_a_creation_that_was_killed_can_be_repeated(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / f"{FILE}.new").write_bytes(b"half a file")
    with Run.create(tmp_path / "run", SETTINGS) as run:
        assert run.kept_settings == SETTINGS


@pytest.mark.parametrize(
    ("state", "score", "error"),
    [(State.DONE, None, None), (State.RUNNING, 0.5, None), (State.FAILED, None, None), (State.DONE, 0.5, "why")],
)
def test_illegal_pairs_of_state_and_value_cannot_be_made(state: State, score: float | None, error: str | None) -> None:
    with pytest.raises(ValueError, match="an evaluation has"):
        Evaluation(0, "proxy", 0, state, score, error=error)


OLD = [
    "tests/golden/runs/schema_1",
    "tests/golden/runs/schema_2",
    "tests/golden/runs/schema_4",
    "results/fidelity/digits_fcos",
    "results/fidelity/bccd_fcos",
]


def content(directory: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in directory.iterdir()}


@pytest.mark.parametrize("old", OLD)
def test_a_run_of_an_older_version_is_read_and_not_touched(old: str, tmp_path: Path) -> None:
    directory = shutil.copytree(Path(__file__).parents[3] / old, tmp_path / "run")
    before = content(directory)
    with Run.open(directory) as run:
        found = Leaderboard.of(run).plain_values()
        assert run.crashes() == []
        assert all(e.ended >= 0 and e.memory >= 0 for e in run.evaluations())
    assert found["leaderboard"][0]["scores"]
    assert next(row["kind"] for row in found["leaderboard"] if row["candidate"] == 0) == "own"
    assert {"own", "known", "found"} <= {row["kind"] for row in found["leaderboard"]}
    assert content(directory) == before


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("$.births", "0"),
        ("$.seed", "-5"),
        ("$.ladder[0].name", "'%s'" % ("n" * 99)),
        ("$.thresholds.iou", "7"),
        ("$.slots.loss_bbox.like", "'gone'"),
        ("$.evaluator.type", "'none'"),
        ("$.variation.gone", "1"),
        ("$.births", "0, '$.fixed', json('{\"loss_bbox\": \"own\"}')"),
    ],
)
def test_settings_that_an_older_version_let_pass_are_shown_as_they_are(
    golden: Path, path: str, value: str, tmp_path: Path
) -> None:
    directory = shutil.copytree(golden / "runs/schema_2", tmp_path / "run")
    with closing(sqlite3.connect(directory / FILE)) as connection:
        connection.execute(f"UPDATE meta SET value = json_set(value, '{path}', {value}) WHERE key = 'settings'")
        connection.commit()
    with Run.open(directory) as run:
        with pytest.raises(InputError):
            from_mapping(run.kept_settings)
        found = Leaderboard.of(run)
    assert found.plain_values()["settings"] == found.kept
    assert len(found.settings.ladder) == 2
    assert [rung.name for rung in found.settings.rungs] == list(found.rungs)
    with pytest.raises(InputError, match="holds a run made with another config"):
        Run.create(directory, from_mapping(section()).identity())


def test_a_run_whose_making_was_killed_is_made(tmp_path: Path) -> None:
    (tmp_path / f"{FILE}.new").write_bytes(b"half of it")
    (tmp_path / f"{FILE}.new-journal").write_bytes(b"what SQLite keeps beside it until it is whole")
    with Run.create(tmp_path, from_mapping(section()).identity()):
        assert {file.name for file in tmp_path.iterdir()} >= {FILE}
    assert not [*tmp_path.glob("*.new*")]


@pytest.mark.parametrize("version", [1, 2, 4])
def test_a_run_of_an_older_version_goes_on(
    golden: Path, version: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = shutil.copytree(golden / f"runs/schema_{version}", tmp_path / "run")
    with Run.open(directory) as run:
        evaluations, ranks = run.evaluations(), run.settings.ladder[0].ranks
        assert len(run.candidates()) == 5
    ladder = section()["ladder"]
    ladder[0]["ranks"] = ranks
    monkeypatch.setitem(sys.modules, "fast_evaluator", fast_evaluator)  # the name it had then
    evaluator = {"type": "fast_evaluator:DescentEvaluator"}
    settings = from_mapping(section(generations=2, births=1, ladder=ladder, evaluator=evaluator))
    with Run.create(directory, settings.identity()) as run:
        discover(settings, run)
        assert run.evaluations() == evaluations  # nothing was left to do
        run.crashed(Crash("proxy", 1, (3,), False, "the worker was killed", 1.0))
    with sqlite3.connect(directory / FILE) as connection:
        assert connection.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone() == (str(SCHEMA),)
    connection.close()
    with Run.open(directory) as run:
        assert run.crashes() == [Crash("proxy", 1, (3,), False, "the worker was killed", 1.0)]
        assert run.evaluations() == evaluations


def test_a_run_that_had_checksums_keeps_them_when_it_goes_on(tmp_path: Path) -> None:
    directory = shutil.copytree(Path(__file__).parents[3] / "tests/golden/runs/schema_4", tmp_path / "run")
    before = content(directory)
    with Run.open(directory) as run:
        candidates, evaluations, settings = run.candidates(), run.evaluations(), run.settings
        assert run.contributions("final") == {}
    assert content(directory) == before
    with Run.create(directory, settings.identity()) as run:
        run.crashed(Crash("final", 1, (3,), False, "the worker was killed", 1.0))
    with Run.open(directory) as run:
        assert (run.candidates(), run.evaluations(), len(run.crashes())) == (candidates, evaluations, 1)
    with closing(sqlite3.connect(directory / FILE)) as connection:
        assert connection.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone() == (str(SCHEMA),)


def test_damage_from_before_is_noticed_after_a_run_has_gone_on(tmp_path: Path) -> None:
    directory = shutil.copytree(Path(__file__).parents[3] / "tests/golden/runs/schema_4", tmp_path / "run")
    with closing(sqlite3.connect(directory / FILE)) as connection:
        connection.execute("UPDATE evaluation SET score = 0.9 WHERE candidate = 3")
        connection.commit()
    with Run.open(directory) as run, pytest.raises(InputError, match="of table evaluation .* is not what was written"):
        run.evaluations()


def test_a_run_that_was_closed_is_one_file(tmp_path: Path) -> None:
    with Run.create(tmp_path / "run", SETTINGS) as run:
        run.born([CANDIDATE], [])
        assert len(list((tmp_path / "run").iterdir())) > 1
    assert [path.name for path in (tmp_path / "run").iterdir()] == [FILE]


def test_a_run_can_be_read_while_another_process_writes(tmp_path: Path) -> None:
    with Run.create(tmp_path / "run", SETTINGS) as run, Run.open(tmp_path / "run") as reader:
        assert reader.candidates() == []
        run.born([CANDIDATE], [])
        assert reader.candidates() == [] or reader.candidates() == [CANDIDATE]
        with Run.open(tmp_path / "run") as later:
            assert later.candidates() == [CANDIDATE]
            with pytest.raises(RuntimeError, match="opened to be read"):
                later.started(3, "proxy", 0)


def test_a_second_process_is_told_who_holds_the_run_and_a_killed_one_holds_nothing(tmp_path: Path) -> None:
    code = (
        "import sys, time; from autoloss.store.run import Run\n"
        f"run = Run.create({str(tmp_path / 'run')!r}, {SETTINGS!r}); print('held', flush=True); time.sleep(600)"
    )
    first = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert first.stdout is not None
    assert first.stdout.readline() == "held\n"
    who = re.escape(f"is in use by process {first.pid} on {socket.gethostname()}")
    with pytest.raises(InputError, match=who):
        Run.create(tmp_path / "run", SETTINGS)
    with Run.open(tmp_path / "run") as run:
        assert run.worked_on == f"process {first.pid} on {socket.gethostname()}"
    first.send_signal(signal.SIGKILL)
    first.communicate()
    with Run.create(tmp_path / "run", SETTINGS) as run:
        assert run.worked_on == f"process {os.getpid()} on {socket.gethostname()}"
    with Run.open(tmp_path / "run") as run:
        assert run.worked_on == ""


@pytest.fixture
def five_megabytes(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with 5 MB."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=5m", "tmpfs", place], capture_output=True, text=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"no file system of 5 MB can be mounted here: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def test_a_full_disk_ends_the_search_in_one_line_and_it_goes_on_when_there_is_space(
    five_megabytes: Path, tmp_path: Path
) -> None:
    whole = from_mapping(section())
    with Run.create(tmp_path / "whole", whole.identity()) as run:
        discover(whole, run)
        expected = [(e.candidate, e.rung, e.seed, e.score) for e in run.evaluations()]
    config = tmp_path / "config.py"
    config.write_text(f"search = {section()!r}")
    ballast = five_megabytes / "ballast"
    ballast.write_bytes(b"x" * 4_600_000)
    stopped = autoloss("search", config, five_megabytes / "run")
    assert stopped.returncode == 2, stopped.stderr
    assert "autoloss: cannot write to" in stopped.stderr
    assert "full" in stopped.stderr
    assert "Traceback" not in stopped.stderr
    with Run.open(five_megabytes / "run") as run:
        assert run._sql.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    ballast.unlink()
    resumed = autoloss("search", config, five_megabytes / "run")
    assert resumed.returncode == 0, resumed.stderr
    with Run.open(five_megabytes / "run") as run:
        assert [(e.candidate, e.rung, e.seed, e.score) for e in run.evaluations()] == expected


def test_a_lock_whose_text_is_damaged_is_still_held(tmp_path: Path) -> None:
    with Run.create(tmp_path / "run", SETTINGS):
        (tmp_path / "run" / LOCK).write_bytes(b"process 7\xff\x00\x1b[31m on host\n")
        with pytest.raises(InputError, match=r"is in use by process 7\S*\[31m on host; wait") as error:
            Run.create(tmp_path / "run", SETTINGS)
    assert str(error.value).isprintable()

"""Damage to a run file: what is shown is what was written, or one line says what is wrong and what to do."""

from __future__ import annotations

import json
import os
import random
import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from autoloss import cli
from autoloss.candidate import Candidate, Crash, Evaluation, Kind, Origin, Refusal, State
from autoloss.config import from_mapping
from autoloss.export import selection
from autoloss.report.leaderboard import Leaderboard
from autoloss.search.loop import discover
from autoloss.store.file import FILE
from autoloss.store.lock import FILE as LOCK
from autoloss.store.run import Run
from primitives.errors import InputError
from tests.helpers.damage import damaged
from tests.helpers.small import section


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small run that has one of everything."""
    directory = tmp_path_factory.mktemp("searched") / "run"
    settings = from_mapping(section(generations=2, births=1))
    with Run.create(directory, settings.identity()) as run:
        discover(settings, run)
        run.crashed(Crash("proxy", 1, (1, 3), True, "the worker was killed", 1e9))
        run.end("the budget of 3 s")
    return directory


@pytest.fixture
def run(searched: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return shutil.copytree(searched, tmp_path / "run")


def shown(directory: Path) -> dict[str, Any]:
    """All that is read of a run."""
    with Run.open(directory) as run:
        found = {**Leaderboard.of(run).plain_values(), "refusals": run.refusals(), "evaluations": run.evaluations()}
        exported = [(one.losses, one.about, one.setup, one.evidence) for one in selection.of_run(run, top=3)]
    return {**found, "run": "", "exported": json.dumps(exported, default=repr).replace(str(directory), "")}


def refused(directory: Path) -> str:
    """The line that a run is refused with."""
    with pytest.raises(InputError) as error:
        shown(directory)
    text = str(error.value)
    assert text.isprintable()  # one line, and nothing that a terminal obeys
    return text


def test_a_file_with_random_damage_is_refused_in_a_line_or_shows_what_was_written(run: Path) -> None:
    expected, content, refusals = shown(run), (run / FILE).read_bytes(), 0
    for seed in range(int(os.environ.get("AUTOLOSS_DAMAGED", "200"))):
        (run / FILE).write_bytes(damaged(content, random.Random(seed)))
        try:
            found = shown(run)
        except InputError as error:
            assert str(error).isprintable(), seed
            assert FILE in str(error), seed
            refusals += 1
        else:
            assert found == expected, seed
        assert [path.name for path in run.iterdir()] == [FILE], seed
    assert refusals > 100


def edited(directory: Path, *statements: str) -> None:
    """Someone, or something, writes to the file without this toolkit."""
    with closing(sqlite3.connect(directory / FILE)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


ROWS = {
    "UPDATE evaluation SET score = 0.9 WHERE candidate = 0 AND rung = 'proxy'": "candidate 0, rung 'proxy', seed 1 is",
    "UPDATE evaluation SET rung = 'full' WHERE candidate = 3 AND rung = 'proxy'": "candidate 3, rung 'full', seed 1 is",
    "UPDATE evaluation SET metrics = '{'": "table evaluation with candidate 0",
    "UPDATE evaluation SET score = NULL WHERE candidate = 0": "table evaluation with candidate 0",
    "UPDATE evaluation SET score = x'00ff' WHERE candidate = 0": "table evaluation with candidate 0",
    "UPDATE evaluation SET seed = 9223372036854775807 WHERE rung = 'proxy'": "seed 9223372036854775807 is not",
    "DELETE FROM evaluation WHERE candidate = 1 AND rung = 'verify'": "holds 17 rows, 18 rows were written",
    "DELETE FROM evaluation": "table evaluation holds 0 rows, 18 rows were written",
    "DELETE FROM candidate WHERE number = 3": "table candidate holds 4 rows, 5 rows were written",
    "UPDATE candidate SET losses = 'not JSON' WHERE number = 3": "table candidate with number 3 is not",
    "UPDATE candidate SET losses = replace(losses, 'i', 'u') WHERE number = 4": "table candidate with number 4 is not",
    "UPDATE candidate SET parents = '[99]' WHERE number = 4": "table candidate with number 4 is not",
    "UPDATE candidate SET kind = x'80' WHERE number = 2": "table candidate with number 2 is not",
    "UPDATE candidate SET number = 77 WHERE number = 2": "table candidate with number 77 is not",
    "UPDATE candidate SET origin = char(27, 10, 8238) WHERE number = 2": "table candidate with number 2 is not",
    "UPDATE candidate SET origin = CAST(x'eda080' AS TEXT) WHERE number = 2": "Could not decode to UTF-8",
    "UPDATE refusal SET gate = 'finite' WHERE draw = 0": "table refusal with number 3, draw 0 is not",
    "DELETE FROM refusal WHERE draw = 0": "table refusal holds",
    "INSERT INTO refusal SELECT number, 999, slot, expression, gate, reason, checksum FROM refusal LIMIT 1": "draw 999",
    "INSERT INTO crash SELECT * FROM crash": "table crash holds 2 rows, 1 rows were written",
    "UPDATE crash SET candidates = '{}'": "table crash with rung 'proxy', seed 1, candidates '{}' is not",
    "UPDATE meta SET value = '[]' WHERE key = 'settings'": "table meta with key 'settings' is not",
    "UPDATE meta SET value = 'x' WHERE key = 'total:seconds'": "table meta with key 'total:seconds' is not",
    "DELETE FROM meta WHERE key = 'settings'": "table meta",
    "DELETE FROM meta WHERE key = 'description'": "table meta holds",
    "DELETE FROM meta WHERE key = 'schema'": "does not say which version wrote it",
    "UPDATE meta SET value = '3' WHERE key = 'schema'": "duplicate column name",
    "UPDATE meta SET value = 'four' WHERE key = 'schema'": "does not say which version wrote it",
    "UPDATE tally SET rows = 0 WHERE name = 'crash'": "table crash holds 1 rows, 0 rows were written",
    "DELETE FROM tally": "table meta holds 7 rows, an unknown number of rows were written",
    "DROP TABLE tally": "no such table: tally",
    "DROP TABLE crash": "no such table: crash",
    "DROP TABLE meta": "no such table: meta",
    "ALTER TABLE evaluation DROP COLUMN metrics": "no such column: metrics",
    "ALTER TABLE candidate RENAME COLUMN identity TO self": "no such column: identity",
}


@pytest.mark.parametrize("statement", ROWS)
def test_what_another_program_wrote_is_refused_by_table_and_row(statement: str, run: Path) -> None:
    edited(run, statement)
    text = refused(run)
    assert ROWS[statement] in text
    assert FILE in text
    assert "put back a copy" in text


FILES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda _: b"", "not a run file, or is damaged: no such table: meta"),
    "zeros": (lambda content: bytes(len(content)), "file is not a database"),
    "text": (lambda _: b"some text of another program " * 500, "file is not a database"),
    "half": (lambda content: content[: len(content) // 2], "malformed"),
    "a page short": (lambda content: content[:-4096], "is damaged"),
    "a page too long": (lambda content: content + bytes(4096), ""),
    "another page size": (lambda content: content[:16] + b"\x02\x00" + content[18:], "is damaged"),
    "another encoding": (lambda content: content[:59] + b"\x02" + content[60:], "is damaged"),
}


@pytest.mark.parametrize("what", FILES)
def test_a_file_that_is_no_whole_database_is_refused(what: str, run: Path) -> None:
    change, said = FILES[what]
    expected = shown(run)
    (run / FILE).write_bytes(change((run / FILE).read_bytes()))
    if said:
        assert said in refused(run)
    else:
        assert shown(run) == expected


def test_the_command_line_says_it_in_one_line_and_exits_with_2(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    edited(run, "DELETE FROM evaluation WHERE candidate = 1 AND rung = 'verify'")
    config = tmp_path / "config.py"
    config.write_text(f"search = {section(generations=2, births=1)!r}")
    before = (run / FILE).read_bytes()
    for command in (
        ["show", run],
        ["show", run, "--json"],
        ["show", run, "--follow"],
        ["export", run],
        ["fidelity", run],
        ["train", "x.py", "--run", run],
        ["search", config, run],
    ):
        monkeypatch.setattr(sys, "argv", ["autoloss", *map(str, command)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        shown = capsys.readouterr()
        assert (ended.value.code, shown.out) == (2, ""), command
        (text,) = shown.err.splitlines()
        assert text.startswith(f"autoloss: {run / FILE} is damaged: table evaluation holds 17 rows, 18")
    assert (run / FILE).read_bytes() == before
    assert [path.name for path in run.iterdir()] == [FILE]


def test_a_directory_and_what_may_not_be_read_are_no_run_files(tmp_path: Path) -> None:
    (tmp_path / "run" / FILE).mkdir(parents=True)
    assert "cannot read" in refused(tmp_path / "run")
    with pytest.raises(InputError, match="Is a directory"):
        Run.create(tmp_path / "run", {})
    assert [path.name for path in (tmp_path / "run").iterdir()] == [FILE]


@pytest.fixture
def somebody() -> Iterator[None]:
    """A user who may not read what belongs to root."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    yield
    os.seteuid(0)


@pytest.mark.parametrize("locked", ["directory", "file"])
def test_a_run_without_permission_to_read_is_said_to_be_one(
    locked: str, run: Path, request: pytest.FixtureRequest
) -> None:
    for folder in (run, *run.parents[:4]):
        folder.chmod(0o755)
    (run if locked == "directory" else run / FILE).chmod(0)
    request.getfixturevalue("somebody")
    try:
        with pytest.raises(InputError, match=r"cannot read .*Permission denied"):
            Run.open(run)
        with pytest.raises(InputError, match="Permission denied"):
            Run.create(run, {})
    finally:
        if os.getuid() == 0:
            os.seteuid(0)
        run.chmod(0o755)


def test_a_run_that_a_killed_process_left_is_read_and_nothing_is_left_beside_it(run: Path, tmp_path: Path) -> None:
    left = killed(run, tmp_path / "left")
    before = {path.name: path.read_bytes() for path in left.iterdir()}
    assert f"{FILE}-wal" in before
    with Run.open(left) as reader:
        assert reader.evaluations()[-1] == Evaluation(4, "verify", 9, State.DONE, 0.5)
    assert {path.name: path.read_bytes() for path in left.iterdir()} == before


def killed(run: Path, left: Path) -> Path:
    """What lies there when a process dies that was writing."""
    with Run.open(run) as reader:
        settings = reader.kept_settings
    with Run.create(run, settings) as writer:
        for seed in (8, 9):
            writer.started(4, "verify", seed)
            writer.finished(Evaluation(4, "verify", seed, State.DONE, 0.5))
        shutil.copytree(run, left)
    (left / LOCK).unlink()
    return left


def test_a_damaged_log_of_a_killed_process_shows_a_whole_earlier_state_or_is_refused(run: Path, tmp_path: Path) -> None:
    before = shown(run)["evaluations"]
    left = killed(run, tmp_path / "left")
    after = shown(left)["evaluations"]
    log, content = left / f"{FILE}-wal", (left / f"{FILE}-wal").read_bytes()
    for seed in range(50):
        log.write_bytes(damaged(content, random.Random(seed)))
        try:
            found = shown(left)["evaluations"]
        except InputError as error:
            assert str(error).isprintable()
        else:
            rest = [one for one in found if one not in before]
            assert [one for one in found if one in before] == before
            assert all(one in after or one.state is State.RUNNING for one in rest)
        assert {path.name for path in left.iterdir()} <= {FILE, f"{FILE}-wal", f"{FILE}-shm"}


def test_a_stray_journal_changes_nothing(run: Path) -> None:
    expected = shown(run)
    (run / f"{FILE}-journal").write_bytes(os.urandom(5000))
    assert shown(run) == expected


def test_damage_that_comes_while_a_run_is_written_ends_it_in_a_line(run: Path) -> None:
    with Run.open(run) as reader:
        settings = reader.kept_settings
    with Run.create(run, settings) as writer:
        writer._sql.close()
        content = (run / FILE).read_bytes()
        (run / FILE).write_bytes(content[:4096] + bytes(len(content) - 4096))
        with pytest.raises(InputError, match="is damaged"):
            writer.started(0, "proxy", 99)


def test_text_that_no_file_can_hold_is_kept_as_people_can_read_it(tmp_path: Path) -> None:
    odd = "half \ud800 of a pair, \x00 and \x1b[31m"
    with Run.create(tmp_path / "run", {}) as run:
        run.born([], [Refusal(0, 0, "loss_bbox", "i", "minimum", odd)])
    with Run.open(tmp_path / "run") as run:
        assert run.refusals()[0].reason == odd.replace("\ud800", "\\ud800")


def test_a_score_of_minus_zero_is_no_damage(tmp_path: Path) -> None:
    with Run.create(tmp_path / "run", {}) as run:
        run.born([Candidate(0, Kind.OWN, 0, {}, Origin.of("own"))], [])
        run.started(0, "proxy", 1)
        run.finished(Evaluation(0, "proxy", 1, State.DONE, -0.0, {"score": -0.0}))
    with Run.open(tmp_path / "run") as run:
        assert run.evaluations()[0].score == 0.0

"""Run: one directory with one SQLite file, the only state of a search; opening it again resumes."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from autoloss.candidate import Candidate, Crash, Evaluation, Kind, Loss, Refusal, State
from autoloss.settings import completed
from autoloss.store import schema
from autoloss.store.lock import FILE as LOCK
from autoloss.store.lock import Lock, holder
from primitives.errors import InputError

FILE = "run.sqlite"


class Run:
    """The facts of a search: candidates, refusals, evaluations, crashes. Facts are added, never changed.

    Use `create` to write or `open` to read; close it, or use it in a `with` statement. The file is not touched before
    something is written: until then one of an older version is read through a copy in memory.
    """

    def __init__(self, directory: Path, connection: sqlite3.Connection, lock: Lock | None = None) -> None:
        self.directory = directory
        self._sql, self._lock, self._writes = connection, lock, False

    @classmethod
    def create(cls, directory: str | Path, settings: Mapping[str, Any], free: Sequence[str] = ()) -> Run:
        """Opens the run in `directory` to go on with it, or starts one there; no other process can until it is closed.

        Args:
            directory: of the run; made where it is missing.
            settings: what must be the same when a run goes on.
            free: keys that may differ; the run takes the new values.

        Raises:
            InputError: the directory holds a run with other settings, or other files; another process works on it;
                the disk is full.
        """
        directory = Path(directory)
        fresh = directory / f"{FILE}.new"
        there = {path.name for path in directory.iterdir()} if directory.is_dir() else set()
        if FILE not in there and (there - {fresh.name, LOCK} or (directory.exists() and not directory.is_dir())):
            raise InputError(f"{directory} is not empty and holds no run; name a new directory or one with {FILE}")
        try:
            directory.mkdir(parents=True, exist_ok=True)
            lock = Lock(directory)
        except OSError as error:
            raise InputError(f"cannot write to {directory}: {error.strerror}") from None
        try:
            if not (directory / FILE).exists():
                with _room(directory):
                    _start(fresh, directory / FILE, settings)
            run = cls(directory, _read(directory / FILE, others=False), lock)
        except BaseException:
            lock.release()
            raise
        try:
            run._agree(settings, free)
        except BaseException:
            run.close()
            raise
        return run

    @classmethod
    def open(cls, directory: str | Path) -> Run:
        """Opens a run that is there, to read it; another process may be writing.

        Raises:
            InputError: there is none, it is no run file, or a newer version of the toolkit wrote it.
        """
        file = Path(directory) / FILE
        if not file.is_file():
            raise InputError(f"no run in {str(directory)!r} ({FILE} is missing); autoloss search CONFIG starts one")
        return cls(Path(directory), _read(file))

    def _agree(self, settings: Mapping[str, Any], free: Sequence[str]) -> None:
        before = completed(self.settings)
        fixed = [{key: one[key] for key in one if key not in free} for one in (before, settings)]
        begun = self._sql.execute("SELECT EXISTS (SELECT * FROM candidate)").fetchone()[0]
        if begun:  # until then a config that was wrong may be mended
            _same(fixed[0], fixed[1], self.directory)
        if (free or not begun) and before != settings:
            with self._writing():
                changed = json.dumps(settings, sort_keys=True)
                self._sql.execute("UPDATE meta SET value = ? WHERE key = 'settings'", (changed,))

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """One transaction: everything in it is kept, or nothing."""
        if self._lock is None:
            raise RuntimeError("this run was opened to be read; Run.create opens it to go on")
        with _room(self.directory):
            if not self._writes:
                self._sql.close()
                self._sql, self._writes = _write(self.directory / FILE), True
            self._sql.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._sql.execute("COMMIT")
            except BaseException:
                if self._sql.in_transaction:  # a full disk has rolled it back already
                    self._sql.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Closes the file, which then needs no other files beside it, and lets others write."""
        if self._writes:
            try:
                self._sql.execute("PRAGMA busy_timeout = 0")
                self._sql.execute("PRAGMA journal_mode = DELETE")
            except sqlite3.OperationalError:
                pass  # someone reads, or the disk is full: the next one who writes does it
        self._sql.close()
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    @property
    def worked_on(self) -> str:
        """Who writes to it now: process and host; empty for nobody."""
        return holder(self.directory)

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def settings(self) -> dict[str, Any]:
        """What the run was started with."""
        row = self._sql.execute("SELECT value FROM meta WHERE key = 'settings'").fetchone()
        return dict(json.loads(row[0]))

    def describe(self, description: Mapping[str, Any]) -> None:
        """Keeps what is trained on what."""
        if description == self.description:
            return  # a run that is only looked at stays as it is, byte for byte
        with self._writing():
            self._sql.execute("INSERT OR REPLACE INTO meta VALUES ('description', ?)", (json.dumps(description),))

    @property
    def description(self) -> dict[str, Any]:
        """What is trained on what; empty before the first search."""
        row = self._sql.execute("SELECT value FROM meta WHERE key = 'description'").fetchone()
        return dict(json.loads(row[0])) if row else {}

    def value(self, key: str) -> str:
        """What `agreed` kept under a key; empty when there is nothing."""
        row = self._sql.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return "" if row is None else str(row[0])

    def agreed(self, key: str, value: str, anew: bool = False) -> str:
        """Keeps a value under a key unless there is one, or `anew`; gives what is kept."""
        row = self._sql.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        if row is not None and (row[0] == value or not anew):
            return str(row[0])
        with self._writing():
            self._sql.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))
        return value

    def note(self, key: str, value: float) -> None:
        """Adds to a running total, such as the seconds spent."""
        with self._writing():
            self._sql.execute(
                "INSERT INTO meta VALUES (:key, :value) ON CONFLICT (key) DO UPDATE SET value = value + :value",
                {"key": f"total:{key}", "value": value},
            )

    def totals(self) -> dict[str, float]:
        """The running totals by name."""
        rows = self._sql.execute("SELECT key, value FROM meta WHERE key LIKE 'total:%'")
        return {key.removeprefix("total:"): float(value) for key, value in rows}

    def born(self, candidates: Iterable[Candidate], refusals: Iterable[Refusal]) -> None:
        """Adds a generation and what was refused on the way to it, in one transaction."""
        with self._writing():
            self._sql.executemany(
                "INSERT INTO candidate (number, kind, generation, losses, origin, parents, breeds, identity, draws,"
                " certificates) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    (
                        c.number,
                        c.kind.value,
                        c.generation,
                        json.dumps(c.spec()),
                        c.origin,
                        json.dumps(c.parents),
                        c.breeds,
                        c.identity,
                        c.draws,
                        json.dumps(c.certificates),
                    )
                    for c in candidates
                ),
            )
            self._sql.executemany(
                "INSERT INTO refusal VALUES (?, ?, ?, ?, ?, ?)",
                ((r.number, r.draw, r.slot, r.expression, r.gate, r.reason) for r in refusals),
            )

    def started(self, candidate: int, rung: str, seed: int) -> None:
        """Marks an evaluation as running."""
        with self._writing():
            self._sql.execute(
                "INSERT INTO evaluation (candidate, rung, seed, state, metrics, seconds, ended, memory)"
                " VALUES (?, ?, ?, ?, '{}', 0, 0, 0)",
                (candidate, rung, seed, State.RUNNING.value),
            )

    def finished(self, evaluation: Evaluation) -> None:
        """Writes the end of a running evaluation.

        Raises:
            ValueError: the evaluation is not running, or does not end here.
        """
        if evaluation.state is State.RUNNING:
            raise ValueError("an evaluation that is running has not finished")
        e = evaluation
        with self._writing():
            done = self._sql.execute(
                "UPDATE evaluation SET state = ?, score = ?, metrics = ?, error = ?, seconds = ?, ended = ?, memory = ?"
                " WHERE candidate = ? AND rung = ? AND seed = ? AND state = 'running'",
                (
                    *(e.state.value, e.score, json.dumps(dict(e.metrics)), e.error, e.seconds, e.ended, e.memory),
                    *(e.candidate, e.rung, e.seed),
                ),
            ).rowcount
        if done != 1:
            raise ValueError(f"candidate {e.candidate} is not running at {e.rung} with seed {e.seed}")

    def forget_running(self) -> int:
        """Removes evaluations that a dead process left running; gives their number."""
        if self._sql.execute("SELECT 1 FROM evaluation WHERE state = 'running'").fetchone() is None:
            return 0
        with self._writing():
            return self._sql.execute("DELETE FROM evaluation WHERE state = 'running'").rowcount

    def crashed(self, crash: Crash) -> None:
        """Keeps that a worker was lost with candidates in it; their evaluation goes on to run, elsewhere."""
        with self._writing():
            self._sql.execute(
                "INSERT INTO crash (rung, seed, candidates, apart, cause, ended) VALUES (?, ?, ?, ?, ?, ?)",
                (crash.rung, crash.seed, json.dumps(crash.candidates), crash.apart, crash.cause, crash.ended),
            )

    def crashes(self) -> list[Crash]:
        """Lost workers, in order."""
        rows = self._sql.execute("SELECT rung, seed, candidates, apart, cause, ended FROM crash ORDER BY rowid")
        return [
            Crash(rung, seed, tuple(json.loads(numbers)), bool(apart), cause, ended)
            for rung, seed, numbers, apart, cause, ended in rows
        ]

    def candidates(self) -> list[Candidate]:
        """All candidates in the order of their numbers."""
        rows = self._sql.execute(
            "SELECT number, kind, generation, losses, origin, parents, breeds, identity, draws, certificates"
            " FROM candidate ORDER BY number"
        )
        return [
            Candidate(
                number,
                Kind(kind),
                generation,
                {slot: Loss(**loss) for slot, loss in json.loads(losses).items()},
                origin,
                tuple(json.loads(parents)),
                bool(breeds),
                identity,
                draws,
                json.loads(certificates),
            )
            for number, kind, generation, losses, origin, parents, breeds, identity, draws, certificates in rows
        ]

    def evaluations(self, rung: str | None = None) -> list[Evaluation]:
        """Evaluations of a rung, or all, in the order of candidate, rung, seed."""
        rows = self._sql.execute(
            "SELECT candidate, rung, seed, state, score, metrics, error, seconds, ended, memory FROM evaluation"
            " WHERE ? IS NULL OR rung = ? ORDER BY candidate, rung, seed",
            (rung, rung),
        )
        return [
            Evaluation(candidate, name, seed, State(state), score, json.loads(metrics), error, *costs)
            for candidate, name, seed, state, score, metrics, error, *costs in rows
        ]

    def refusals(self) -> list[Refusal]:
        """Everything a gate ended, in order."""
        rows = self._sql.execute(
            "SELECT number, draw, slot, expression, gate, reason FROM refusal ORDER BY number, draw"
        )
        return [Refusal(*row) for row in rows]

    def refused_by_gate(self) -> dict[str, int]:
        """Number of refusals by gate."""
        return dict(self._sql.execute("SELECT gate, count(*) FROM refusal GROUP BY gate"))


def _start(fresh: Path, file: Path, settings: Mapping[str, Any]) -> None:
    """Writes a run file beside its place and renames it, so that a run file that is there is whole."""
    fresh.unlink(missing_ok=True)
    connection = sqlite3.connect(fresh, isolation_level=None)
    try:
        connection.execute("BEGIN")
        schema.create(connection)
        connection.execute("INSERT INTO meta VALUES ('settings', ?)", (json.dumps(settings, sort_keys=True),))
        connection.execute("COMMIT")
    finally:
        connection.close()
    fresh.rename(file)


def _read(file: Path, others: bool = True) -> sqlite3.Connection:
    """A connection that leaves the file as it is; a migrated copy in memory for a file of an older version."""
    try:
        # What nobody writes to is read without locks, which would leave files of SQLite's beside it.
        alone = not file.with_name(f"{FILE}-wal").exists() and not (others and holder(file.parent))
        address = f"{file.resolve().as_uri()}?{'immutable=1' if alone else 'mode=ro'}"
        connection = sqlite3.connect(address, uri=True, isolation_level=None, timeout=30)
        found = schema.version(connection)
    except (sqlite3.DatabaseError, ValueError) as error:
        raise InputError(f"{file} is not a run file: {error}; remove it or name another directory") from None
    if found is None or not 1 <= found <= schema.SCHEMA:
        connection.close()
        raise InputError(
            f"{file} has schema {found}, this version reads up to {schema.SCHEMA}; use the version that wrote it"
        )
    if found == schema.SCHEMA:
        return connection
    copy = sqlite3.connect(":memory:", isolation_level=None)
    connection.backup(copy)
    connection.close()
    schema.migrate(copy)
    return copy


def _write(file: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(file, isolation_level=None, timeout=30)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")  # what SQLite recommends with WAL: a killed process loses nothing
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("BEGIN IMMEDIATE")
    schema.migrate(connection)
    connection.execute("COMMIT")
    return connection


@contextmanager
def _room(directory: Path) -> Iterator[None]:
    """Says in one line that the disk is full."""
    try:
        yield
    except (sqlite3.OperationalError, OSError) as error:
        if isinstance(error, OSError) or any(sign in str(error) for sign in ("full", "disk I/O", "readonly")):
            raise InputError(
                f"cannot write to {directory}: {error}; what finished is kept, make space and run the same command"
            ) from None
        raise


def _same(before: Mapping[str, Any], now: Mapping[str, Any], directory: Path) -> None:
    old, new = _flat(before), _flat(json.loads(json.dumps(now)))
    for key in sorted({*old, *new}):
        if old.get(key) != new.get(key):
            raise InputError(
                f"{directory} holds a run made with another config: {key} was {old.get(key)!r}, is {new.get(key)!r}; "
                "name another directory, or the config it was made with"
            )


def _flat(value: Any, prefix: str = "search") -> dict[str, Any]:
    if isinstance(value, Mapping) and value:
        return {k: v for key, part in value.items() for k, v in _flat(part, f"{prefix}.{key}").items()}
    if isinstance(value, list) and value:
        return {k: v for index, part in enumerate(value) for k, v in _flat(part, f"{prefix}.{index}").items()}
    return {prefix: value}

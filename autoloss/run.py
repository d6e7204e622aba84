"""Run: one directory with one SQLite file, the only state of a search; opening it again resumes."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from autoloss.candidate import Candidate, Evaluation, Kind, Loss, Refusal, State
from primitives.errors import InputError

SCHEMA = 2
FILE = "run.sqlite"

_TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE candidate (
    number INTEGER PRIMARY KEY, kind TEXT NOT NULL, generation INTEGER NOT NULL, losses TEXT NOT NULL,
    origin TEXT NOT NULL, parents TEXT NOT NULL, breeds INTEGER NOT NULL, identity TEXT NOT NULL,
    draws INTEGER NOT NULL, certificates TEXT NOT NULL
);
CREATE TABLE refusal (
    number INTEGER NOT NULL, draw INTEGER NOT NULL, slot TEXT NOT NULL, expression TEXT NOT NULL,
    gate TEXT NOT NULL, reason TEXT NOT NULL, PRIMARY KEY (number, draw)
);
CREATE TABLE evaluation (
    candidate INTEGER NOT NULL REFERENCES candidate (number), rung TEXT NOT NULL, seed INTEGER NOT NULL,
    state TEXT NOT NULL, score REAL, metrics TEXT NOT NULL, error TEXT, seconds REAL NOT NULL,
    ended REAL NOT NULL,
    PRIMARY KEY (candidate, rung, seed)
);
"""


class Run:
    """The facts of a search: candidates, refusals, evaluations. Facts are added, never changed.

    Use `create` or `open`; close it, or use it in a `with` statement.
    """

    def __init__(self, directory: Path, connection: sqlite3.Connection) -> None:
        self.directory = directory
        self._sql = connection

    @classmethod
    def create(cls, directory: str | Path, settings: Mapping[str, Any], free: Sequence[str] = ()) -> Run:
        """Opens the run in `directory`, or starts one there.

        Args:
            directory: of the run; made where it is missing.
            settings: what must be the same when a run goes on.
            free: keys that may differ; the run takes the new values.

        Raises:
            InputError: the directory holds a run with other settings, or other files.
        """
        directory = Path(directory)
        if (directory / FILE).exists():
            run = cls.open(directory)
            try:
                before = run.settings
                fixed = [{key: one[key] for key in one if key not in free} for one in (before, settings)]
                _same(fixed[0], fixed[1], directory)
            except InputError:
                run.close()
                raise
            if free and before != settings:
                with run._sql:
                    changed = json.dumps(settings, sort_keys=True)
                    run._sql.execute("UPDATE meta SET value = ? WHERE key = 'settings'", (changed,))
            return run
        fresh = directory / f"{FILE}.new"
        if directory.exists() and (not directory.is_dir() or any(path != fresh for path in directory.iterdir())):
            raise InputError(f"{directory} is not empty and holds no run; name a new directory or one with {FILE}")
        directory.mkdir(parents=True, exist_ok=True)
        fresh.unlink(missing_ok=True)
        # Written beside and renamed, so that a run file that is there is whole.
        connection = sqlite3.connect(fresh)
        with connection:
            connection.executescript(_TABLES)
            connection.execute("INSERT INTO meta VALUES ('schema', ?)", (str(SCHEMA),))
            connection.execute("INSERT INTO meta VALUES ('settings', ?)", (json.dumps(settings, sort_keys=True),))
        connection.close()
        fresh.rename(directory / FILE)
        return cls.open(directory)

    @classmethod
    def open(cls, directory: str | Path) -> Run:
        """Opens a run that is there.

        Raises:
            InputError: there is none, it is no run file, or a newer version of the toolkit wrote it.
        """
        file = Path(directory) / FILE
        if not file.is_file():
            raise InputError(f"no run in {str(directory)!r} ({FILE} is missing); autoloss search CONFIG starts one")
        connection = _connect(file)
        try:
            row = connection.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone()
        except sqlite3.DatabaseError as error:
            connection.close()
            raise InputError(f"{file} is not a run file: {error}; remove it or name another directory") from None
        if row is None or int(row[0]) != SCHEMA:
            connection.close()
            raise InputError(
                f"{file} has schema {row and row[0]}, this version reads {SCHEMA}; use the version that wrote it"
            )
        return cls(Path(directory), connection)

    def close(self) -> None:
        """Closes the file."""
        self._sql.close()

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
        with self._sql:
            self._sql.execute("INSERT OR REPLACE INTO meta VALUES ('description', ?)", (json.dumps(description),))

    @property
    def description(self) -> dict[str, Any]:
        """What is trained on what; empty before the first search."""
        row = self._sql.execute("SELECT value FROM meta WHERE key = 'description'").fetchone()
        return dict(json.loads(row[0])) if row else {}

    def agreed(self, key: str, value: str, anew: bool = False) -> str:
        """Keeps a value under a key unless there is one, or `anew`; gives what is kept."""
        with self._sql:
            self._sql.execute(f"INSERT OR {'REPLACE' if anew else 'IGNORE'} INTO meta VALUES (?, ?)", (key, value))
        return str(self._sql.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()[0])

    def note(self, key: str, value: float) -> None:
        """Adds to a running total, such as the seconds spent."""
        with self._sql:
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
        with self._sql:
            self._sql.execute("BEGIN IMMEDIATE")
            self._sql.executemany(
                "INSERT INTO candidate VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
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
        with self._sql:
            self._sql.execute(
                "INSERT INTO evaluation VALUES (?, ?, ?, ?, NULL, '{}', NULL, 0, 0)",
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
        with self._sql:
            done = self._sql.execute(
                "UPDATE evaluation SET state = ?, score = ?, metrics = ?, error = ?, seconds = ?, ended = ?"
                " WHERE candidate = ? AND rung = ? AND seed = ? AND state = 'running'",
                (
                    *(e.state.value, e.score, json.dumps(dict(e.metrics)), e.error, e.seconds, e.ended),
                    *(e.candidate, e.rung, e.seed),
                ),
            ).rowcount
        if done != 1:
            raise ValueError(f"candidate {e.candidate} is not running at {e.rung} with seed {e.seed}")

    def forget_running(self) -> int:
        """Removes evaluations that a dead process left running; gives their number."""
        with self._sql:
            return self._sql.execute("DELETE FROM evaluation WHERE state = 'running'").rowcount

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
            "SELECT candidate, rung, seed, state, score, metrics, error, seconds, ended FROM evaluation"
            " WHERE ? IS NULL OR rung = ? ORDER BY candidate, rung, seed",
            (rung, rung),
        )
        return [
            Evaluation(candidate, name, seed, State(state), score, json.loads(metrics), error, seconds, ended)
            for candidate, name, seed, state, score, metrics, error, seconds, ended in rows
        ]

    def refusals(self) -> list[Refusal]:
        """Everything a gate ended, in order."""
        rows = self._sql.execute("SELECT * FROM refusal ORDER BY number, draw")
        return [Refusal(*row) for row in rows]

    def refused_by_gate(self) -> dict[str, int]:
        """Number of refusals by gate."""
        return dict(self._sql.execute("SELECT gate, count(*) FROM refusal GROUP BY gate"))


def _connect(file: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(file, isolation_level=None, timeout=30)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(
            "PRAGMA synchronous = NORMAL"
        )  # what SQLite recommends with WAL: a killed process loses nothing
        connection.execute("PRAGMA foreign_keys = ON")
    except sqlite3.DatabaseError as error:
        connection.close()
        raise InputError(f"{file} is not a run file: {error}; remove it or name another directory") from None
    return connection


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

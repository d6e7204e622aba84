"""Run: one directory with one SQLite file, the only state of a search; opening it again resumes."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from autoloss.candidate import Candidate, Crash, Evaluation, Refusal, State
from autoloss.config import completed
from autoloss.settings import Settings
from autoloss.store import file, records, schema
from autoloss.store.file import FILE
from autoloss.store.ledger import (
    CANDIDATE,
    CONTRIBUTION,
    CRASH,
    EVALUATION,
    META,
    REFUSAL,
    Ledger,
    Row,
    Table,
    damaged,
)
from autoloss.store.lock import FILE as LOCK
from autoloss.store.lock import Lock, holder
from primitives.errors import InputError

_Fact = TypeVar("_Fact")


class Run:
    """The facts of a search: candidates, refusals, evaluations, crashes. Facts are added, never changed.

    Use `create` to write or `open` to read; close it, or use it in a `with` statement. The file is not touched before
    something is written: until then one of an older version is read through a copy in memory. What is read is checked:
    every method that reads raises InputError where the file is damaged.
    """

    def __init__(self, directory: Path, connection: sqlite3.Connection, lock: Lock | None = None) -> None:
        self.directory = directory
        self._ledger = Ledger(connection, directory / FILE)
        self._lock, self._writes = lock, False

    @property
    def _sql(self) -> sqlite3.Connection:
        return self._ledger.sql

    @classmethod
    def create(cls, directory: str | Path, settings: Mapping[str, Any], free: Sequence[str] = ()) -> Run:
        """Opens the run in `directory` to go on with it, or starts one there; no other process can until it is closed.

        Args:
            directory: of the run; made where it is missing.
            settings: what must be the same when a run goes on.
            free: keys that may differ; the run takes the new values.

        Raises:
            InputError: the directory holds a run with other settings, a damaged one, or other files; another process
                works on it; the disk is full.
        """
        directory = Path(directory)
        fresh = directory / f"{FILE}.new"
        try:
            there = {path.name for path in directory.iterdir()} if directory.is_dir() else set()
            foreign = there - {fresh.name, f"{fresh.name}-journal", LOCK}  # these of a process that was killed
            if FILE not in there and (foreign or (directory.exists() and not directory.is_dir())):
                raise InputError(f"{directory} is not empty and holds no run; name a new directory or one with {FILE}")
            directory.mkdir(parents=True, exist_ok=True)
            lock = Lock(directory)
        except OSError as error:
            raise InputError(f"cannot write to {directory}: {error.strerror}") from None
        try:
            if not (directory / FILE).exists():
                with file.writing(directory):
                    file.create(fresh, directory / FILE, settings)
            run = cls._of(directory, lock)
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
            InputError: there is none, it is no run file or damaged, or a newer version of the toolkit wrote it.
        """
        return cls._of(Path(directory))

    @classmethod
    def _of(cls, directory: Path, lock: Lock | None = None) -> Run:
        connection, found = file.opened_to_read(directory / FILE, others=lock is None)
        run = cls(directory, connection, lock)
        try:
            if found < schema.CHECKED:
                run._audit()
        except BaseException:
            connection.close()
            raise
        return run

    def _audit(self) -> None:
        """What can be told of a file without checksums: whether its facts agree with each other."""
        try:
            records.audit(self.kept_settings, self.candidates(), self.evaluations(), self.refusals(), self.crashes())
        except records.Contradiction as error:
            raise damaged(self._ledger.file, str(error)) from None

    def _agree(self, settings: Mapping[str, Any], free: Sequence[str]) -> None:
        before = completed(self.kept_settings)
        fixed = [{key: one[key] for key in one if key not in free} for one in (before, settings)]
        begun = bool(self._ledger.rows(CANDIDATE))
        if begun:  # until then a config that was wrong may be mended
            file.same_settings(fixed[0], fixed[1], self.directory)
        if (free or not begun) and before != settings:
            self._put("settings", json.dumps(settings, sort_keys=True))

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """One transaction: everything in it is kept, or nothing."""
        if self._lock is None:
            raise RuntimeError("this run was opened to be read; Run.create opens it to go on")
        with file.writing(self.directory):
            if not self._writes:
                self._sql.close()
                self._ledger.sql, self._writes = file.opened_to_write(self.directory / FILE), True
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
            except sqlite3.DatabaseError:
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
    def settings(self) -> Settings:
        """What the run was started with."""
        return self._converted(META, records.settings, self._named("settings"))

    @property
    def kept_settings(self) -> dict[str, Any]:
        """The settings as the version that wrote them had them, in plain values."""
        return self._converted(META, records.json_object, self._named("settings"))

    def describe(self, description: Mapping[str, Any]) -> None:
        """Keeps what is trained on what."""
        if description != self.description:  # a run that is only looked at stays as it is, byte for byte
            self._put("description", json.dumps(description))

    @property
    def description(self) -> dict[str, Any]:
        """What is trained on what; empty before the first search."""
        kept = self._named("description")
        return self._converted(META, records.json_object, kept) if kept[1] else {}

    @property
    def ended(self) -> str:
        """Which budget ended the last search; empty when none did."""
        return str(self._named("ended")[1])

    def end(self, budget: str) -> None:
        """Keeps which budget ended a search; empty for none."""
        if budget or self.ended:
            self._put("ended", budget)

    def workers(self) -> list[dict[str, Any]]:
        """What each worker did when it was told last."""
        kept = self._named("workers")
        return self._converted(META, records.json_objects, kept) if kept[1] else []

    def tell_workers(self, workers: Iterable[Mapping[str, Any]]) -> None:
        """Keeps what each worker does now."""
        self._put("workers", json.dumps(list(workers)))

    def measured_task(self, rung: str) -> dict[str, Any]:
        """What was asked for at a rung that a measurement of fidelity has been at; empty at others."""
        kept = self._named(f"rung:{rung}")
        return self._converted(META, records.json_object, kept) if kept[1] else {}

    def keep_measured_task(self, rung: str, task: Mapping[str, Any]) -> None:
        """Keeps what is asked for at a rung."""
        self._put(f"rung:{rung}", json.dumps(task, sort_keys=True))

    @property
    def seconds(self) -> float:
        """Wall-clock time of all sessions."""
        return self._total("seconds")

    def add_seconds(self, more: float) -> None:
        """Adds to it."""
        self._put("total:seconds", repr(self.seconds + more))

    @property
    def shared_seconds(self) -> float:
        """Of them, those in which what candidates share was made."""
        return self._total("shared")

    def add_shared_seconds(self, more: float) -> None:
        """Adds to them."""
        self._put("total:shared", repr(self.shared_seconds + more))

    def _total(self, name: str) -> float:
        kept = self._named(f"total:{name}")
        return self._converted(META, records.total, kept) if kept[1] else 0.0

    def _named(self, key: str) -> Row:
        """The row of a key, an empty one where there is none; all are read, so that a lost one is noticed."""
        return next((row for row in self._ledger.rows(META) if row[0] == key), (key, ""))

    def _put(self, key: str, value: str) -> None:
        """Keeps a value under a key in place of what was there."""
        before = self._ledger.row(META, key)
        if before is not None and before[1] == value:
            return
        with self._writing():
            if before is None:
                self._ledger.add(META, [(key, value)])
            else:
                self._ledger.change(META, before, (key, value))

    def born(self, candidates: Iterable[Candidate], refusals: Iterable[Refusal]) -> None:
        """Adds a generation and what was refused on the way to it, in one transaction."""
        with self._writing():
            self._ledger.add(CANDIDATE, map(records.of_candidate, candidates))
            self._ledger.add(REFUSAL, map(records.of_refusal, refusals))

    def started(self, candidate: int, rung: str, seed: int) -> None:
        """Marks an evaluation as running."""
        with self._writing():
            running = Evaluation(candidate, rung, seed, State.RUNNING)
            self._ledger.add(EVALUATION, [records.of_evaluation(running)])

    def finished(self, evaluation: Evaluation) -> None:
        """Writes the end of a running evaluation.

        Raises:
            ValueError: the evaluation is not running, or does not end here.
        """
        if evaluation.state is State.RUNNING:
            raise ValueError("an evaluation that is running has not finished")
        e = evaluation
        running = Evaluation(e.candidate, e.rung, e.seed, State.RUNNING)
        with self._writing():
            done = self._ledger.change(EVALUATION, *map(records.of_evaluation, (running, evaluation)))
            if done and e.contributions:
                self._ledger.add(CONTRIBUTION, [(e.candidate, e.rung, e.seed, e.contributions)])
        if not done:
            raise ValueError(f"candidate {e.candidate} is not running at {e.rung} with seed {e.seed}")

    def forget_running(self) -> int:
        """Removes evaluations that a dead process left running; gives their number."""
        state = list(EVALUATION.columns).index("state")
        running = [row for row in self._ledger.rows(EVALUATION) if row[state] == State.RUNNING.value]
        if running:
            with self._writing():
                self._ledger.remove(EVALUATION, running)
        return len(running)

    def crashed(self, crash: Crash) -> None:
        """Keeps that a worker was lost with candidates in it; their evaluation goes on to run, elsewhere."""
        with self._writing():
            self._ledger.add(CRASH, [records.of_crash(crash)])

    def crashes(self) -> list[Crash]:
        """Lost workers, in order."""
        return self._facts(CRASH, records.crash)

    def candidates(self) -> list[Candidate]:
        """All candidates in the order of their numbers."""
        return self._facts(CANDIDATE, records.candidate)

    def evaluations(self, rung: str | None = None) -> list[Evaluation]:
        """Evaluations of a rung, or all, in the order of candidate, rung, seed."""
        return [one for one in self._facts(EVALUATION, records.evaluation) if rung is None or one.rung == rung]

    def contributions(self, rung: str) -> dict[tuple[int, int], dict[str, Any]]:
        """What each image contributed to the scores at a rung, where that was asked for, by candidate and seed."""
        rows = [row for row in self._ledger.rows(CONTRIBUTION) if row[1] == rung]
        return {(row[0], row[2]): self._converted(CONTRIBUTION, records.contributions, row) for row in rows}

    def refusals(self) -> list[Refusal]:
        """Everything a gate ended, in order."""
        return self._facts(REFUSAL, records.refusal)

    def refused_by_gate(self) -> dict[str, int]:
        """Number of refusals by gate."""
        return dict(sorted(Counter(one.gate for one in self.refusals()).items()))

    def _facts(self, table: Table, make: Callable[[Row], _Fact]) -> list[_Fact]:
        return [self._converted(table, make, row) for row in self._ledger.rows(table)]

    def _converted(self, table: Table, make: Callable[[Row], _Fact], row: Row) -> _Fact:
        """What a row stands for."""
        try:
            return make(row)
        except (ValueError, TypeError, RecursionError) as error:
            raise damaged(self._ledger.file, f"{table.place(row)}: {records.reason(error)}") from None

"""File: the SQLite file of a run: made whole, opened to read or to write, and what can go wrong with it in one line."""

from __future__ import annotations

import json
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from autoloss.store import schema
from autoloss.store.ledger import META, Ledger, damaged, line, sqlite_errors, whole
from autoloss.store.lock import holder
from primitives.errors import InputError

FILE = "run.sqlite"


def create(fresh: Path, file: Path, settings: Mapping[str, Any]) -> None:
    """Writes a run file beside its place and renames it, so that a run file that is there is whole."""
    for left in (fresh, fresh.with_name(f"{fresh.name}-journal")):  # by a process that was killed here
        left.unlink(missing_ok=True)
    connection = sqlite3.connect(fresh, isolation_level=None)
    try:
        connection.execute("BEGIN")
        schema.create(connection)
        Ledger(connection, fresh).add(META, [("settings", json.dumps(settings, sort_keys=True))])
        connection.execute("COMMIT")
    finally:
        connection.close()
    fresh.rename(file)


def opened_to_read(file: Path, others: bool = True) -> tuple[sqlite3.Connection, int]:
    """A connection that leaves the file as it is, and the version that wrote it; that of this one is what it reads."""
    try:
        if not file.exists():
            raise InputError(f"no run in {str(file.parent)!r} ({FILE} is missing); autoloss search CONFIG starts one")
        file.open("rb").close()
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}") from None
    try:
        connection = _connected(file, others)
        found = schema.version(connection)
        if found is None:
            raise ValueError("it does not say which version wrote it")
    except (sqlite3.DatabaseError, ValueError) as error:  # the latter from a message that quotes what is damaged, too
        raise InputError(
            f"{file} is not a run file, or is damaged: {line(error)}; put back a copy of it, or name another directory"
        ) from None
    if not 1 <= found <= schema.SCHEMA:
        connection.close()
        raise InputError(
            f"{file} has schema {found}, this version reads up to {schema.SCHEMA}; use the version that wrote it"
        )
    whole(connection, file)
    if found < schema.SCHEMA:
        connection = _in_memory(connection)
        with sqlite_errors(file):
            schema.migrate(connection, file)
    return connection, found


def _connected(file: Path, others: bool) -> sqlite3.Connection:
    """What nobody writes to is read without locks, and what a killed process left through a copy: both would leave
    files of SQLite's beside it.
    """
    if others and holder(file.parent):
        return sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=30)
    log = file.with_name(f"{FILE}-wal")
    if not log.exists():
        return sqlite3.connect(f"{file.resolve().as_uri()}?immutable=1", uri=True, isolation_level=None)
    with tempfile.TemporaryDirectory(prefix="autoloss-") as folder:
        for one in (file, log):
            shutil.copyfile(one, Path(folder) / one.name)
        return _in_memory(sqlite3.connect(Path(folder) / FILE, isolation_level=None))


def _in_memory(connection: sqlite3.Connection) -> sqlite3.Connection:
    """A copy; the original is closed."""
    copy = sqlite3.connect(":memory:", isolation_level=None)
    try:
        connection.backup(copy)
    finally:
        connection.close()
    return copy


def opened_to_write(file: Path) -> sqlite3.Connection:
    """A connection to a file of this version's schema."""
    connection = sqlite3.connect(file, isolation_level=None, timeout=30)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")  # what SQLite recommends with WAL: a killed process loses nothing
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("BEGIN IMMEDIATE")
    schema.migrate(connection, file)
    connection.execute("COMMIT")
    return connection


@contextmanager
def writing(directory: Path) -> Iterator[None]:
    """Says in one line that the disk is full, or that the file is damaged."""
    try:
        yield
    except (sqlite3.DatabaseError, OSError) as error:
        if isinstance(error, OSError) or any(sign in str(error) for sign in ("full", "disk I/O", "readonly")):
            raise InputError(
                f"cannot write to {directory}: {error}; what finished is kept, make space and run the same command"
            ) from None
        if any(sign in str(error) for sign in ("malformed", "not a database")):
            raise damaged(directory / FILE, line(error)) from None
        raise


def same_settings(before: Mapping[str, Any], now: Mapping[str, Any], directory: Path) -> None:
    """Refuses settings that are not those a run was made with, by the first that differs."""
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

"""Ledger: the tables of a run file, each row with a checksum and each table with a tally: no damage passes for a fact.

A checksum is written with its row and compared when the row is read. The tally of a table, how many rows it has and
what their checksums add up to, changes in the transaction that changes a row: a row that is lost or doubled is noticed.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from primitives.errors import InputError

_LONGEST = 200
"""Characters of what SQLite, a model or a cell says in a line."""

Row = tuple[Any, ...]


@dataclass(frozen=True, eq=False)
class Table:
    """Rows of one kind.

    Args:
        name: in the file.
        columns: in the file's order, and what their values are.
        key: how many of the first columns name a row; 0 where rows are in the order they came.
    """

    name: str
    columns: Mapping[str, type]
    key: int

    def stored(self, row: Sequence[Any]) -> Row:
        """A row as it is read again."""
        return tuple(map(_stored, self.columns.values(), row))

    def checksum(self, row: Row) -> int:
        """Of a row as it is stored."""
        return zlib.crc32(ascii((self.name, *row)).encode())

    def place(self, row: Row) -> str:
        """Which row it is, for people."""
        parts = [f"{name} {shown(value)}" for name, value in zip(self.columns, row[: self.key or 3], strict=False)]
        return f"the row of table {self.name} with {', '.join(parts)}"


META = Table("meta", {"key": str, "value": str}, 1)
CANDIDATE = Table(
    "candidate",
    {
        "number": int,
        "kind": str,
        "generation": int,
        "losses": str,
        "origin": str,
        "parents": str,
        "breeds": int,
        "identity": str,
        "draws": int,
        "certificates": str,
    },
    1,
)
REFUSAL = Table("refusal", {"number": int, "draw": int, "slot": str, "expression": str, "gate": str, "reason": str}, 2)
EVALUATION = Table(
    "evaluation",
    {
        "candidate": int,
        "rung": str,
        "seed": int,
        "state": str,
        "score": float,
        "metrics": str,
        "error": str,
        "seconds": float,
        "ended": float,
        "memory": float,
    },
    3,
)
CRASH = Table("crash", {"rung": str, "seed": int, "candidates": str, "apart": int, "cause": str, "ended": float}, 0)
CONTRIBUTION = Table("contribution", {"candidate": int, "rung": str, "seed": int, "content": str}, 3)
TABLES = (META, CANDIDATE, REFUSAL, EVALUATION, CRASH, CONTRIBUTION)


class Ledger:
    """Writes and reads the rows of a file; every method but `rows` and `row` is part of its caller's transaction.

    Args:
        sql: the open file.
        file: its name, for messages.
    """

    def __init__(self, sql: sqlite3.Connection, file: Path) -> None:
        self.sql, self.file = sql, file

    def add(self, table: Table, rows: Iterable[Sequence[Any]]) -> None:
        """Adds rows."""
        stored = [table.stored(row) for row in rows]
        sums = [table.checksum(row) for row in stored]
        self.sql.executemany(_insert(table), [(*row, found) for row, found in zip(stored, sums, strict=True)])
        self._count(table, len(stored), sum(sums))

    def change(self, table: Table, before: Sequence[Any], after: Sequence[Any]) -> bool:
        """Puts a row in the place of another with the same key; says whether that other was there."""
        old, new = table.checksum(table.stored(before)), table.stored(after)
        found = table.checksum(new)
        done = self.sql.execute(_update(table), (*new, found, *new[: table.key], old)).rowcount
        if done == 1:
            self._count(table, 0, found - old)
        return done == 1

    def remove(self, table: Table, rows: Iterable[Row]) -> None:
        """Removes rows that `rows` gave."""
        for row in rows:
            self.sql.execute(f"DELETE FROM {table.name} WHERE {_named(table)}", row[: table.key])
            self._count(table, -1, -table.checksum(row))

    def _count(self, table: Table, rows: int, total: int) -> None:
        self.sql.execute(
            "UPDATE tally SET rows = rows + ?, total = total + ? WHERE name = ?", (rows, total, table.name)
        )

    def rows(self, table: Table) -> list[Row]:
        """All rows of a table, by their key.

        Raises:
            InputError: one is damaged, missing or too many.
        """
        with sqlite_errors(self.file), self._moment():
            tally = self.sql.execute("SELECT rows, total FROM tally WHERE name = ?", (table.name,)).fetchone()
            # Not by an index, which is one more thing that can be damaged.
            found = self.sql.execute(f"{_select(table)} NOT INDEXED").fetchall()
        sums = sum(self._checked(table, row) for row in found)
        if tally != (len(found), sums):
            wrote = shown(tally[0]) if tally else "an unknown number of"
            same = tally and tally[0] == len(found)
            what = "other rows than were written" if same else f"{len(found)} rows, {wrote} rows were written"
            raise damaged(self.file, f"table {table.name} holds {what}")
        found = [row[:-1] for row in found]
        return sorted(found, key=lambda row: row[: table.key]) if table.key else found

    def row(self, table: Table, *key: object) -> Row | None:
        """The row with a key.

        Raises:
            InputError: it is damaged.
        """
        with sqlite_errors(self.file):
            found: Row | None = self.sql.execute(f"{_select(table)} WHERE {_named(table)}", key).fetchone()
        if found is None:
            return None
        self._checked(table, found)
        return found[:-1]

    def _checked(self, table: Table, row: Row) -> int:
        """The checksum of a row that is read."""
        found = table.checksum(row[:-1])
        if found != row[-1]:
            raise damaged(self.file, f"{table.place(row)} is not what was written there")
        return found

    @contextmanager
    def _moment(self) -> Iterator[None]:
        """What is read in it was there at one time."""
        if self.sql.in_transaction:
            yield
            return
        self.sql.execute("BEGIN")
        try:
            yield
        finally:
            self.sql.execute("ROLLBACK")


def seal(sql: sqlite3.Connection) -> None:
    """Gives every row its checksum and every table its tally; for new files, and for those that had none."""
    for table in TABLES:
        rows = sql.execute(f"SELECT {', '.join(table.columns)}, rowid FROM {table.name}").fetchall()
        sums = [table.checksum(row[:-1]) for row in rows]
        marked = [(found, row[-1]) for found, row in zip(sums, rows, strict=True)]
        sql.executemany(f"UPDATE {table.name} SET checksum = ? WHERE rowid = ?", marked)
        sql.execute("INSERT OR REPLACE INTO tally VALUES (?, ?, ?)", (table.name, len(rows), sum(sums)))


def whole(sql: sqlite3.Connection, file: Path) -> None:
    """Refuses a file whose pages, rows and indices do not fit together.

    Args:
        sql: the open file.
        file: its name.

    Raises:
        InputError: it is damaged.
    """
    with sqlite_errors(file):
        (found,) = sql.execute("PRAGMA integrity_check(1)").fetchone()
    if found != "ok":
        raise damaged(file, line(found.removeprefix("*** in database main ***")))


def damaged(file: Path, what: str) -> InputError:
    """The error for a file that does not hold what was written."""
    return InputError(f"{file} is damaged: {what}; put back a copy of it, or name another directory to search anew")


@contextmanager
def sqlite_errors(file: Path) -> Iterator[None]:
    """Says in one line what SQLite cannot read."""
    try:
        yield
    except sqlite3.ProgrammingError:
        raise
    except (sqlite3.DatabaseError, UnicodeError) as error:  # the latter from a message that quotes what is damaged
        if str(error).endswith("is locked"):
            raise InputError(f"{file} is locked by another process; try again") from None
        raise damaged(file, line(error)) from None


def line(text: object) -> str:
    """One line that a terminal can show."""
    one = " ".join("".join(sign if sign.isprintable() else " " for sign in str(text)).split())
    return one if len(one) <= _LONGEST else f"{one[:_LONGEST]}..."


def shown(value: object) -> str:
    """A cell in a message."""
    text = repr(value)
    return text if len(text) <= _LONGEST // 4 else f"{text[: _LONGEST // 4]}..."


@cache
def _select(table: Table) -> str:
    return f"SELECT {', '.join(table.columns)}, checksum FROM {table.name}"


@cache
def _insert(table: Table) -> str:
    marks = ", ".join("?" * (len(table.columns) + 1))
    return f"INSERT INTO {table.name} ({', '.join(table.columns)}, checksum) VALUES ({marks})"


@cache
def _update(table: Table) -> str:
    values = ", ".join(f"{name} = ?" for name in (*table.columns, "checksum"))
    return f"UPDATE {table.name} SET {values} WHERE {_named(table)} AND checksum = ?"


@cache
def _named(table: Table) -> str:
    return " AND ".join(f"{name} = ?" for name in list(table.columns)[: table.key])


def _stored(kind: type, value: Any) -> Any:
    if value is None:
        return None
    if kind is float:
        return float(value) + 0.0  # SQLite knows no -0.0
    if kind is str:
        return str(value).encode(errors="backslashreplace").decode()  # nor half a surrogate pair
    return int(value)

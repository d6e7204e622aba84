"""Schema: the tables of a run file, and how a file of an older version becomes one of this version."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

from autoloss.store import ledger

SCHEMA = 5
CHECKED = 4
"""The first version with checksums."""

TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL, checksum INTEGER NOT NULL);
CREATE TABLE candidate (
    number INTEGER PRIMARY KEY, kind TEXT NOT NULL, generation INTEGER NOT NULL, losses TEXT NOT NULL,
    origin TEXT NOT NULL, parents TEXT NOT NULL, breeds INTEGER NOT NULL, identity TEXT NOT NULL,
    draws INTEGER NOT NULL, certificates TEXT NOT NULL, checksum INTEGER NOT NULL
);
CREATE TABLE refusal (
    number INTEGER NOT NULL, draw INTEGER NOT NULL, slot TEXT NOT NULL, expression TEXT NOT NULL,
    gate TEXT NOT NULL, reason TEXT NOT NULL, checksum INTEGER NOT NULL, PRIMARY KEY (number, draw)
);
CREATE TABLE evaluation (
    candidate INTEGER NOT NULL REFERENCES candidate (number), rung TEXT NOT NULL, seed INTEGER NOT NULL,
    state TEXT NOT NULL, score REAL, metrics TEXT NOT NULL, error TEXT, seconds REAL NOT NULL,
    ended REAL NOT NULL, memory REAL NOT NULL, checksum INTEGER NOT NULL,
    PRIMARY KEY (candidate, rung, seed)
);
CREATE TABLE crash (
    rung TEXT NOT NULL, seed INTEGER NOT NULL, candidates TEXT NOT NULL, apart INTEGER NOT NULL,
    cause TEXT NOT NULL, ended REAL NOT NULL, checksum INTEGER NOT NULL
);
CREATE TABLE contribution (
    candidate INTEGER NOT NULL, rung TEXT NOT NULL, seed INTEGER NOT NULL, content TEXT NOT NULL,
    checksum INTEGER NOT NULL, PRIMARY KEY (candidate, rung, seed)
);
CREATE TABLE tally (name TEXT PRIMARY KEY, rows INTEGER NOT NULL, total INTEGER NOT NULL);
"""

_MIGRATIONS = {
    1: """
ALTER TABLE candidate ADD COLUMN kind TEXT NOT NULL DEFAULT 'found';
ALTER TABLE candidate ADD COLUMN certificates TEXT NOT NULL DEFAULT '{}';
UPDATE candidate SET kind = 'own' WHERE number = 0;
UPDATE candidate SET kind = 'known' WHERE origin LIKE 'known: %';
UPDATE candidate SET kind = 'control' WHERE origin LIKE 'control: %';
ALTER TABLE evaluation ADD COLUMN ended REAL NOT NULL DEFAULT 0;
""",
    2: """
ALTER TABLE evaluation ADD COLUMN memory REAL NOT NULL DEFAULT 0;
CREATE TABLE crash (
    rung TEXT NOT NULL, seed INTEGER NOT NULL, candidates TEXT NOT NULL, apart INTEGER NOT NULL,
    cause TEXT NOT NULL, ended REAL NOT NULL
);
""",
    3: """
ALTER TABLE meta ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;
ALTER TABLE candidate ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;
ALTER TABLE refusal ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;
ALTER TABLE evaluation ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;
ALTER TABLE crash ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;
CREATE TABLE tally (name TEXT PRIMARY KEY, rows INTEGER NOT NULL, total INTEGER NOT NULL);
""",
    4: """
CREATE TABLE contribution (
    candidate INTEGER NOT NULL, rung TEXT NOT NULL, seed INTEGER NOT NULL, content TEXT NOT NULL,
    checksum INTEGER NOT NULL, PRIMARY KEY (candidate, rung, seed)
);
INSERT INTO tally VALUES ('contribution', 0, 0);
""",
}


def create(connection: sqlite3.Connection) -> None:
    """Makes the tables in an empty file."""
    for statement in _statements(TABLES):
        connection.execute(statement)
    connection.execute("INSERT INTO meta VALUES ('schema', ?, 0)", (str(SCHEMA),))
    ledger.seal(connection)


def version(connection: sqlite3.Connection) -> int | None:
    """Of a file; None where it does not say."""
    row = connection.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone()
    return int(row[0]) if row and re.fullmatch("[0-9]{1,9}", str(row[0])) else None


def migrate(connection: sqlite3.Connection, file: Path) -> None:
    """Brings a file of an older version to this one; the caller's transaction makes it whole or not at all.

    Args:
        connection: to it.
        file: its name.
    """
    found = version(connection) or SCHEMA
    for old in range(found, SCHEMA):
        for statement in _statements(_MIGRATIONS[old]):
            connection.execute(statement)
        if found < CHECKED:
            connection.execute("UPDATE meta SET value = ? WHERE key = 'schema'", (str(old + 1),))
        else:  # what has checksums keeps them, so that damage from before is noticed after
            now, then = (("schema", str(one)) for one in (old, old + 1))
            ledger.Ledger(connection, file).change(ledger.META, now, then)
    if found < CHECKED:
        ledger.seal(connection)


def _statements(script: str) -> list[str]:
    """One by one: `executescript` would end the caller's transaction."""
    return [statement for statement in script.split(";") if statement.strip()]

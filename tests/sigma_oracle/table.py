"""The records of a source as rows that SQLite can be asked about.

Enters: records and the fields that rules name. Leaves: the numbers of the records that a rule matches. Each value of a
field is a row, in the words of the record and, where the mapping knows others, in those of rules.
"""

from __future__ import annotations

import datetime
import ipaddress
import re
import sqlite3
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from queries import ValueBackend
from records import Record, at, is_like, leaves, number, spread, text
from sigma.rule import SigmaRule
from sources import Source

SCHEMA = """
CREATE TABLE event (id INTEGER PRIMARY KEY);
CREATE TABLE present (event INTEGER, field TEXT, PRIMARY KEY (event, field));
CREATE TABLE field_value (event INTEGER, field TEXT, is_null INTEGER, value TEXT COLLATE NOCASE, number REAL);
CREATE TABLE any_value (event INTEGER, value TEXT COLLATE NOCASE);
"""
INDEXES = """
CREATE INDEX field_values ON field_value (event, field);
CREATE INDEX any_values ON any_value (event);
ANALYZE;
"""


class Table:
    """The records of a source, ready to be asked."""

    def __init__(self, source: Source, fields: Iterable[str], records: Iterable[Record]) -> None:
        self.connection = sqlite3.connect(":memory:")
        self.connection.create_function("regexp", 2, is_found, deterministic=True)
        self.connection.create_function("iso_week", 1, iso_week, deterministic=True)
        self.connection.create_function("in_network", 2, is_in_network, deterministic=True)
        self.connection.executescript(SCHEMA)
        rows = Rows()
        known = {field: heads(source, field) for field in sorted(set(fields))}
        for event, record in enumerate(records):
            rows.event.append((event,))
            rows.any_value.extend((event, text(leaf)) for leaf in leaves(record))
            top = {name.lower() for name in record}
            for field, beginnings in known.items():
                if not top.isdisjoint(beginnings):
                    rows.add(source, event, field, record)
                elif source.wordings(field):
                    rows.add_values(source, event, field, [])
        rows.insert(self.connection)
        self.connection.executescript(INDEXES)

    def matches(self, backend: ValueBackend, rule: SigmaRule) -> list[int]:
        """Numbers of the records that the rule matches; of several conditions one is enough."""
        found: set[int] = set()
        for query in backend.convert_rule(rule):
            found.update(event for (event,) in self.connection.execute(query))
        return sorted(found)


def heads(source: Source, field: str) -> set[str]:
    """What the paths of a field begin with."""
    return {path.partition(".")[0].lower() for path in source.paths(field)}


class Rows:
    """Rows of the tables, by table."""

    def __init__(self) -> None:
        self.event: list[tuple[int]] = []
        self.present: list[tuple[int, str]] = []
        self.field_value: list[tuple[int, str, bool, str | None, float | None]] = []
        self.any_value: list[tuple[int, str]] = []

    def add(self, source: Source, event: int, field: str, record: Record) -> None:
        """What the record has of a field."""
        found = next(filter(None, (at(record, path) for path in source.paths(field))), None)
        if found is not None:
            self.present.append((event, field))
        self.add_values(source, event, field, list(spread(found or [])))

    def add_values(self, source: Source, event: int, field: str, values: list[Any]) -> None:
        """These values, and what rules say where the record says this."""
        rows = [columns(value) for value in values]
        is_null = all(row[0] for row in rows)
        for wording in source.wordings(field):
            if wording.record is None:
                said = is_null
            else:
                said = any(is_like(value, wording.record) for value in values)
            if said:
                rows.append((is_null, wording.rule, number(wording.rule)))
        self.field_value.extend((event, field, *row) for row in rows)

    def insert(self, connection: sqlite3.Connection) -> None:
        """Writes all of them."""
        for table, rows in vars(self).items():
            if rows:
                marks = ", ".join("?" * len(rows[0]))
                connection.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)


def columns(value: Any) -> tuple[bool, str | None, float | None]:
    """A value as a row; that of an object is its JSON."""
    if value is None:
        return True, None, None
    return False, text(value), number(value)


@lru_cache(maxsize=None)
def compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.ASCII)


def is_found(pattern: str, value: str | None) -> bool:
    """SQLite's REGEXP."""
    return value is not None and compiled(pattern).search(value) is not None


def is_in_network(value: str | None, network: str) -> bool:
    """Whether a text is an address of a network, in either of the spellings that an IPv4 address has."""
    try:
        address = ipaddress.ip_address(value or "")
    except ValueError:
        return False
    spellings = (address, getattr(address, "ipv4_mapped", None))
    return any(spelling in ipaddress.ip_network(network) for spelling in spellings if spelling is not None)


def iso_week(value: str | None) -> int | None:
    """The week that a time in UTC lies in."""
    try:
        time = datetime.datetime.fromisoformat((value or "").strip().upper().replace("Z", "+00:00"))
    except ValueError:
        return None
    return time.astimezone(datetime.timezone.utc).isocalendar().week

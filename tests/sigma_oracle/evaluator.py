"""The verdicts: Sigma rules as SQL queries over the values of records.

Enters: rules and records of one source. Leaves: which rule matches which record. pySigma reads the rules and applies
modifiers and conditions, its SQLite backend writes the comparisons, SQLite evaluates them. None of it is the product's.

The backend expects a table with a column for each field, which cannot say that a field has several values. Here each
value is a row, and each comparison that the backend writes is asked of the rows of its field: one that holds is enough.
"""

from __future__ import annotations

import datetime
import ipaddress
import re
import sqlite3
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from records import Record, at, leaves, number, spread, text
from sigma.backends.sqlite import sqliteBackend
from sigma.conditions import ConditionFieldEqualsValueExpression, ConditionValueExpression
from sigma.conversion.state import ConversionState
from sigma.processing.pipeline import ProcessingPipeline
from sigma.rule import SigmaRule
from sigma.types import (
    SigmaCIDRExpression,
    SigmaCompareExpression,
    SigmaExists,
    SigmaExpansion,
    SigmaFieldReference,
    SigmaNull,
    SigmaTimestampPart,
    TimestampPart,
)
from sources import Source

#: Where the backend's answer is not that of the specification, and what is done instead. Nothing else is changed.
DEVIATIONS = {
    "cidr": "the backend compares the beginnings of texts (10.0.0.0/8 as LIKE '10.%'), which takes 10.x.y for an address "
    "and knows one spelling of IPv6; here an address lies in a network",
    "lt, lte, gt, gte": "a column of text is compared as text, where 9 > 10; here as numbers",
    "true, false": "the backend also takes 1 and 0, since its tables may store truth values so; records have true and false",
    "week": "the backend counts from the year's first Monday (0 to 53); here weeks are those of ISO 8601",
    "exists": "a table cannot tell null from absent; the specification: presence only, whether empty or null",
    "re": "SQLite has no regular expressions of its own; Python's with ASCII classes are PCRE's where the specification "
    "allows them",
}

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


class ValueBackend(sqliteBackend):
    """Writes the backend's comparisons, each asked of the rows of its field."""

    bool_expression = "{field}={value}"

    def __init__(self, pipeline: ProcessingPipeline | None = None) -> None:
        super().__init__(pipeline, table="event", fulltext_field="value")
        self._columns: dict[str, str] = {}

    def escape_and_quote_field(self, field: str) -> str:
        return self._columns.get(field) or super().escape_and_quote_field(field)

    def convert_condition_field_eq_val(
        self, cond: ConditionFieldEqualsValueExpression, state: ConversionState
    ) -> str:
        match cond.value:
            case SigmaExpansion():
                return super().convert_condition_field_eq_val(cond, state)
            case SigmaNull():
                return f"NOT {exists('field_value', cond.field, 'NOT one.is_null')}"
            case SigmaExists() as wanted:
                found = exists("present", cond.field)
                return found if wanted else f"NOT {found}"
            case SigmaFieldReference(field=other):
                comparison = self._comparison(cond, state, {cond.field: "one.value", other: "two.value"})
                return exists("field_value", cond.field, exists("field_value", other, comparison, "two"))
            case SigmaCIDRExpression(cidr=cidr):
                return exists("field_value", cond.field, f"in_network(one.value, '{cidr}')")
            case SigmaTimestampPart(timestamp_part=TimestampPart.WEEK, number=week):
                return exists("field_value", cond.field, f"iso_week(one.value) = {week}")
            case SigmaCompareExpression():
                column = "one.number"
            case _:
                column = "one.value"
        comparison = self._comparison(cond, state, {cond.field: column})
        return exists("field_value", cond.field, comparison)

    def convert_condition_val(self, cond: ConditionValueExpression, state: ConversionState) -> str:
        if isinstance(cond.value, SigmaExpansion):
            return super().convert_condition_val(cond, state)
        comparison = super().convert_condition_val(cond, state)
        return f"EXISTS (SELECT 1 FROM any_value AS one WHERE one.event = event.id AND ({comparison}))"

    def _comparison(
        self,
        cond: ConditionFieldEqualsValueExpression,
        state: ConversionState,
        columns: dict[str, str],
    ) -> str:
        self._columns = columns
        try:
            return super().convert_condition_field_eq_val(cond, state)
        finally:
            self._columns = {}


def exists(table: str, field: str, demand: str = "1", alias: str = "one") -> str:
    """Some row of the field fits."""
    quoted = field.replace("'", "''")
    return (
        f"EXISTS (SELECT 1 FROM {table} AS {alias} WHERE {alias}.event = event.id "
        f"AND {alias}.field = '{quoted}' AND ({demand}))"
    )


class Table:
    """The records of a source, ready to be asked."""

    def __init__(self, source: Source, fields: Iterable[str], records: Iterable[Record]) -> None:
        self.connection = sqlite3.connect(":memory:")
        self.connection.create_function("regexp", 2, is_found, deterministic=True)
        self.connection.create_function("iso_week", 1, iso_week, deterministic=True)
        self.connection.create_function("in_network", 2, is_in_network, deterministic=True)
        self.connection.executescript(SCHEMA)
        known = sorted(set(fields))
        for event, record in enumerate(records):
            self._insert(source, known, event, record)
        self.connection.executescript(INDEXES)

    def _insert(self, source: Source, fields: list[str], event: int, record: Record) -> None:
        execute, executemany = self.connection.execute, self.connection.executemany
        execute("INSERT INTO event VALUES (?)", (event,))
        executemany("INSERT INTO any_value VALUES (?, ?)", ((event, text(leaf)) for leaf in leaves(record)))
        for field in fields:
            found = next(filter(None, (at(record, path) for path in source.paths(field))), None)
            if found is not None:
                execute("INSERT INTO present VALUES (?, ?)", (event, field))
            self._insert_values(source, event, field, list(spread(found or [])))

    def _insert_values(self, source: Source, event: int, field: str, values: list[Any]) -> None:
        rows = [columns(value) for value in values]
        is_null = all(row[0] for row in rows)
        for wording in source.wordings(field):
            if wording.record is None:
                said = is_null
            else:
                said = any(is_like(value, wording.record) for value in values)
            if said:
                # What rules say then stands beside what the record says.
                rows.append((is_null, wording.rule, number(wording.rule)))
        self.connection.executemany(
            "INSERT INTO field_value VALUES (?, ?, ?, ?, ?)", ((event, field, *row) for row in rows)
        )

    def matches(self, backend: ValueBackend, rule: SigmaRule) -> list[int]:
        """Numbers of the records that the rule matches; of several conditions one is enough."""
        found: set[int] = set()
        for query in backend.convert_rule(rule):
            found.update(event for (event,) in self.connection.execute(query))
        return sorted(found)


def columns(value: Any) -> tuple[bool, str | None, float | None]:
    """A value as a row; an object is there but has no text."""
    if value is None or isinstance(value, dict):
        return value is None, None, None
    return False, text(value), number(value)


def is_like(value: Any, words: str) -> bool:
    """Whether a value is what a mapping says, in whatever letter case."""
    pattern = ".*".join(map(re.escape, words.split("*")))
    return not isinstance(value, dict) and re.fullmatch(pattern, text(value), re.ASCII | re.I | re.S) is not None


@lru_cache(maxsize=None)
def compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.ASCII)


def is_found(pattern: str, value: str | None) -> bool:
    """SQLite's REGEXP."""
    return value is not None and compiled(pattern).search(value) is not None


def is_in_network(value: str | None, network: str) -> bool:
    """Whether a text is an address of a network."""
    try:
        return ipaddress.ip_address(value or "") in ipaddress.ip_network(network)
    except ValueError:
        return False


def iso_week(value: str | None) -> int | None:
    """The week that a time in UTC lies in."""
    try:
        time = datetime.datetime.fromisoformat((value or "").replace("Z", "+00:00"))
    except ValueError:
        return None
    return time.astimezone(datetime.timezone.utc).isocalendar().week

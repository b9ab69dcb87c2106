"""Raw records: JSON objects whose members are reached by dotted paths.

Enters: a record and a path. Leaves: the values there. A path leads through lists to each of their elements, so that
there can be several values; a value that is an object stands for its JSON text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

Record = dict[str, Any]

#: The member of an object that keeps a text which has to stand where the object is.
BESIDE = "oracleText"


def compact(value: Any) -> str:
    """JSON as providers write it: no blanks, text as it is."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def text(value: Any) -> str:
    """What a test of text looks at."""
    return value if isinstance(value, str) else compact(value)


def number(value: Any) -> float | None:
    """What a numeric comparison looks at: a number, written as one or as text."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        parsed = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return None
    return float(parsed) if isinstance(parsed, (int, float)) and not isinstance(parsed, bool) else None


def place(record: Record, path: str, value: Any) -> None:
    """Puts a value at a path. Where an object and something else meet, the object wins and keeps the other inside."""
    *above, last = path.split(".")
    for part in above:
        inner = record.get(part)
        if not isinstance(inner, dict):
            inner = {} if part not in record else {BESIDE: inner}
            record[part] = inner
        record = inner
    if isinstance(record.get(last), dict) and not isinstance(value, dict):
        record[last][BESIDE] = value
    else:
        record[last] = value


def remove(record: Record, path: str) -> None:
    """Takes away what stands at a path."""
    *above, last = path.split(".")
    for part in above:
        record = record.get(part)
        if not isinstance(record, dict):
            return
    record.pop(last, None)


def at(record: Record, path: str) -> list[Any]:
    """What stands at a path, lists as they are; nothing where there is no such member."""
    found: list[Any] = [record]
    for part in path.split("."):
        found = [
            inner[part]
            for value in found
            for inner in spread(value)
            if isinstance(inner, dict) and part in inner
        ]
    return found


def spread(value: Any) -> Iterator[Any]:
    """The elements of a list and of the lists in it, else the value itself."""
    if isinstance(value, list):
        for element in value:
            yield from spread(element)
    else:
        yield value


def leaves(value: Any) -> Iterator[Any]:
    """Every text, number and truth value in a record."""
    if isinstance(value, dict):
        for member in value.values():
            yield from leaves(member)
    elif isinstance(value, list):
        for element in value:
            yield from leaves(element)
    elif value is not None:
        yield value

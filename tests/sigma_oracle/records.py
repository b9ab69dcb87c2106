"""Raw records: JSON objects whose members are reached by dotted paths.

Enters: a record and a path. Leaves: the values there. A path leads through lists to each of their elements, so that
there can be several values; a value that is an object stands for its JSON text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

Record = dict[str, Any]

#: A number as JSON writes it.
NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
#: The member of an object that keeps a text which has to stand where the object is.
BESIDE = "oracleText"


def compact(value: Any) -> str:
    """JSON as providers write it: no blanks, text as it is."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def text(value: Any) -> str:
    """What a test of text looks at: numbers and truth values as JSON writes them."""
    return value if isinstance(value, str) else compact(value)


def is_like(value: Any, words: str) -> bool:
    """Whether a value is what a mapping says, in whatever letter case."""
    pattern = ".*".join(map(re.escape, words.split("*")))
    return value is not None and re.fullmatch(pattern, text(value), re.ASCII | re.I | re.S) is not None


def number(value: Any) -> float | None:
    """What a numeric comparison looks at: a number, written as one or as text."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    return float(value) if NUMBER.fullmatch(str(value)) else None


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


def at(value: Any, path: str) -> list[Any]:
    """What stands at a path, lists as they are; nothing where there is no such member.

    Letter case of names does not count, and a name may have dots; of members with one name the first counts that leads to
    the end of the path.
    """
    found: list[Any] = []
    for inner in spread(value):
        members = inner.items() if isinstance(inner, dict) else ()
        ways = (rest_of(member, name, path) for name, member in members)
        found.extend(next(filter(None, ways), []))
    return found


def rest_of(member: Any, name: str, path: str) -> list[Any]:
    """What a member of this name has at the rest of a path."""
    if name.lower() == path.lower():
        return [member]
    beginning = name.lower() + "."
    return at(member, path[len(beginning) :]) if path.lower().startswith(beginning) else []


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

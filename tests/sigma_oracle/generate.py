"""Records for a rule, made from the rule's own conditions.

Enters: a rule and the source that it looks at. Leaves: records that satisfy the rule in each way that its condition
allows, records in which a filter holds, and for each field of them records that differ in this field alone: absent, null,
empty, in other letter case, embedded, cut, as a list, as a number or text. And records that are mixed from those of
several rules.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from records import Record, at, place, remove
from sigma.conditions import (
    ConditionAND,
    ConditionFieldEqualsValueExpression,
    ConditionNOT,
    ConditionOR,
    ConditionValueExpression,
)
from sigma.rule import SigmaRule
from sigma.types import SigmaExists, SigmaFieldReference, SigmaNull, SigmaString, SpecialChars
from sources import Source
from witnesses import hits, misses

#: Where the words of a rule without fields are put.
WORDS = "oracleWords"
#: Records of one rule whose fields are changed; a rule with many values has many that differ in little.
CHANGED = 6
#: Values of a field that are tried in a record.
VALUES = 8

#: Records that are put together from two others, of whatever rules.
MIXED = 1_000

Test = ConditionFieldEqualsValueExpression | ConditionValueExpression


@dataclass(frozen=True)
class Literal:
    """A test that is to hold, or not to hold."""

    test: Test
    holds: bool


def records_for(rule: SigmaRule, source: Source) -> Iterator[Record]:
    """All records; some may be equal."""
    for condition in rule.detection.parsed_condition:
        tree = condition.parsed
        for holds in (True, False):
            for index, literals in enumerate(ways(tree, holds)):
                yield from records_of(literals, source, index < CHANGED)


def ways(node: Any, holds: bool) -> list[list[Literal]]:
    """Sets of tests of which each decides the node. Where several parts are free, one at a time leaves its first way."""
    if isinstance(node, ConditionNOT):
        return ways(node.args[0], not holds)
    if isinstance(node, (ConditionAND, ConditionOR)):
        parts = [ways(part, holds) for part in node.args]
        if isinstance(node, ConditionAND) == holds:
            return one_at_a_time(parts)
        return [way for part in parts for way in part]
    return [[Literal(node, holds)]]


def one_at_a_time(parts: list[list[list[Literal]]]) -> list[list[Literal]]:
    first = [part[0] for part in parts]
    together = [[literal for way in first for literal in way]]
    for index, part in enumerate(parts):
        for way in part[1:]:
            chosen = first[:index] + [way] + first[index + 1 :]
            together.append([literal for way in chosen for literal in way])
    return together


def records_of(literals: list[Literal], source: Source, is_changed: bool) -> Iterator[Record]:
    """Records in which these tests come out as wanted, as far as that can be seen without evaluating."""
    wanted = by_field(literals, source)
    base: Record = {}
    for field, tests in wanted.items():
        put(base, source, field, candidates(tests)[0])
    yield base
    for field, tests in wanted.items():
        values = candidates(tests)
        for value in [*values[1:VALUES], *in_other_words(source, field, values)]:
            yield changed(base, source, field, value)
        if is_changed:
            yield from neighbours(base, source, field, tests, values[0])


def by_field(literals: list[Literal], source: Source) -> dict[str | None, list[Literal]]:
    """The tests of each field; fields that stand at one place in records of the source are one."""
    wanted: dict[str | None, list[Literal]] = {}
    named: dict[str, str | None] = {}
    for literal in literals:
        fields = [getattr(literal.test, "field", None)]
        if isinstance(literal.test.value, SigmaFieldReference):
            fields.append(literal.test.value.field)
        for field in fields:
            field = named.setdefault(paths(source, field)[0].lower(), field)
            wanted.setdefault(field, []).append(literal)
    return wanted


ABSENT = object()


def candidates(tests: list[Literal]) -> list[Any]:
    """Values for a field that several tests look at; the first are the likeliest to satisfy all of them."""
    holding = [literal.test.value for literal in tests if literal.holds]
    failing = [literal.test.value for literal in tests if not literal.holds]
    if not holding:
        is_about_absence = any(is_absence(value) for value in failing)
        return ["a value", ABSENT] if is_about_absence else [ABSENT, "a value", ["a", "b"]]
    if any(is_absence(value) for value in holding):
        return [ABSENT, None]
    if len(holding) == 1:
        return hits(holding[0])
    ordered = sorted(holding, key=place_in_text)
    first = [hits(value)[0] for value in ordered]
    joined = "".join(str(value) for value in first)
    return [joined, first, " ".join(str(value) for value in first), *first]


def in_other_words(source: Source, field: str | None, values: list[Any]) -> Iterator[Any]:
    """What the source's records say for these values."""
    wanted = {value.lower() for value in values if isinstance(value, str)}
    for wording in source.wordings(field or ""):
        if wording.rule.lower() in wanted:
            yield ABSENT if wording.record is None else wording.record.replace("*", "any/thing")


def is_absence(value: Any) -> bool:
    return isinstance(value, SigmaNull) or (isinstance(value, SigmaExists) and not value)


def place_in_text(value: Any) -> int:
    """Beginnings before the rest before ends."""
    if not isinstance(value, SigmaString):
        return 1
    opens = value.startswith(SpecialChars.WILDCARD_MULTI)
    closes = value.endswith(SpecialChars.WILDCARD_MULTI)
    return 0 if closes and not opens else 2 if opens and not closes else 1


def neighbours(base: Record, source: Source, field: str | None, tests: list[Literal], value: Any) -> Iterator[Record]:
    """Records that differ from one in a field."""
    yield changed(base, source, field, ABSENT)
    if value is ABSENT:
        for literal in tests:
            yield from (changed(base, source, field, hit) for hit in hits(literal.test.value)[:2])
        return
    tried = [miss for literal in tests for miss in misses(literal.test.value, value)]
    for miss in tried:
        yield changed(base, source, field, miss)
    path, *others = paths(source, field)
    for other in others:
        moved = changed(base, source, field, ABSENT)
        place(moved, other, value)
        yield moved
        yield changed(moved, source, field, "in the first place")
    renamed = changed(base, source, field, ABSENT)
    place(renamed, path.swapcase(), value)
    yield renamed
    dotted = changed(base, source, field, ABSENT)
    yield {path: value, **dotted}
    above, _, last = path.rpartition(".")
    if above and any(isinstance(inner, dict) for inner in at(base, above)):
        # The object that holds the field, once more as an element of a list.
        elements = copy.deepcopy(base)
        inner = at(elements, above)[0]
        remove(elements, above)
        place(elements, above, [{last: "something else"}, inner])
        yield elements


def mixtures(records: list[Record], seed: int = 1) -> Iterator[Record]:
    """Records that have what two others have, so that one event meets several rules; both values as a list where they differ."""
    choice = random.Random(seed)
    for _ in range(min(MIXED, len(records))):
        one, other = choice.choices(records, k=2)
        mixed = merged(one, other)
        if not is_ambiguous(mixed):
            yield mixed


def is_ambiguous(value: Any) -> bool:
    """Whether two names can stand for one place; in a record of one rule it is known which of them does."""
    if isinstance(value, list):
        return any(map(is_ambiguous, value))
    if not isinstance(value, dict):
        return False
    heads = {name.lower().partition(".")[0] for name in value}
    return len(heads) < len(value) or any(map(is_ambiguous, value.values()))


def merged(one: Any, other: Any) -> Any:
    if isinstance(one, dict) and isinstance(other, dict):
        alike = {name: merged(one[name], other[name]) for name in one.keys() & other.keys()}
        return {name: alike.get(name, (one | other)[name]) for name in one | other}
    return one if one == other else [*listed(one), *listed(other)]


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def paths(source: Source, field: str | None) -> tuple[str, ...]:
    return (WORDS,) if field is None else source.paths(field)


def put(record: Record, source: Source, field: str | None, value: Any) -> None:
    path = paths(source, field)[0]
    if value is ABSENT:
        remove(record, path)
    else:
        place(record, path, value)


def changed(base: Record, source: Source, field: str | None, value: Any) -> Record:
    record = copy.deepcopy(base)
    if value is ABSENT or value == {}:
        remove(record, paths(source, field)[0])
    if value is not ABSENT:
        put(record, source, field, value)
    return record

"""Writes records made from Sigma rules, and which rule matches which of them.

    python main.py --mappings ruleset/mappings --out FOLDER RULES...

Leaves in the folder a file of JSON lines for each source, and `expected.json`: for each source its file and for each of
its rules the numbers of the lines that match; `skipped`: rules that cannot be evaluated, with the reason; `blind`: rules
that none or all of the records match, whose verdict would prove little.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from generate import mixtures, records_for
from queries import ValueBackend
from records import Record, compact
from sigma.collection import SigmaCollection
from sigma.conditions import ConditionFieldEqualsValueExpression
from sigma.exceptions import SigmaError
from sigma.rule import SigmaRule
from sigma.types import SigmaFieldReference
from sources import Source, read_sources
from table import Table


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("rules", nargs="+", type=Path, help="files or folders of Sigma rules")
    arguments.add_argument("--mappings", required=True, type=Path, help="the product's mappings")
    arguments.add_argument("--out", required=True, type=Path, help="folder to write to")
    given = arguments.parse_args()
    skipped: dict[str, str] = {}
    rules = read_rules(given.rules, skipped)
    sources = read_sources(given.mappings)
    for rule in rules:
        if not any(source.is_looked_at_by(rule.logsource) for source in sources):
            skipped[str(rule.id)] = f"no source is {rule.logsource}"
    given.out.mkdir(parents=True, exist_ok=True)
    expected = {}
    for source in sources:
        own = [rule for rule in rules if source.is_looked_at_by(rule.logsource)]
        if own:
            expected[source.name] = judge(source, own, given.out)
    report = {"rules": len(rules), "skipped": skipped, "sources": expected}
    (given.out / "expected.json").write_text(json.dumps(report), encoding="utf-8")
    for name, part in expected.items():
        print(f"{name}: {len(part['matches'])} rules, {part['records']} records, {part['blind']} blind")
    return 0


def read_rules(paths: list[Path], skipped: dict[str, str]) -> list[SigmaRule]:
    """The rules that the backend can express; the others are named in `skipped`."""
    files = [file for path in paths for file in ([path] if path.is_file() else sorted(path.rglob("*.yml")))]
    backend = ValueBackend()
    rules = []
    for file in files:
        for rule in SigmaCollection.from_yaml(file.read_text(encoding="utf-8"), collect_errors=True):
            if not isinstance(rule, SigmaRule):
                continue
            try:
                if rule.errors:
                    raise rule.errors[0]
                backend.convert_rule(rule)
            except (SigmaError, NotImplementedError) as error:
                skipped[str(rule.id)] = f"{file.name}: {error}"
                continue
            rules.append(rule)
    return rules


def judge(source: Source, rules: list[SigmaRule], out: Path) -> dict[str, Any]:
    """Makes the records of a source and evaluates every rule over all of them."""
    lines: dict[str, Record] = {}
    for rule in rules:
        for record in records_for(rule, source):
            if record:
                lines.setdefault(compact(record), record)
    for record in mixtures(list(lines.values())):
        lines.setdefault(compact(record), record)
    file = out / f"{source.name}.jsonl"
    forms = source.forms()
    arriving = (forms[index % len(forms)](record) for index, record in enumerate(lines.values()))
    file.write_text("".join(compact(record) + "\n" for record in arriving), encoding="utf-8")
    fields = {field for rule in rules for field in fields_of(rule)}
    table, backend = Table(source, fields, lines.values()), ValueBackend()
    matches = {str(rule.id): table.matches(backend, rule) for rule in rules}
    blind = [rule for rule, found in matches.items() if len(found) in (0, len(lines))]
    return {"file": file.name, "records": len(lines), "matches": matches, "blind": blind}


def fields_of(rule: SigmaRule) -> set[str]:
    """Every field that a rule looks at."""
    found: set[str] = set()
    pending: list[Any] = [condition.parsed for condition in rule.detection.parsed_condition]
    while pending:
        node = pending.pop()
        pending.extend(getattr(node, "args", ()))
        if isinstance(node, ConditionFieldEqualsValueExpression):
            found.add(node.field)
            if isinstance(node.value, SigmaFieldReference):
                found.add(node.value.field)
    return found


if __name__ == "__main__":
    sys.exit(main())

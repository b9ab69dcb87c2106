"""The product's mappings, as far as Sigma rules are concerned.

Enters: the folder of mapping files. Leaves: for each log source that rules can look at, its name, the Sigma log sources
that it stands for, where the fields that rules name stand in its raw records, and which values it says in other words, and in which
forms its records arrive.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import yaml
from records import Record
from sigma.rule import SigmaLogSource


@dataclass(frozen=True)
class Wording:
    """What a record says, `*` for anything, or `None` where it says nothing; and what rules say then."""

    record: str | None
    rule: str


@dataclass(frozen=True)
class Source:
    """A log source of the product."""

    name: str
    logsources: tuple[dict[str, str], ...]
    fields: dict[str, tuple[str, ...]]
    values: dict[str, tuple[Wording, ...]]
    #: The member that holds the record where a service wrapped it.
    wrapper: str | None
    #: Members of the form in which the reference's collectors send records, and which of them holds the record.
    envelope: tuple[dict[str, str], str] | None

    def is_looked_at_by(self, logsource: SigmaLogSource) -> bool:
        """Whether every part that the rule states is this source's."""
        stated = {
            part: value.lower()
            for part in ("category", "product", "service")
            if (value := getattr(logsource, part)) is not None
        }
        return any(all(own.get(part) == value for part, value in stated.items()) for own in self.logsources)

    def paths(self, field: str) -> tuple[str, ...]:
        """Where a field stands in a record; the first path that is present counts. Letter case of names does not."""
        return self.fields.get(field.lower(), (field,))

    def wordings(self, field: str) -> tuple[Wording, ...]:
        """Values of a field that records say otherwise than rules."""
        return self.values.get(field.lower(), ())

    def forms(self) -> list[Callable[[Record], Record]]:
        """The forms in which a record can arrive."""
        forms: list[Callable[[Record], Record]] = [lambda record: record]
        if self.wrapper:
            forms.append(lambda record: {"id": "1", self.wrapper: record, "version": "0"})
        if self.envelope:
            members, below = self.envelope
            forms.append(lambda record: {**members, below: record})
        return forms


def read_sources(folder: Path) -> list[Source]:
    """All sources with Sigma log sources, in the order of their files."""
    sources = []
    for path in sorted(folder.glob("*.yaml")):
        mapping = yaml.safe_load(path.read_text(encoding="utf-8"))
        section = mapping.get("sigma") or {}
        logsources = tuple(
            {part: value.lower() for part, value in logsource.items()} for logsource in section.get("logsources") or ()
        )
        if logsources:
            fields = {
                name.lower(): (paths,) if isinstance(paths, str) else tuple(paths)
                for name, paths in (section.get("fields") or {}).items()
            }
            values = {
                name.lower(): tuple(Wording(record, rule) for record, rule in words.items())
                for name, words in (section.get("values") or {}).items()
            }
            wrapper = (mapping.get("wrapper") or {}).get("member")
            envelope = None
            if form := mapping.get("envelope_form"):
                envelope = ({form["member"]: form["value"]}, form["below"])
            sources.append(Source(mapping["source"], logsources, fields, values, wrapper, envelope))
    return sources

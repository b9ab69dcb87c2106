"""The verdicts: Sigma rules as SQL queries over the values of records.

Enters: rules. Leaves: queries. pySigma reads the rules and applies modifiers and conditions, its SQLite backend writes the
comparisons, SQLite evaluates them. None of it is the product's.

The backend expects a table with a column for each field, which cannot say that a field has several values. Here each
value is a row, and each comparison that the backend writes is asked of the rows of its field: one that holds is enough.
"""

from __future__ import annotations

from sigma.backends.sqlite import sqliteBackend
from sigma.conditions import ConditionFieldEqualsValueExpression, ConditionValueExpression
from sigma.conversion.state import ConversionState
from sigma.processing.pipeline import ProcessingPipeline
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

#: Where the backend's answer is not that of the specification, and what is done instead. Nothing else is changed.
DEVIATIONS = {
    "cidr": "the backend compares the beginnings of texts (10.0.0.0/8 as LIKE '10.%'), which takes 10.x.y for an address "
    "and knows one spelling of IPv6; here an address lies in a network, and ::ffff:10.0.0.1 is 10.0.0.1, as for the "
    "search engines that have a type for addresses",
    "lt, lte, gt, gte": "a column of text is compared as text, where 9 > 10; here as numbers",
    "true, false": "the backend also takes 1 and 0, since its tables may store truth values so; records have true and false",
    "minute to year": "SQLite wants T and Z as capitals, RFC 3339 does not",
    "week": "the backend counts from the year's first Monday (0 to 53); here weeks are those of ISO 8601",
    "exists": "a table cannot tell null from absent; the specification: presence only, whether empty or null",
    "re": "SQLite has no regular expressions of its own; Python's with ASCII classes are PCRE's where the specification "
    "allows them",
}


class ValueBackend(sqliteBackend):
    """Writes the backend's comparisons, each asked of the rows of its field."""

    bool_expression = "{field}={value}"

    def __init__(self, pipeline: ProcessingPipeline | None = None) -> None:
        super().__init__(pipeline, table="event", fulltext_field="value")
        self._columns: dict[str, str] = {}

    def escape_and_quote_field(self, field: str) -> str:
        return self._columns.get(field) or super().escape_and_quote_field(field)

    def convert_condition_field_eq_val(self, cond: ConditionFieldEqualsValueExpression, state: ConversionState) -> str:
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
            case SigmaTimestampPart():
                column = "upper(one.value)"
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

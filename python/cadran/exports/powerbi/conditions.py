"""Filters of metrics: MetricFlow's templates as conditions over columns of the model."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cadran.exports.powerbi.expressions import Translator
from cadran.exports.powerbi.model import NotSayableError, reference
from cadran.exports.powerbi.values import Value
from cadran.where import names_in

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cadran.exports.powerbi.star import Star

_TEMPLATE = re.compile(r"\{\{.*?\}\}", re.DOTALL)
_TEXT = re.compile(r"'((?:[^']|'')*)'")


def conditions(star: Star, facts: Iterable[str], template: str) -> list[str]:
    """Conditions in DAX, one for each table, that hold together where the filter is true.

    Args:
        star: the star that gets the columns which the filter reads.
        facts: the semantic models whose rows are filtered.
        template: the filter, such as "{{ Dimension('ticket__is_resolved') }}".

    Raises:
        NotSayableError: it names more than dimensions, or something without a counterpart in DAX.
        QueryError: the template is broken.
    """
    facts = sorted(facts)
    names: dict[str, str] = {}
    plain = _TEMPLATE.sub(lambda found: _placed(found.group(), names), template)
    columns: dict[str, Value] = {}
    for place, field in names.items():
        named = names_in(field)
        if len(named.dimensions) != 1 or named.dimensions[0].asked_grain:
            raise NotSayableError(f"the filter `{template}` names more than dimensions")
        # Rows of several facts are filtered through the table that they share.
        found = {
            star.dimension(fact, named.dimensions[0].name, is_hidden=True, own=len(facts) == 1)
            for fact in facts
        }
        if len(found) != 1:
            raise NotSayableError(f"the filter `{template}` means different columns in {facts}")
        table, column = found.pop()
        columns[place] = Value(reference(table, column.name), column.kind)
        if column.kind == "string":
            star.compare(table, column, [text.replace("''", "'") for text in _TEXT.findall(plain)])
    said = Translator(columns).conditions(plain)
    for text in said:
        if len(set(re.findall(r"'((?:[^']|'')+)'\[", text))) != 1:
            raise NotSayableError(f"the filter `{template}` mixes several tables in one condition")
    return said


def _placed(field: str, names: dict[str, str]) -> str:
    place = f"cadran_field_{len(names)}"
    names[place] = field
    return place

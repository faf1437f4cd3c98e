"""The same question asked of two engines: in what the answers differ.

Types are those of Arrow, decimals by their scale alone; fractions may differ in their last digits,
for engines add them in another order. Rows are compared whichever way they are ordered, but for the
first key, by which answers come sorted.
"""

from __future__ import annotations

import math

import pyarrow as pa


def differences(name, groups, one, other):
    """What differs between two results of a question: source, types, order, first pairs of rows."""
    mine, theirs = one.to_arrow(), other.to_arrow()
    found = []
    if one.source != other.source:
        found.append((name, groups, one.source, other.source))
    if list(map(_kind, mine.schema)) != list(map(_kind, theirs.schema)):
        found.append((name, groups, mine.schema, theirs.schema))
    if mine.column(0).to_pylist() != theirs.column(0).to_pylist():
        found.append((name, groups, "order"))
    return found + [(name, groups, *pair) for pair in different_rows(mine, theirs)]


def different_rows(one, other):
    """The first pairs of rows that differ, whichever way the rows are ordered."""
    mine, theirs = _ordered(one), _ordered(other)
    if len(mine) != len(theirs):
        return [(len(mine), len(theirs))]
    pairs = zip(mine, theirs, strict=True)
    return [(a, b) for a, b in pairs if not all(map(_is_same, a, b))][:3]


def _kind(field):
    is_decimal = pa.types.is_decimal(field.type)
    return field.name, f"decimal({field.type.scale})" if is_decimal else str(field.type)


def _ordered(table):
    rows = [tuple(row.values()) for row in table.to_pylist()]
    return sorted(rows, key=lambda row: [str(value) for value in row if type(value) is not float])


def _is_same(one, other):
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)
    return type(one) is type(other) and one == other

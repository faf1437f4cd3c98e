"""The columns of a table: which ones lack, and which times are not what they seem."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cadran.doctor.findings import Finding, Level
from cadran.doctor.render import NotRenderableError

if TYPE_CHECKING:
    import duckdb

    from cadran.contracts import Column, Table
    from cadran.doctor.render import Models

HAS_ZONE = "TIMESTAMP WITH TIME ZONE"


@dataclass(frozen=True, slots=True)
class Found:
    """A table that is there: what reads it, and how to call it to a person."""

    table: Table
    relation: str
    file: str
    columns: dict[str, str]


def padded(there: Found) -> str:
    """What reads the table with the optional columns that it lacks, all empty."""
    lacking = [
        f"null as {column.name}"
        for column in there.table.columns
        if column.name not in there.columns and not column.required
    ]
    if not lacking:
        return there.relation
    return (
        f"(select * from {there.relation} union all by name select {', '.join(lacking)} "
        "where false) as padded"
    )


def missing(models: Models, there: Found) -> list[Finding]:
    """One finding for each column of the contract that the table lacks."""
    lacking = [column for column in there.table.columns if column.name not in there.columns]
    if not lacking:
        return []
    try:
        models.relation(f"stg_{there.table.source}__{there.table.name}")
        builds = True
    except NotRenderableError:
        builds = False
    return [_missing_column(there, column, builds=builds) for column in lacking]


def _missing_column(there: Found, column: Column, *, builds: bool) -> Finding:
    known = {wanted.name for wanted in there.table.columns}
    spare = [name for name in there.columns if name not in known]
    near = difflib.get_close_matches(column.name, spare, n=1)
    hint = f" There is a column {near[0]}: is that it?" if near else ""
    if column.required:
        level, remedy = Level.STOPS, "Add the column under this name."
    elif builds:
        level, remedy = Level.NOTE, "Nothing to do if you have no such data."
    else:
        level = Level.STOPS
        remedy = (
            "Add the column under this name, empty if you have no such data: the build names it."
        )
    return Finding(
        level=level,
        table=there.table.full_name,
        file=there.file,
        column=column.name,
        problem="the column is missing",
        expected=column.expected(),
        remedy=remedy + hint,
    )


def times(connection: duckdb.DuckDBPyConnection, there: Found) -> list[Finding]:
    """A note for each column of times with a zone or an offset: the build reads them in UTC."""
    findings = []
    for column in there.table.columns:
        kind = there.columns.get(column.name)
        if not column.data_type.startswith("timestamp") or kind not in {HAS_ZONE, "VARCHAR"}:
            continue
        name = f'"{column.name}"'
        moved = (
            "true"
            if kind == HAS_ZONE
            else (
                f"try_cast({name} as timestamp) <> try_cast({name} as timestamptz) at time zone 'UTC'"
            )
        )
        count, example = connection.execute(
            f"select count(*), any_value({name}) from {there.relation} where {moved}"
        ).fetchone() or (0, None)
        if count:
            findings.append(
                Finding(
                    level=Level.NOTE,
                    table=there.table.full_name,
                    file=there.file,
                    column=column.name,
                    problem="the times have a zone or an offset",
                    expected="times in UTC without a zone",
                    rows=count,
                    example=str(example),
                    remedy="Nothing to do: the build reads them at their instant in UTC.",
                )
            )
    return findings

"""Rows that the build will reject, counted by the reason that the build will give."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cadran.doctor.findings import Finding, Level
from cadran.doctor.render import NotRenderableError

if TYPE_CHECKING:
    import duckdb

    from cadran.contracts import Column, Table
    from cadran.doctor.render import Models

# A value that could not be read stands in the reason after a colon.
UNREAD = re.compile(r"^(?P<column>\w+) is no (?P<kind>[^:]+?)(?:: (?P<value>.*))?$", re.DOTALL)
EXAMPLE_WIDTH = 80


def count(connection: duckdb.DuckDBPyConnection, relation: str) -> int:
    """The rows of a relation."""
    found = connection.execute(f"select count(*) from {relation}").fetchone()
    return int(found[0]) if found else 0


def judge(
    connection: duckdb.DuckDBPyConnection, models: Models, table: Table, file: str
) -> list[Finding]:
    """One finding for each reason for which rows of the table will be rejected."""
    staged = f"stg_{table.source}__{table.name}"
    checked = f"int_{table.name}_checked"
    findings: list[Finding] = []
    reason = "rejection_reason"
    try:
        model = models.relation(checked if models.exists(checked) else staged)
        if model == staged:
            reason = "fault"
    except NotRenderableError as first:
        problem = first
        what = "keys and references were not checked"
        try:
            model, reason = models.relation(staged), "fault"
        except NotRenderableError as deeper:
            model, problem, what = "", deeper, "rows were not checked"
        findings.append(
            Finding(
                level=Level.NOTE,
                table=table.full_name,
                file=file,
                problem=f"{what} ({problem})",
                expected="all columns of the contract and all tables that it refers to",
                remedy="Run the doctor again when the other findings are gone.",
            )
        )
        if not model:
            return findings
    shown = [column.name for column in table.columns]
    connection.execute(
        f"create or replace temp table rejected_rows as "
        f"select {reason} as reason, * from {model} where {reason} is not null"
    )
    grouped = connection.execute("""
        select
            regexp_replace(reason, '^(\\w+ is no [^:]+): .*$', '\\1', 's') as plain,
            count(*),
            any_value(reason)
        from rejected_rows group by plain order by count(*) desc, plain
    """).fetchall()
    have = {row[0] for row in connection.execute("describe rejected_rows").fetchall()}
    for plain, rows, sample in grouped:
        example = _example(connection, table, sample, [name for name in shown if name in have])
        findings.append(_finding(table, file, plain, rows, example))
    return findings


def _example(
    connection: duckdb.DuckDBPyConnection, table: Table, sample: str, columns: list[str]
) -> str | None:
    unread = UNREAD.match(sample)
    about = _column(table, sample)
    wanted = [name for name in table.key if name in columns]
    if about and about.name in columns and about.name not in wanted:
        wanted.append(about.name)
    if not about:  # a rule over several columns: those that it names, or else all of them
        wanted += [name for name in columns if name in sample and name not in wanted]
    row = connection.execute(
        f"select {', '.join(wanted) or '1'} from rejected_rows where reason = ? limit 1", [sample]
    ).fetchone()
    if row is None:
        return None
    values = dict(zip(wanted, row, strict=False))
    if unread and unread["value"] is not None:
        values[unread["column"]] = unread["value"]
    words = [
        f"{name}={'(empty)' if value is None else str(value)[:EXAMPLE_WIDTH]}"
        for name, value in values.items()
    ]
    return ", ".join(words)


def _column(table: Table, reason: str) -> Column | None:
    return table.column(reason.split(" ", 1)[0])


def _finding(table: Table, file: str, reason: str, rows: int, example: str | None) -> Finding:
    about = _column(table, reason)
    expected = about.expected() if about else f"no row with: {reason}"
    remedy = "Correct these rows where they come from, or let them be rejected."
    if reason.endswith("stands more than once"):
        about = about if len(table.key) == 1 else None
        expected = f"one row for each {', '.join(table.key)}"
        remedy = "Send each row once; the build keeps the first and rejects the others."
    elif about and reason.endswith(" is unknown"):
        expected = f"found among the accepted rows of {about.references or 'its table'}"
        remedy = (
            "Send the rows that are referred to, or leave the column empty where that is allowed."
        )
    elif about and reason.endswith(" is missing"):
        remedy = "Fill the column where the rows come from."
    elif about and " is no " in reason and about.data_type.startswith("timestamp"):
        remedy = "Write times as 2026-01-31 23:59:59, in UTC."
    return Finding(
        level=Level.REJECTS,
        table=table.full_name,
        file=file,
        column=about.name if about else None,
        problem=reason,
        expected=expected,
        rows=rows,
        example=example,
        remedy=remedy,
    )

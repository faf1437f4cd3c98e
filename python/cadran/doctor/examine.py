"""The examination: each table found, its columns and times looked at, its rows judged."""

from __future__ import annotations

import difflib
import re
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cadran.core.project import artifacts, contracts
from cadran.core.warehouse import Address
from cadran.core.warehouse.duckdb_local import NoSuchTableError, Scratch
from cadran.doctor.findings import Finding, Level, Report
from cadran.doctor.staging import Models, NotRenderableError
from cadran.errors import ProjectError, WarehouseError

if TYPE_CHECKING:
    from collections.abc import Callable

    from cadran.core.project.contracts import Column, Contracts, Table


HAS_ZONE = "TIMESTAMP WITH TIME ZONE"


@dataclass(frozen=True, slots=True)
class SourceTable:
    """A table that is there: what reads it, and how to call it to a person."""

    table: Table
    relation: str
    file: str
    columns: dict[str, str]


def padded(source: SourceTable) -> str:
    """What reads the table with the optional columns that it lacks, all empty."""
    lacking = [
        f"null as {column.name}"
        for column in source.table.columns
        if column.name not in source.columns and not column.required
    ]
    if not lacking:
        return source.relation
    return (
        f"(select * from {source.relation} union all by name select {', '.join(lacking)} "
        "where false) as padded"
    )


def missing(models: Models, source: SourceTable) -> list[Finding]:
    """One finding for each column of the contract that the table lacks."""
    lacking = [column for column in source.table.columns if column.name not in source.columns]
    if not lacking:
        return []
    try:
        models.relation(f"stg_{source.table.source}__{source.table.name}")
        builds = True
    except NotRenderableError:
        builds = False
    return [_missing_column(source, column, builds=builds) for column in lacking]


def _missing_column(source: SourceTable, column: Column, *, builds: bool) -> Finding:
    names = {expected.name for expected in source.table.columns}
    spare = [name for name in source.columns if name not in names]
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
        table=source.table.full_name,
        file=source.file,
        column=column.name,
        problem="the column is missing",
        expected=column.expected(),
        remedy=remedy + hint,
    )


def times(scratch: Scratch, source: SourceTable) -> list[Finding]:
    """A note for each column of times with a zone or an offset: the build reads them in UTC."""
    findings = []
    for column in source.table.columns:
        kind = source.columns.get(column.name)
        if not column.data_type.startswith("timestamp") or kind not in {HAS_ZONE, "VARCHAR"}:
            continue
        name = f'"{column.name}"'
        instant = f"try_cast({name} as timestamptz) at time zone 'UTC'"
        moved = "true" if kind == HAS_ZONE else f"try_cast({name} as timestamp) <> {instant}"
        count, example = scratch.rows(
            f"select count(*), any_value({name}) from {source.relation} where {moved}"
        )[0]
        if count:
            findings.append(
                Finding(
                    level=Level.NOTE,
                    table=source.table.full_name,
                    file=source.file,
                    column=column.name,
                    problem="the times have a zone or an offset",
                    expected="times in UTC without a zone",
                    rows=count,
                    example=str(example),
                    remedy="Nothing to do: the build reads them at their instant in UTC.",
                )
            )
    return findings


# A value that could not be read stands in the reason after a colon.
UNREAD = re.compile(r"^(?P<column>\w+) is no (?P<kind>[^:]+?)(?:: (?P<value>.*))?$", re.DOTALL)
EXAMPLE_WIDTH = 80


def judge(scratch: Scratch, models: Models, table: Table, file: str) -> list[Finding]:
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
    columns = [column.name for column in table.columns]
    scratch.execute(
        f"create or replace temp table rejected_rows as "
        f"select {reason} as reason, * from {model} where {reason} is not null"
    )
    grouped = scratch.rows("""
        select
            regexp_replace(reason, '^(\\w+ is no [^:]+): .*$', '\\1', 's') as plain,
            count(*),
            any_value(reason)
        from rejected_rows group by plain order by count(*) desc, plain
    """)
    have = {row[0] for row in scratch.rows("describe rejected_rows")}
    for plain, rows, sample in grouped:
        example = _example(scratch, table, sample, [name for name in columns if name in have])
        findings.append(_finding(table, file, plain, rows, example))
    return findings


def _example(scratch: Scratch, table: Table, sample: str, columns: list[str]) -> str | None:
    unread = UNREAD.match(sample)
    about = _column(table, sample)
    id_columns = [name for name in table.key if name in columns]
    if about and about.name in columns and about.name not in id_columns:
        id_columns.append(about.name)
    if not about:  # a rule over several columns: those that it names, or else all of them
        id_columns += [name for name in columns if name in sample and name not in id_columns]
    rows = scratch.rows(
        f"select {', '.join(id_columns) or '1'} from rejected_rows where reason = ? limit 1",
        [sample],
    )
    if not rows:
        return None
    values = dict(zip(id_columns, rows[0], strict=False))
    if unread and unread["value"] is not None:
        values[unread["column"]] = unread["value"]
    parts = [
        f"{name}={'(empty)' if value is None else str(value)[:EXAMPLE_WIDTH]}"
        for name, value in values.items()
    ]
    return ", ".join(parts)


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


def examine(
    project_dir: Path,
    *,
    sources: Any = None,
    domains: list[str] | None = None,
    database: Path | None = None,
    progress: Callable[[str], None] | None = None,
) -> Report:
    """What the input data lacks of its contract, found without a build.

    Args:
        project_dir: The dbt project whose contracts and variables are read.
        sources: A place, or places by source, instead of the variable `cadran_sources`.
        domains: Domains instead of the variable `cadran_domains`.
        database: The warehouse, where a place is `schema:<name>`.
        progress: Called with the name of each table before it is examined.

    Raises:
        ProjectError: the folder holds no dbt project with source contracts.
    """
    started = time.perf_counter()
    overrides: dict[str, Any] = {} if domains is None else {"cadran_domains": domains}
    if sources is not None:
        overrides["cadran_sources"] = sources
    loaded = _with_absolute_places(contracts.load(project_dir, overrides))
    scratch = Scratch()
    attached = _attach(scratch, loaded, database)
    findings: list[Finding] = []
    source_tables: list[SourceTable] = []
    counts: dict[str, int] = {}
    for table in loaded.tables:
        source = _find(scratch, loaded, table, attached=attached)
        if isinstance(source, Finding):
            findings.append(source)
        else:
            source_tables.append(source)
    # As the build reads them, and with the optional columns that lack, to say all in one run.
    plain = Models(loaded, scratch.cursor())
    raw = {(source.table.source, source.table.name): padded(source) for source in source_tables}
    models = Models(loaded, scratch, raw)
    for source in source_tables:
        if progress:
            progress(source.table.full_name)
        try:
            counts[source.table.full_name] = scratch.count(source.relation)
            shape = missing(plain, source)
            judged = judge(scratch, models, source.table, source.file)
            if any(finding.level is Level.STOPS for finding in shape):
                judged = [finding for finding in judged if finding.level is not Level.NOTE]
            findings += shape + times(scratch, source) + judged
        except WarehouseError as problem:
            findings.append(_unreadable(source.table, source.file, problem))
        if counts.get(source.table.full_name) == 0:
            findings.append(
                Finding(
                    level=Level.NOTE,
                    table=source.table.full_name,
                    file=source.file,
                    problem="there is no row",
                    expected="rows, or a reason for having none",
                    remedy="Nothing to do if the table is empty by nature.",
                )
            )
    scratch.close()
    return Report(tuple(findings), counts, time.perf_counter() - started)


def _with_absolute_places(loaded: Contracts) -> Contracts:
    """Places as the build sees them: relative to the project, where they are not found here."""

    def absolute(place: Any) -> Any:
        if not isinstance(place, str) or place.startswith("schema:"):
            return place
        here = Path(place).expanduser()
        return str((here if here.is_dir() else loaded.project_dir / here).absolute())

    places = loaded.variables.get("cadran_sources")
    if isinstance(places, dict):
        places = {source: absolute(place) for source, place in places.items()}
    return replace(loaded, variables=loaded.variables | {"cadran_sources": absolute(places)})


def _attach(scratch: Scratch, loaded: Contracts, database: Path | None) -> str | None:
    """Open the warehouse where a source is in it; the reason why not, if it cannot be opened."""
    sources = {table.source for table in loaded.tables}
    if not any((loaded.place(source) or "").startswith("schema:") for source in sources):
        return None
    if database is None:
        try:
            of_project = artifacts.find(loaded.project_dir, None, None).database
        except ProjectError:
            of_project = loaded.project_dir / "warehouse.duckdb"
        if isinstance(of_project, Address):
            return f"what lies in {of_project} is not read here: sources are examined as files"
        database = of_project
    if not database.is_file():
        return f"there is no warehouse {database}"
    try:
        scratch.attach(database, "warehouse")
    except WarehouseError as problem:
        return str(problem)
    return None


def _find(
    scratch: Scratch, loaded: Contracts, table: Table, *, attached: str | None
) -> SourceTable | Finding:
    place = loaded.place(table.source)
    if place is None:
        return _stops(
            table,
            file="cadran_sources",
            problem=f"no place is named for the source {table.source}",
            expected=f"'{table.source}: <folder>' or '{table.source}: schema:<name>'",
            remedy="Add it to cadran_sources, or take its domain out of cadran_domains.",
        )
    if place.startswith("schema:"):
        file = f"{place.removeprefix('schema:')}.{table.name}"
        relation = f'warehouse."{place.removeprefix("schema:")}"."{table.name}"'
        if attached:
            return _stops(
                table,
                file=file,
                problem=attached,
                expected="a warehouse that can be opened",
                remedy="Name it with --database, and close the process that writes to it.",
            )
    else:
        files = contracts.find_files(place, table, Path())
        if files is None:
            return _missing(table, Path(place))
        file, relation = files[0], contracts.reader(*files)
    try:
        described = scratch.rows(f"describe select * from {relation}")
    except NoSuchTableError:
        return _stops(
            table,
            file=file,
            problem="there is no such table in the warehouse",
            expected=f"a table with the columns {', '.join(c.name for c in table.columns)}",
            remedy="Load it, or point cadran_sources elsewhere.",
        )
    except WarehouseError as problem:
        return _unreadable(table, file, problem)
    return SourceTable(table, relation, file, {name.lower(): kind for name, kind, *_ in described})


def _missing(table: Table, place: Path) -> Finding:
    folder = place / table.source
    near = difflib.get_close_matches(
        table.name, [path.name.split(".")[0] for path in folder.glob("*")], n=1
    )
    hint = f" There is {folder / near[0]}: is that it?" if near else ""
    return _stops(
        table,
        file=str(folder / f"{table.name}.parquet"),
        problem="the file is missing",
        expected=f"{table.name}.parquet, .csv or .csv.gz, or a folder {table.name}/ of such files",
        remedy=f"Put the file there, point cadran_sources elsewhere, or take its domain out of "
        f"cadran_domains. Where there are no rows yet, a file of the header alone is enough.{hint}",
    )


def _stops(table: Table, *, file: str, problem: str, expected: str, remedy: str) -> Finding:
    return Finding(
        level=Level.STOPS,
        table=table.full_name,
        file=file,
        problem=problem,
        expected=expected,
        remedy=remedy,
    )


def _unreadable(table: Table, file: str, problem: Exception) -> Finding:
    return _stops(
        table,
        file=file,
        problem=f"it cannot be read: {problem}",
        expected="a whole Parquet file, or CSV with a header and the same columns in each row",
        remedy="Write the file again.",
    )

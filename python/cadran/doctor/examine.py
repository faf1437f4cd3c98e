"""The examination: each table found, its columns and times looked at, its rows judged."""

from __future__ import annotations

import difflib
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from cadran import contracts
from cadran.doctor import columns, rows
from cadran.doctor.columns import Found
from cadran.doctor.findings import Finding, Level, Report
from cadran.doctor.render import Models

if TYPE_CHECKING:
    from collections.abc import Callable

    from cadran.contracts import Contracts, Table


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
    connection = duckdb.connect()
    connection.execute("set TimeZone = 'UTC'")
    attached = _attach(connection, loaded, database)
    findings: list[Finding] = []
    found: list[Found] = []
    counts: dict[str, int] = {}
    for table in loaded.tables:
        there = _find(connection, loaded, table, attached=attached)
        if isinstance(there, Finding):
            findings.append(there)
        else:
            found.append(there)
    # As the build reads them, and with the optional columns that lack, to say all in one run.
    plain = Models(loaded, connection.cursor())
    raw = {(there.table.source, there.table.name): columns.padded(there) for there in found}
    models = Models(loaded, connection, raw)
    for there in found:
        if progress:
            progress(there.table.full_name)
        try:
            counts[there.table.full_name] = rows.count(connection, there.relation)
            shape = columns.missing(plain, there)
            judged = rows.judge(connection, models, there.table, there.file)
            if any(finding.level is Level.STOPS for finding in shape):
                judged = [finding for finding in judged if finding.level is not Level.NOTE]
            findings += shape + columns.times(connection, there) + judged
        except duckdb.Error as problem:
            findings.append(_unreadable(there.table, there.file, problem))
        if counts.get(there.table.full_name) == 0:
            findings.append(
                Finding(
                    level=Level.NOTE,
                    table=there.table.full_name,
                    file=there.file,
                    problem="there is no row",
                    expected="rows, or a reason for having none",
                    remedy="Nothing to do if the table is empty by nature.",
                )
            )
    connection.close()
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


def _attach(
    connection: duckdb.DuckDBPyConnection, loaded: Contracts, database: Path | None
) -> str | None:
    """Open the warehouse where a source is in it; the reason why not, if it cannot be opened."""
    sources = {table.source for table in loaded.tables}
    if not any((loaded.place(source) or "").startswith("schema:") for source in sources):
        return None
    if database is None:
        from cadran import project
        from cadran.errors import ProjectError

        try:
            database = project.find(loaded.project_dir, None, None).database
        except ProjectError:
            database = loaded.project_dir / "warehouse.duckdb"
    if not database.is_file():
        return f"there is no warehouse {database}"
    try:
        path = str(database).replace("'", "''")
        connection.execute(f"attach '{path}' as warehouse (read_only)")
    except duckdb.Error as problem:
        return str(problem).splitlines()[0]
    return None


def _find(
    connection: duckdb.DuckDBPyConnection, loaded: Contracts, table: Table, *, attached: str | None
) -> Found | Finding:
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
        described = connection.execute(f"describe select * from {relation}").fetchall()
    except duckdb.CatalogException:
        return _stops(
            table,
            file=file,
            problem="there is no such table in the warehouse",
            expected=f"a table with the columns {', '.join(c.name for c in table.columns)}",
            remedy="Load it, or point cadran_sources elsewhere.",
        )
    except duckdb.Error as problem:
        return _unreadable(table, file, problem)
    return Found(table, relation, file, {name.lower(): kind for name, kind, *_ in described})


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
        f"cadran_domains.{hint}",
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
        problem=f"it cannot be read: {str(problem).splitlines()[0]}",
        expected="a whole Parquet file, or CSV with a header and the same columns in each row",
        remedy="Write the file again.",
    )

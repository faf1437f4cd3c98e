"""The project as Power BI Desktop opens it: written aside, then put in its place."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING, Any

from cadran.errors import QueryError
from cadran.exports.powerbi import page, tmdl
from cadran.exports.powerbi.model import lineage

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pyarrow as pa

    from cadran.core.layer import Layer
    from cadran.exports.powerbi.model import Model, Table
    from cadran.exports.powerbi.planner import Plan

MARK = ".cadran-export"
# What a sum is kept as: it is wider than its terms, and Power BI has these types.
_SUMS = {"int64": "bigint", "decimal": "decimal(18, 4)", "double": "double precision"}
_SCHEMAS = "https://developer.microsoft.com/json-schemas/fabric"


def check(output: Path, data: Path) -> None:
    """Make sure that nothing but an earlier export would be written over.

    Raises:
        QueryError: one of the folders holds something else.
    """
    for folder in dict.fromkeys((output, data)):
        own = output / MARK if folder.is_relative_to(output) else folder / MARK
        if folder.exists() and any(folder.iterdir()) and not own.exists():
            raise QueryError(f"{folder} holds something else than an export; name an empty folder.")


def write(  # noqa: PLR0913 - where everything goes
    layer: Layer,
    plan: Plan,
    output: Path,
    *,
    data: Path,
    data_as: str | None,
    say: Callable[[str], None],
) -> None:
    """Write the project and its data; a report that is there already is left as it is.

    Args:
        layer: the layer whose warehouse holds the rows.
        plan: the model and the rows that are not those of one relation.
        output: the folder of the project; new, empty, or written by an earlier export.
        data: the folder of the Parquet files.
        data_as: that folder as Power BI's machine sees it; by default the same.
        say: told of each table.

    Raises:
        WarehouseError: the warehouse cannot be read.
    """
    model = plan.model
    aside = output.with_name(f".{output.name}.{os.getpid()}")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        place = data_as or str(data.resolve())
        for path, text in _files(model, separated(place)).items():
            _text(aside / path, text)
        rows = aside / "rows"
        rows.mkdir()
        for table in model.tables:
            count = _parquet(layer, table, plan.rows.get(table.name), rows)
            say(f"{table.file}.parquet: {count:,} rows")
        data.mkdir(parents=True, exist_ok=True)
        _text(data / MARK, "written by `cadran export powerbi`\n")
        for file in rows.iterdir():
            _move(file, data / file.name)
        rows.rmdir()
        output.mkdir(parents=True, exist_ok=True)
        _text(output / MARK, "written by `cadran export powerbi`\n")
        for entry in sorted(aside.iterdir()):
            if not (entry.name.endswith(".Report") and (output / entry.name).exists()):
                _move(entry, output / entry.name)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def separated(folder: str) -> str:
    """The folder with the separator of its kind at the end, so that a file name may follow."""
    if folder.endswith(("/", "\\")):
        return folder
    return folder + ("\\" if "\\" in folder or folder[1:2] == ":" else "/")


def rows_of(layer: Layer, table: Table) -> pa.Table:
    """The rows of a table that is one relation of the warehouse, column by column of the model."""
    columns, keys = [], []
    for place, column in enumerate(table.columns, 1):
        sql = column.sql
        if column.name in table.summed:
            sql = f"cast(sum({sql}) as {_SUMS[column.kind]})"
        else:
            keys.append(str(place))
        columns.append(f"{sql} as {column.source}")
    query = f"select {', '.join(columns)} from {table.relation}"
    if table.summed:
        by = ", ".join(keys)
        query += f" group by {by} order by {by}"
    return layer.warehouse.arrow(query)


def _parquet(layer: Layer, table: Table, rows: pa.Table | None, folder: Path) -> int:
    import pyarrow.parquet as pq

    table_rows = rows_of(layer, table) if rows is None else rows
    pq.write_table(table_rows, folder / f"{table.file}.parquet", compression="snappy")
    return int(table_rows.num_rows)


def _files(model: Model, folder: str) -> dict[str, str]:
    name = model.name
    semantic, report = f"{name}.SemanticModel", f"{name}.Report"
    files = {
        f"{semantic}/definition/{path}": text for path, text in tmdl.files(model, folder).items()
    }
    documents: dict[str, dict[str, Any]] = {
        f"{name}.pbip": {
            "$schema": f"{_SCHEMAS}/pbip/pbipProperties/1.0.0/schema.json",
            "version": "1.0",
            "artifacts": [{"report": {"path": report}}],
            "settings": {"enableAutoRecovery": True},
        },
        f"{semantic}/definition.pbism": {
            "$schema": f"{_SCHEMAS}/item/semanticModel/definitionProperties/1.0.0/schema.json",
            "version": "4.2",
            "settings": {},
        },
        f"{semantic}/.platform": _platform("SemanticModel", name),
        f"{report}/.platform": _platform("Report", name),
        f"{report}/definition.pbir": {
            "$schema": f"{_SCHEMAS}/item/report/definitionProperties/2.0.0/schema.json",
            "version": "4.0",
            "datasetReference": {"byPath": {"path": f"../{semantic}"}},
        },
        f"{report}/definition/version.json": {
            "$schema": f"{_SCHEMAS}/item/report/definition/versionMetadata/1.0.0/schema.json",
            "version": "2.0.0",
        },
        f"{report}/definition/report.json": {
            "$schema": f"{_SCHEMAS}/item/report/definition/report/3.0.0/schema.json",
            "themeCollection": {},
        },
    }
    documents |= {
        f"{report}/definition/pages/{path}": text for path, text in page.files(model).items()
    }
    files |= {path: json.dumps(text, indent=2) + "\n" for path, text in documents.items()}
    files["LEFT_OUT.md"] = left_out(model)
    return files


def left_out(model: Model) -> str:
    """What the model does not hold, as a page."""
    lines = [
        f"# What {model.name} leaves out",
        "",
        "Everything else on the KPIs' cards is in the model.",
        "",
        "| what | why | instead |",
        "|---|---|---|",
    ]
    lines += [
        "| " + " | ".join(c.replace("|", "\\|") for c in (o.what, o.reason, o.instead)) + " |"
        for o in model.left_out
    ]
    return "\n".join(lines if model.left_out else [lines[0], "", "Nothing."]) + "\n"


def _platform(kind: str, name: str) -> dict[str, Any]:
    return {
        "$schema": f"{_SCHEMAS}/gitIntegration/platformProperties/2.0.0/schema.json",
        "metadata": {"type": kind, "displayName": name},
        "config": {"version": "2.0", "logicalId": lineage(kind, name)},
    }


def _text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")


def _move(new: Path, place: Path) -> None:
    """Put a file or folder in its place; what was there goes only then."""
    if new.is_file() and not place.is_dir() and new.stat().st_dev == place.parent.stat().st_dev:
        new.replace(place)
        return
    beside = place.with_name(f".{place.name}.{os.getpid()}.new")
    shutil.move(new, beside)
    old = place.with_name(f".{place.name}.{os.getpid()}.old")
    if place.exists():
        place.replace(old)
    beside.replace(place)
    if old.is_dir():
        shutil.rmtree(old)
    else:
        old.unlink(missing_ok=True)

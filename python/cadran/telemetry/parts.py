"""The Parquet of landed rows: the parts of each segment, and the columns of each table.

A part is named by its segment. `whole-<segment>` in the same folder holds all rows of the parts up
to and with that segment, so that the rows of a folder are those of its last whole file and of the
parts after it.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from cadran.formats.files import write_file
from cadran.telemetry.records import CELL, HOUR, MILLISECOND

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from cadran.telemetry.records import Request, Rows

WHOLE = "whole-"
_TIME = pa.timestamp("us")  # UTC, as the contract has it

CELLS = pa.schema(
    [("service_id", pa.string()), ("route", pa.string()), ("minute_at", _TIME)]
    + [(name, pa.int64()) for name in CELL]
)
LINES = pa.schema(
    [
        ("request_id", pa.string()), ("service_id", pa.string()), ("route", pa.string()),
        ("received_at", _TIME), ("method", pa.string()), ("status", pa.int32()),
        ("duration_ms", pa.int64()), ("is_timeout", pa.bool_()),
    ]
)  # fmt: skip
PROBES = pa.schema(
    [
        ("service_id", pa.string()), ("region", pa.string()), ("probed_at", _TIME),
        ("is_up", pa.bool_()), ("response_ms", pa.int64()),
    ]
)  # fmt: skip
INCIDENTS = pa.schema(
    [
        ("incident_id", pa.string()), ("service_id", pa.string()), ("severity", pa.string()),
        ("cause", pa.string()), ("started_at", _TIME), ("detected_at", _TIME),
        ("acknowledged_at", _TIME), ("restored_at", _TIME),
    ]
)  # fmt: skip
DEPLOYMENTS = pa.schema(
    [
        ("deployment_id", pa.string()), ("service_id", pa.string()), ("incident_id", pa.string()),
        ("is_failed", pa.bool_()), ("deployed_at", _TIME),
    ]
)  # fmt: skip
SCHEMAS = {
    "requests": CELLS, "request_lines": LINES, "probes": PROBES, "incidents": INCIDENTS,
    "deployments": DEPLOYMENTS,
}  # fmt: skip


def write(folder: Path, segment: str, rows: Rows) -> None:
    """Write the rows of a segment to its parts, or none of them where they are no rows of a table.

    Raises:
        OSError: the disk refuses.
        ValueError, OverflowError: a value does not fit its column.
    """
    for path, table in list(_parts(folder, segment, rows)):
        save(path, table)


def _parts(folder: Path, segment: str, rows: Rows) -> Iterator[tuple[Path, pa.Table]]:
    def part(table: str, hour: int | None, made: pa.Table) -> tuple[Path, pa.Table]:
        return place(folder, table, hour) / f"{segment}.parquet", made

    by_hour: defaultdict[int, list[tuple[Any, ...]]] = defaultdict(list)
    for (service, route, minute), cell in rows.cells.items():
        by_hour[minute // HOUR].append((service, route, minute // 1000, *cell))
    for hour, cells in by_hour.items():
        yield part("requests", hour, _table(CELLS, zip(*cells, strict=True)))
    for hour, requests in rows.lines.items():
        yield part("request_lines", hour, _lines(requests))
    for table, entries in rows.tables.items():
        schema = SCHEMAS[table]
        if table == "probes":
            hours: defaultdict[int, list[dict[str, Any]]] = defaultdict(list)
            for row in entries:
                hours[int(row["probed_at"].timestamp() * 1e9) // HOUR].append(row)
            for hour, probes in hours.items():
                yield part(table, hour, pa.Table.from_pylist(probes, schema))
        else:
            yield part(table, None, pa.Table.from_pylist(entries, schema))


def place(folder: Path, table: str, hour: int | None) -> Path:
    """The folder of the parts of a table and an hour; incidents and deployments have no hours."""
    base = folder / "parts" / table
    if hour is None:
        return base
    at = dt.datetime.fromtimestamp(hour * 3600, dt.UTC)
    return base / f"date={at:%Y-%m-%d}" / f"hour={at:%H}"


def current(folder: Path, upto: str | None = None) -> tuple[list[Path], str]:
    """The files that hold the rows of a folder of parts, and the last segment in them.

    Args:
        folder: of one table and hour.
        upto: the last segment that counts; None takes all.
    """
    names = sorted(path.name for path in folder.glob("*.parquet") if not path.name.startswith("."))
    wholes = [name for name in names if name.startswith(WHOLE)]
    covered = segment_of(wholes[-1]) if wholes else ""
    later = [
        name
        for name in names
        if not name.startswith(WHOLE)
        and segment_of(name) > covered
        and (upto is None or segment_of(name) <= upto)
    ]
    files = [folder / name for name in [*wholes[-1:], *later]]
    return files, segment_of(later[-1]) if later else covered


def segment_of(name: str) -> str:
    """The segment that a file of parts is named by."""
    return name.removeprefix(WHOLE).removesuffix(".parquet")


def save(path: Path, table: pa.Table) -> None:
    """Write a table so that it is there wholly or not at all."""
    write_file(path, lambda aside: pq.write_table(table, aside, compression="zstd"))


def _table(schema: pa.Schema, columns: Iterable[Any]) -> pa.Table:
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)


def _lines(requests: list[Request]) -> pa.Table:
    services, routes, ats, methods, statuses, durations, timeouts, _, keys = zip(
        *requests, strict=True
    )
    # Up to whole milliseconds, so that a line lies in the bucket that it was counted in.
    milliseconds = [None if d is None else -(-d // MILLISECOND) for d in durations]
    received = [at // 1000 for at in ats]
    return _table(
        LINES, (keys, services, routes, received, methods, statuses, milliseconds, timeouts)
    )

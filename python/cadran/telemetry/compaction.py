"""From parts to the tables of the contract: whole minutes, one file a day, replaced in one step.

    telemetry/requests/date=2026-11-24/part.parquet          one row a service, route and minute
    telemetry/request_lines/date=.../hour=09/part.parquet    when the hour is over
    telemetry/probes/date=.../part.parquet
    telemetry/incidents/part.parquet, deployments/, services/

Whoever reads the folder sees the file before or after, and never a minute in two pieces. Parts that
a whole file has taken in are left for ten minutes to those who follow them.
"""

from __future__ import annotations

import datetime as dt
import logging
import shutil
import time
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cadran.formats.files import write_file
from cadran.telemetry import parts
from cadran.telemetry.records import AT_MOST, BOUNDS, CELL, COUNTS, DAY, HOUR, MINUTE, SECOND
from cadran.telemetry.settings import service_id

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from cadran.telemetry.settings import Settings

_LOG = logging.getLogger("cadran.collect")
_GROUP = 100_000  # rows
_FOLLOWED = 600  # seconds for which parts stay that are in a whole file
_MARK = b"cadran.through"  # of a file of the contract: the segment up to which it holds the parts
_KEY = ["service_id", "route", "minute_at"]
SERVICES = pa.schema(
    [(name, pa.string()) for name in ("service_id", "service_name", "team", "tier")]
)
_EVENT_KEYS = {"incidents": "incident_id", "deployments": "deployment_id"}


def minutes(cells: pa.Table) -> pa.Table:
    """Rows of the request contract from cells that may share minutes.

    A minute has its nine buckets where they are known of all its requests, and none otherwise.
    """
    summed = add_up(cells)
    summed = summed.filter(pc.greater(summed["request_count"], 0))
    complete = pc.equal(summed["gaps"], 0)
    columns = {name: summed[name] for name in (*_KEY, *COUNTS)}
    below: Any = pa.scalar(0, pa.int64())
    for bound, name in zip(BOUNDS, AT_MOST, strict=True):
        columns[f"le_{bound}_count"] = _where(complete, pc.subtract(summed[name], below))
        below = summed[name]
    above = pc.subtract(summed["request_count"], below)
    columns[f"gt_{BOUNDS[-1]}_count"] = _where(complete, above)
    return pa.table(columns).sort_by([("minute_at", "ascending"), ("service_id", "ascending")])


def add_up(cells: pa.Table) -> pa.Table:
    """Cells with one row a service, route and minute."""
    summed = cells.group_by(_KEY).aggregate([(name, "sum") for name in CELL])
    return summed.select([*_KEY, *(f"{name}_sum" for name in CELL)]).rename_columns(
        parts.CELLS.names
    )


def _where(condition: Any, values: Any) -> Any:
    return pc.if_else(condition, values, pa.scalar(None, pa.int64()))


def compact(
    settings: Settings, upto: str, now: int, services: Iterable[str], *, ending: bool = False
) -> None:
    """Bring the tables of the contract up to date.

    Args:
        settings: of the collector.
        upto: the last segment that is landed.
        now: in nanoseconds.
        services: the ids that were seen.
        ending: also give what is not over yet, since nobody will come back for it.

    Raises:
        OSError: the disk refuses; what was there is still there.
    """
    folder = settings.folder
    settled = now - int(settings.settle * SECOND)
    last_minute = dt.datetime.fromtimestamp((settled - settled % MINUTE) / SECOND, dt.UTC)
    minute = None if ending else last_minute.replace(tzinfo=None)
    recent = _day(now - int(settings.keep.late * HOUR) - DAY)
    for day in _days(folder, "requests"):
        if day >= recent:  # an older one gets no rows any more
            _requests(folder, day, upto, minute)
    for day in _days(folder, "request_lines"):
        for hour in sorted((folder / "parts" / "request_lines" / day).glob("hour=*")):
            over = _hour_end(day, hour.name) <= last_minute
            if over or ending:
                _append(hour, _contract(folder, "request_lines", day, hour.name), upto)
    for day in _days(folder, "probes"):
        hours = sorted((folder / "parts" / "probes" / day).glob("hour=*"))
        _probes(hours, _contract(folder, "probes", day), upto)
    for table, key in _EVENT_KEYS.items():
        _events(folder, table, key, upto)
    _services(settings, services)
    _give_empty(folder)
    clean(settings, now)


def _requests(folder: Path, day: str, upto: str, minute: dt.datetime | None) -> None:
    """Merge the hours of a day, and write its minutes."""
    tables: list[pa.Table | Path] = []
    through = ""
    for hour in sorted((folder / "parts" / "requests" / day).glob("hour=*")):
        files, last = parts.current(hour, upto)
        if not files:
            continue
        if len(files) > 1 or not files[0].name.startswith(parts.WHOLE):
            cells = add_up(
                pa.concat_tables([pq.read_table(file, partitioning=None) for file in files])
            )
            parts.save(hour / f"{parts.WHOLE}{last}.parquet", cells)
            tables.append(cells)
        else:
            tables.append(files[0])
        through = max(through, last)
    if not tables:
        return  # what is there is not landed yet
    target = _contract(folder, "requests", day)
    latest = f"{through} {minute or ''}"
    if _through(target) in (latest, f"{through} "):
        return  # nothing came, and every minute was given
    cells = pa.concat_tables(
        [pq.read_table(t, partitioning=None) if not isinstance(t, pa.Table) else t for t in tables]
    )
    if minute is not None:
        all_cells = cells.num_rows
        cells = cells.filter(
            pc.less(cells["minute_at"], pa.scalar(minute, cells["minute_at"].type))
        )
        if cells.num_rows == all_cells:
            latest = f"{through} "
    _save(target, minutes(cells), latest)


def _append(hour: Path, target: Path, upto: str) -> None:
    """Add the rows of new parts to a file, one part after the other."""
    through = _through(target)
    files, last = parts.current(hour, upto)
    later = [file for file in files if parts.segment_of(file.name) > through]
    if not later:
        return

    def write(aside: Path) -> None:
        schema = parts.LINES.with_metadata({_MARK: last.encode()})
        with pq.ParquetWriter(aside, schema, compression="zstd") as writer:
            batches: list[pa.RecordBatch] = []
            for file in ([target] if through else []) + later:
                for batch in pq.ParquetFile(file).iter_batches(batch_size=_GROUP):
                    batches.append(batch)
                    if sum(waiting.num_rows for waiting in batches) >= _GROUP:
                        writer.write_table(pa.Table.from_batches(batches, parts.LINES))
                        batches = []
            writer.write_table(pa.Table.from_batches(batches, parts.LINES))

    write_file(target, write)


def _probes(hours: list[Path], target: Path, upto: str) -> None:
    through = _through(target)
    listings = [parts.current(hour, upto) for hour in hours]
    later = [
        file for files, _ in listings for file in files if parts.segment_of(file.name) > through
    ]
    if not later:
        return
    compacted = [target] if through else []
    rows = pa.concat_tables(
        [pq.read_table(file, partitioning=None) for file in [*compacted, *later]]
    )
    _save(target, rows, max(last for _, last in listings))


def _events(folder: Path, table: str, key: str, upto: str) -> None:
    """Each incident and deployment once: what was told later goes before what was told earlier."""
    target = folder / "telemetry" / table / "part.parquet"
    place = parts.place(folder, table, None)
    files, last = parts.current(place, upto)
    through = _through(target)
    if target.exists() and through == last:
        return
    merged: dict[str, dict[str, Any]] = {}
    for file in files:
        for row in pq.read_table(file, partitioning=None).to_pylist():
            event = merged.setdefault(row[key], row)
            event.update({name: value for name, value in row.items() if value is not None})
    rows = pa.Table.from_pylist(list(merged.values()), parts.SCHEMAS[table])
    if len(files) > 1:
        parts.save(place / f"{parts.WHOLE}{last}.parquet", rows)
    _save(target, rows, last)


def _services(settings: Settings, services: Iterable[str]) -> None:
    target = settings.folder / "telemetry" / "services" / "part.parquet"
    by_id = {service_id(service.name): service for service in settings.services}
    rows = []
    for name in sorted({*by_id, *services}):
        service = by_id.get(name)
        rows.append(
            {
                "service_id": name,
                "service_name": service.name if service else name,
                "team": service.team if service else "unassigned",
                "tier": service.tier if service else "standard",
            }
        )
    table = pa.Table.from_pylist(rows, SERVICES)
    if not target.exists() or not pq.read_table(target, partitioning=None).equals(table):
        parts.save(target, table)


def _give_empty(folder: Path) -> None:
    """Give each table at least a file without rows, so that a build finds it."""
    for table in ("requests", "request_lines", "probes"):
        place = folder / "telemetry" / table
        if not any(place.rglob("*.parquet")):
            schema = parts.SCHEMAS[table]
            rows = schema.empty_table()
            parts.save(place / "none.parquet", minutes(rows) if table == "requests" else rows)
        elif len(list(place.iterdir())) > 1:
            (place / "none.parquet").unlink(missing_ok=True)


def clean(settings: Settings, now: int) -> None:
    """Remove what is older than it is kept, and parts that a whole file has taken in."""
    today = dt.datetime.fromtimestamp(now / SECOND, dt.UTC).date()
    keep = settings.keep
    late = int(keep.late // 24) + 2  # days in which a part may still get company
    for table, days in (
        ("requests", keep.requests), ("request_lines", keep.request_lines), ("probes", keep.probes)
    ):  # fmt: skip
        # Minutes are made from the parts of their whole day, so these stay as long as they do.
        of_parts = max(days, late) if table == "requests" else late
        for kind, limit in (("telemetry", max(days, late)), ("parts", of_parts)):
            for place in (settings.folder / kind / table).glob("date=*"):
                if (today - dt.date.fromisoformat(place.name.removeprefix("date="))).days > limit:
                    gone = place.with_name(f".{place.name}")
                    place.rename(gone)  # at once, so that nobody reads half a day
                    shutil.rmtree(gone)
    horizon = time.time() - _FOLLOWED
    for table in ("requests", "incidents", "deployments"):
        for folder in {
            file.parent
            for file in (settings.folder / "parts" / table).rglob(f"{parts.WHOLE}*.parquet")
        }:
            _clean_folder(folder, horizon)
    for table in ("request_lines", "probes"):
        for hour in (settings.folder / "parts" / table).glob("date=*/hour=*"):
            of_hour = hour.name if table == "request_lines" else ""
            through = _through(_contract(settings.folder, table, hour.parent.name, of_hour))
            _remove(hour, through, horizon)


def _clean_folder(folder: Path, horizon: float) -> None:
    wholes = sorted(folder.glob(f"{parts.WHOLE}*.parquet"))
    if not wholes or wholes[-1].stat().st_mtime > horizon:
        wholes = wholes[:-1]
    if not wholes:
        return
    _remove(folder, parts.segment_of(wholes[-1].name), horizon, keep=wholes[-1])


def _remove(folder: Path, through: str, horizon: float, keep: Path | None = None) -> None:
    for file in folder.glob("*.parquet"):
        is_in = parts.segment_of(file.name) <= through
        if file != keep and is_in and file.stat().st_mtime < horizon:
            file.unlink()


def _days(folder: Path, table: str) -> list[str]:
    return sorted(path.name for path in (folder / "parts" / table).glob("date=*"))


def _day(at: int) -> str:
    return f"date={dt.datetime.fromtimestamp(at / SECOND, dt.UTC):%Y-%m-%d}"


def _hour_end(day: str, hour: str) -> dt.datetime:
    text = f"{day.removeprefix('date=')}T{hour.removeprefix('hour=')}:00:00+00:00"
    return dt.datetime.fromisoformat(text) + dt.timedelta(hours=1)


def _contract(folder: Path, table: str, day: str, hour: str = "") -> Path:
    return folder / "telemetry" / table / day / hour / "part.parquet"


def _through(target: Path) -> str:
    """The segment up to which a file holds the parts; empty where there is none."""
    if not target.exists():
        return ""
    metadata = pq.read_metadata(target).metadata or {}
    return str(metadata.get(_MARK, b"").decode())


def _save(target: Path, rows: pa.Table, through: str) -> None:
    parts.save(target, rows.replace_schema_metadata({_MARK: through.encode()}))

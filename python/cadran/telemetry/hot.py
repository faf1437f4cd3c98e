"""Keeps hot rows: follows what the collector lands and takes it into a warehouse, minute by minute.

The first hot minute, the cut, is the first one that the build does not have whole. What lands for a
minute before it waits for the next build, which reads it from the landed files, and is counted as
late. Rows of the contract are made of the landed parts as the compaction makes them.
"""

from __future__ import annotations

import datetime as dt
import logging
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cadran.core.layer import Layer, open_layer
from cadran.core.project import dbt, live
from cadran.core.warehouse import Address, Remote
from cadran.core.warehouse.duckdb_live import LiveDuckDB
from cadran.core.warehouse.postgres_builds import DatabaseSource
from cadran.core.warehouse.postgres_live import LivePostgres
from cadran.errors import ProjectError, WarehouseError
from cadran.telemetry import compaction, parts, settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from cadran.core.project.artifacts import Project
    from cadran.core.warehouse import Confinement
    from cadran.core.warehouse.hot_plan import HotTable
    from cadran.core.warehouse.postgres_builds import ServedPostgres

_LOG = logging.getLogger("cadran.live")
_HOUR = dt.timedelta(hours=1)
_LATE = dt.timedelta(hours=72)  # for late rows; a collector takes what is 48 hours old by default
_LOST = 300.0  # seconds after which parts may be gone that nobody read
_SETTLED = 1_000_000_000  # nanoseconds in which another file may come with the same stamp
_EPOCH = dt.datetime(1970, 1, 10)  # noqa: DTZ001 - all times here are in UTC, as in the rows
_TIMES = {"requests": "minute_at", "probes": "probed_at"}
_SERVICES = "dim_services"
_DDL = {"int64": "bigint", "string": "varchar", "bool": "boolean", "timestamp[us]": "timestamp"}


def _ddl(schema: pa.Schema) -> str:
    return ", ".join(f'"{column.name}" {_DDL[str(column.type)]}' for column in schema)


def opened(
    project: Project,
    built: Project,
    folder: Path,
    *,
    confined: Confinement | None = None,
    served: ServedPostgres | None = None,
) -> HotStore:
    """A built warehouse with hot rows of what is landed in a folder.

    Args:
        project: the dbt project, whose models are compiled once for all its builds.
        built: its artefacts and warehouse, as they are to be read.
        folder: where the collector lands.
        confined: what the warehouse may use.
        served: the build of PostgreSQL that is served; of now where nobody serves it.

    Raises:
        ProjectError: dbt is not installed or refuses to compile, no model is live, or one was
            changed since the build.
        WarehouseError: the warehouse cannot be read, or lacks a table.
    """
    database = built.database
    if isinstance(database, Remote):
        raise ProjectError(
            f"Nothing is live on Spark ({database}): what lands is read by the next build."
        )
    if isinstance(database, Address):
        compiled, name = dbt.compiled_there(project), database.name
    else:
        compiled, name = dbt.compiled(project), database.stem
    alias = built.database_alias or name
    timed = {
        "requests": _ddl(compaction.minutes(parts.CELLS.empty_table()).schema),
        "probes": _ddl(parts.PROBES),
    }
    plan = live.plan(compiled, alias, "telemetry", timed, {"services": _ddl(compaction.SERVICES)})
    _refuse_changed(plan.tables, compiled, built)
    warehouse: LiveDuckDB | LivePostgres
    if isinstance(database, Address):
        if served is None:
            source = DatabaseSource(database, alias, built.marks_schema)
            served = source.take(unfinished=False, confined=confined)
            source.close()
        warehouse = LivePostgres(served, plan, confined=confined)
    else:
        warehouse = LiveDuckDB(database, alias, plan, confined=confined)
    store = HotStore(folder, warehouse)
    store.fill()
    return store


def _refuse_changed(tables: Iterable[HotTable], compiled: Project, built: Project) -> None:
    """See that what is built and what is hot come from the same models."""
    texts = [
        {
            (node["schema"], node["alias"]): node["checksum"]["checksum"]
            for node in project.dbt_manifest["nodes"].values()
            if node["resource_type"] == "model"
        }
        for project in (compiled, built)
    ]
    for table in tables:
        now, then = (text.get((table.schema, table.name)) for text in texts)
        if now != then:
            raise ProjectError(
                f"{table.name} was changed since the build, so its hot rows would mean something"
                " else than its built ones: build the project."
            )


def open_live(
    project_dir: Path | str | None,
    *,
    manifest: Path | str | None = None,
    database: Path | str | None = None,
    plan_cache: bool = True,
) -> Layer:
    """A layer whose answers hold what landed up to the last second.

    What landed is taken in before a question is answered, at most once a second.

    Raises:
        CadranError: as `opened`; ProjectError where only a manifest is named.
    """
    root = Path(project_dir or ".")
    if manifest is not None:
        raise ProjectError("live needs a dbt project, whose models it runs: name its folder alone.")
    layer = open_layer(root, database=database)
    store = opened(layer.project, layer.project, settings.read(root, {}, runs=False).folder)
    store.warehouse.freshen = store.refresh
    return Layer(layer.project, plan_cache=plan_cache, opened=store.warehouse)


class HotStore:
    """Takes what is landed into a warehouse. `fill` and `tick` are for one thread.

    Attributes:
        warehouse: answers with what was taken.
        cut: the first hot minute, UTC.
        late: rows and requests that landed for minutes before it, by table.
    """

    def __init__(self, folder: Path, warehouse: LiveDuckDB | LivePostgres) -> None:
        """Take the collector's folder and a warehouse that is not cut yet."""
        self.folder, self.warehouse = folder, warehouse
        self.cut = _EPOCH
        self.late: Counter[str] = Counter()
        self._through: dict[Path, str] = {}
        self._stamps: dict[Path, int] = {}
        self._rows: dict[tuple[str, dt.datetime], pa.Table] = {}
        self._services: tuple[int, pa.Table | None] = (0, None)
        self._known: pa.Table | None = None
        self._at = 0.0
        self._lock = threading.Lock()

    def fill(self) -> None:
        """Find the cut, and take everything from it on that is landed.

        Where another process keeps the rows hot, what it took is followed.

        Raises:
            WarehouseError: the warehouse cannot be read, or lacks a table.
        """
        cut = self.warehouse.followed_cut()
        if cut is not None:
            self.cut, self._at = cut, time.monotonic()
            return
        times = self.warehouse.last_times().values()
        newest = max(times, default=_EPOCH)
        # A build reads one fact after the other, so one may have the next hour's first minute.
        whole = min((at for at in times if at >= newest - _HOUR), default=newest)
        self.cut = hour = _hour(whole + dt.timedelta(minutes=1))
        landed = self._landed(hour)
        first = min(
            (_minute(pc.min(table[_TIMES[name]]).as_py()) for (name, _), table in landed.items()),
            default=_minute(newest) + dt.timedelta(minutes=1),
        )
        self.cut = max(hour, first)
        self.warehouse.begin(self.cut)
        self._take(landed, is_filling=True)
        _LOG.info("rows are hot from %s UTC on", f"{self.cut:%Y-%m-%d %H:%M}")

    def tick(self) -> frozenset[str]:
        """Take what landed since; returns the keys of the tables that moved.

        Raises:
            WarehouseError: a row cannot be taken; the rows are those from before.
        """
        if time.monotonic() - self._at < self.warehouse.every:
            return frozenset()
        try:
            if not self.warehouse.leads():
                self._at = time.monotonic()
                return self.warehouse.follow()
            if not self.warehouse.is_begun:  # from now on it keeps the rows hot
                self._forget()
                self.fill()
                return frozenset(self.warehouse.moves)
        except WarehouseError:
            self._at = time.monotonic()  # a server that refuses is not asked at each turn
            raise
        if time.monotonic() - self._at > _LOST:
            # Parts are left for ten minutes to those who follow: it may be later than that.
            self._through, self._stamps, self._rows = {}, {}, {}
            return self._take(self._landed(_hour(self.cut)), is_filling=True)
        try:
            return self._take(self._landed(None))
        except FileNotFoundError:  # merged while it was read: the next turn finds the whole
            self._at = -_LOST
            return frozenset()

    def refresh(self, every: float = 1.0) -> None:
        """Take what landed since, unless that was done a moment ago. Thread-safe."""
        with self._lock:
            if not self.warehouse.is_current():
                self.warehouse.close()
                self._forget()
                self.fill()
            elif time.monotonic() - self._at > every:
                self.tick()

    def _forget(self) -> None:
        self._through, self._stamps, self._rows, self._services = {}, {}, {}, (0, None)
        self._known = None

    def close(self) -> None:
        """Let go of the warehouse."""
        self.warehouse.close()

    def _landed(self, begin: dt.datetime | None) -> dict[tuple[str, dt.datetime], pa.Table]:
        """New rows by table and hour; what is before the beginning only counts as known.

        Args:
            begin: the first hour, where nothing is known yet.
        """
        new = {}
        for name, place, hour in self._places():
            stamp = place.stat().st_mtime_ns
            if self._stamps.get(place) == stamp:
                continue
            if time.time_ns() - stamp > _SETTLED:
                self._stamps[place] = stamp
            through = self._through.get(place, "")
            if through:
                files = sorted(
                    file
                    for file in place.glob("*.parquet")
                    if not file.name.startswith((parts.WHOLE, ".")) and file.stem > through
                )
                last = files[-1].stem if files else through
            else:
                files, last = parts.current(place)
            self._through[place] = last
            if begin is None or hour >= begin:
                rows = [pq.read_table(file, partitioning=None) for file in files]
                if any(table.num_rows for table in rows):
                    new[name, hour] = pa.concat_tables(rows)
        return new

    def _places(self) -> Iterator[tuple[str, Path, dt.datetime]]:
        """The folders of parts that rows may come to: table, folder and hour."""
        first = f"date={self.cut - _LATE:%Y-%m-%d}"
        for name in _TIMES:
            for day in sorted((self.folder / "parts" / name).glob("date=*")):
                if day.name >= first:
                    for place in sorted(day.glob("hour=*")):
                        at = f"{day.name.removeprefix('date=')}T{place.name.removeprefix('hour=')}"
                        yield name, place, dt.datetime.fromisoformat(at)

    def _take(
        self, landed: Mapping[tuple[str, dt.datetime], pa.Table], *, is_filling: bool = False
    ) -> frozenset[str]:
        begun, now = time.monotonic(), dt.datetime.now(dt.UTC).replace(tzinfo=None)
        new: dict[tuple[str, dt.datetime], pa.Table] = {}
        touched: set[dt.datetime] = set()
        for (name, hour), table in landed.items():
            at = table[_TIMES[name]]
            is_late = pc.less(at, pa.scalar(self.cut, at.type))
            late = table.filter(is_late)
            if late.num_rows and not is_filling:
                self.late[name] += (
                    pc.sum(late["request_count"]).as_py() if name == "requests" else late.num_rows
                )
            rows = table.filter(pc.invert(is_late))
            if rows.num_rows:
                new[name, hour] = rows
                touched |= set(_minutes(rows[_TIMES[name]]).unique().to_pylist())
        services = self._services_changed()
        if services is not None:
            # A service that was unknown has rows from now on.
            touched |= {
                minute
                for (name, _), table in self._rows.items()
                for minute in _minutes(table[_TIMES[name]]).unique().to_pylist()
            }
        rows = self._touched_rows(new, touched, everything=services is not None)
        if services is not None:
            rows["services"] = services
        self._at = -_LOST  # should it fail, everything is taken anew
        moved = self.warehouse.take(rows, touched, now)
        self._at = begun
        return moved

    def _touched_rows(
        self,
        new: Mapping[tuple[str, dt.datetime], pa.Table],
        touched: set[dt.datetime],
        *,
        everything: bool,
    ) -> dict[str, pa.Table]:
        """All rows that the touched minutes have now, by table; of all, or those with new ones."""
        minutes = pa.array(sorted(touched), pa.timestamp("us"))
        hours = {_hour(minute) for minute in touched}
        rows = {}
        for name, column in _TIMES.items():
            if not everything and not any(table == name for table, _ in new):
                continue
            schema = parts.SCHEMAS[name]
            tables = [schema.empty_table()]
            for hour in sorted(hours):
                before = self._rows.get((name, hour))
                both = [table for table in (before, new.get((name, hour))) if table is not None]
                if not both:
                    continue
                table = pa.concat_tables(both)
                is_touched = pc.is_in(_minutes(table[column]), minutes)
                fresh = table.filter(is_touched)
                if name == "requests":
                    fresh = compaction.add_up(fresh)
                self._rows[name, hour] = pa.concat_tables(
                    [table.filter(pc.invert(is_touched)), fresh]
                ).combine_chunks()
                tables.append(fresh)
            fresh = pa.concat_tables(tables)
            rows[name] = compaction.minutes(fresh) if name == "requests" else fresh
        return rows

    def _services_changed(self) -> pa.Table | None:
        """The services that are known, where there are others than before."""
        file = self.folder / "telemetry" / "services" / "part.parquet"
        stamp = file.stat().st_mtime_ns if file.exists() else 1
        if stamp == self._services[0]:
            return None
        if self._known is None:
            schema = next(
                (s for s, name in self.warehouse.plan.served if name == _SERVICES), "marts"
            )
            known = self.warehouse.built_rows(schema, _SERVICES)
            self._known = known.select(compaction.SERVICES.names).cast(compaction.SERVICES)
        services = self._known
        if file.exists():
            landed = pq.read_table(file, partitioning=None).cast(compaction.SERVICES)
            is_known = pc.is_in(landed["service_id"], services["service_id"].combine_chunks())
            services = pa.concat_tables([services, landed.filter(pc.invert(is_known))])
        before = self._services[1]
        self._services = stamp, services
        return None if before is not None and before.equals(services) else services


def _hour(at: dt.datetime) -> dt.datetime:
    return at.replace(minute=0, second=0, microsecond=0)


def _minute(at: dt.datetime) -> dt.datetime:
    return at.replace(second=0, microsecond=0)


def _minutes(times: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.floor_temporal(times, unit="minute")

"""A collector in this process or in one of its own, and what it landed."""

from __future__ import annotations

import asyncio
import datetime as dt
import functools
import gzip
import json
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import duckdb
import httpx
import pyarrow as pa
import pyarrow.compute as pc
import yaml
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from cadran.telemetry import parts, settings
from cadran.telemetry.collector import METRICS, TRACES, Collector
from cadran.telemetry.records import AT_MOST, BOUNDS, CELL, COUNTS, HOUR

KILLS = int(os.environ.get("CADRAN_TEST_KILLS", "3"))
MINUTE = 60_000_000_000
MILLISECOND = 1_000_000
# UTC, as all times of the rows; the built side of these tests ends in the minute before.
CUT = dt.datetime.fromisoformat("2026-10-31 09:00")
SINCE = f"timestamp '{CUT - dt.timedelta(hours=2)}'"
BY_TIME = {
    ("marts", "fct_requests_minutely"): "minute_at",
    ("marts", "fct_probes"): "probed_at",
    ("reliability", "int_sli_minutely"): "minute_at",
    ("reliability", "int_slo_slices_hourly"): "hour_at",
    ("reliability", "int_slo_excluded_hourly"): "hour_at",
    ("reliability", "fct_slo_slices_hourly"): "hour_at",
}
EQUAL = [
    *BY_TIME,
    ("marts", "dim_services"), ("utilities", "time_bounds"), ("utilities", "time_spine_minute"),
    ("reliability", "slo_excluded_minutes"), ("reliability", "fct_slo_status"),
    ("reliability", "fct_slo_burn_rates"), ("reliability", "fct_slo_periods"),
]  # fmt: skip


@functools.lru_cache(maxsize=1)
def _minute_before(_test):
    return (time.time_ns() // MINUTE - 1) * MINUTE


def a_minute_ago():
    """The start of the minute before the running test began to ask, in nanoseconds.

    The same throughout one test, so that what it sends twice falls in one minute however late
    in the minute it began.
    """
    return _minute_before(os.environ["PYTEST_CURRENT_TEST"].rpartition(" ")[0])


def spans(  # noqa: PLR0913
    *durations, at=None, service="shop", status=200, route="/a", state="", first=0, kind=2
):
    """A body with one SERVER span for each duration in milliseconds."""
    at = at or a_minute_ago()
    export = ExportTraceServiceRequest()
    resource = export.resource_spans.add()
    resource.resource.attributes.add(key="service.name").value.string_value = service
    scope = resource.scope_spans.add()
    for number, duration in enumerate(durations, first):
        span = scope.spans.add(
            trace_id=number.to_bytes(16, "big"), span_id=(number + 1).to_bytes(8, "big"),
            kind=kind, name=route, trace_state=state, start_time_unix_nano=at + number,
            end_time_unix_nano=at + number + round(duration * MILLISECOND),
        )  # fmt: skip
        span.attributes.add(key="http.route").value.string_value = route
        span.attributes.add(key="http.response.status_code").value.int_value = status
        span.attributes.add(key="http.request.method").value.string_value = "GET"
    return export.SerializeToString()


def histogram(  # noqa: PLR0913
    buckets, *, bounds, start, at, service="shop", cumulative=True, name=None, instance="1"
):
    """A body with one point of a histogram of seconds."""
    export = ExportMetricsServiceRequest()
    resource = export.resource_metrics.add()
    resource.resource.attributes.add(key="service.name").value.string_value = service
    resource.resource.attributes.add(key="service.instance.id").value.string_value = instance
    metric = resource.scope_metrics.add().metrics.add(
        name=name or "http.server.request.duration", unit="s"
    )
    metric.histogram.aggregation_temporality = 2 if cumulative else 1
    point = metric.histogram.data_points.add(
        start_time_unix_nano=start, time_unix_nano=at, count=sum(buckets),
        bucket_counts=buckets, explicit_bounds=bounds,
    )  # fmt: skip
    point.attributes.add(key="http.route").value.string_value = "/a"
    point.attributes.add(key="http.response.status_code").value.int_value = 200
    return export.SerializeToString()


def collector(folder, **given):
    """A collector of this process, which is not started."""
    defaults = {"folder": str(folder), "limits": {"disk": 1}, "tokens": str(folder / "tokens.json")}
    return Collector(settings.Settings.model_validate(defaults | given))


def collected(folder, *bodies, kind=TRACES, form=0, **given):
    """What a collector answers to bodies that it takes one after the other, and then ends."""
    return asyncio.run(_collected(collector(folder, **given), bodies, kind, form))


async def _collected(taker, bodies, kind, form):
    app = taker.app()
    async with app.router.lifespan_context(app):
        return [await taker.take(kind, form, body, body) for body in bodies]


def measured(folder, *bodies, **given):
    """As `collected`, of metrics, which are what the requests are counted from."""
    return collected(folder, *bodies, kind=METRICS, **({"requests_from": "metrics"} | given))


def landed(folder, table, columns="*"):
    """Rows of the contract."""
    connection = duckdb.connect()
    connection.execute("set TimeZone = 'UTC'")
    return connection.execute(
        f"select {columns} from read_parquet('{folder}/telemetry/{table}/**/*.parquet',"
        " union_by_name = true) order by all"
    ).fetchall()


def answered(folder, *requests, **given):
    """Responses of a collector to requests over HTTP without a network."""

    async def ask():
        taker = collector(folder, **given)
        app = taker.app()
        transport = httpx.ASGITransport(app=app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client,
        ):
            return [await client.request(**request) for request in requests]

    return asyncio.run(ask())


def post(path, content, kind="application/x-protobuf", **headers):
    """A request that posts a body."""
    given = {"content-type": kind} | {name.replace("_", "-"): v for name, v in headers.items()}
    return {"method": "POST", "url": path, "content": content, "headers": given}


class Process:
    """`cadran collect` as a process of its own, on a free port that stays its own."""

    def __init__(self, home, **given):
        self.home, self.folder, self.port = home, home / "landed", 0
        self.errors = home / "errors.log"
        defaults = {"folder": "landed", "limits": {"disk": 1}}
        (home / settings.FILE).write_text(yaml.safe_dump(defaults | given), encoding="utf-8")
        self.start()

    def start(self):
        command = [
            sys.executable, "-m", "cadran", "collect", "--port", str(self.port),
            "--project-dir", self.home,
        ]  # fmt: skip
        with self.errors.open("a") as errors:
            self.process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=self.home
            )
        line = self.process.stdout.readline()
        assert line.startswith("OTLP"), self.errors.read_text()
        self.address = line.split()[1]
        self.port = int(self.address.rpartition(":")[2])

    def status(self):
        return httpx.get(f"{self.address}/v1/status", timeout=10).json()

    def wait_for(self, name, least):
        """Wait until a count of the status page, without what a crash left, has come so far."""
        until = time.monotonic() + 60
        while True:
            counts = self.status()["counts"]
            if counts.get(name, 0) - counts.get(f"{name}_recovered", 0) >= least:
                return
            assert time.monotonic() < until, counts
            time.sleep(0.05)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.terminate()
        assert self.process.wait(60) == 0, self.errors.read_text()


FILES = ("dbt_project.yml", "vars.yml", "profiles.yml", "cadran_checks.yml", "cadran_names.yml",
         "models", "macros", "metrics", "semantic_models", "seeds", "tests", "contracts",
         "versions", "kpi.lock")  # fmt: skip


def project_at(folder, root, demo):
    """The demo's project in a folder, with a warehouse of its own."""
    assert demo.returncode == 0, demo.log[-3000:]
    for name in FILES:
        if (root / name).exists():
            (folder / name).symlink_to(root / name)
    shutil.copytree(demo.target, folder / "target")
    shutil.copy(demo.database, folder / "warehouse.duckdb")
    return folder


class Server:
    """`cadran serve --live` as a process of its own, on one port."""

    def __init__(self, home, *options):
        self.home, self.options, self.port = home, options, 0
        self.log = home / "server.log"
        self.start()

    def start(self):
        command = [
            sys.executable, "-m", "cadran", "serve", "--live", *self.options,
            "--port", str(self.port), "--flight-port", "0", "--project-dir", self.home,
        ]  # fmt: skip
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log, text=True, cwd=self.home,
                env=os.environ | {"CADRAN_DATABASE": str(self.home / "warehouse.duckdb")},
            )  # fmt: skip
        line = self.process.stdout.readline()
        assert line.startswith("HTTP"), self.log.read_text()[-3000:]
        self.address = line.split()[1]
        self.port = int(self.address.rpartition(":")[2])

    def kill(self):
        self.process.kill()
        self.process.wait()


def as_json(export):
    """A body of protobuf in OTLP's own JSON, whose ids are hexadecimal."""
    from google.protobuf import json_format

    message = ExportTraceServiceRequest.FromString(export)
    document = json_format.MessageToDict(message)
    for resource in document["resourceSpans"]:
        for scope in resource["scopeSpans"]:
            for span, raw in zip(
                scope["spans"], message.resource_spans[0].scope_spans[0].spans, strict=True
            ):
                span["traceId"], span["spanId"] = raw.trace_id.hex(), raw.span_id.hex()
    return json.dumps(document).encode()


class Senders:
    """Send as exporters do: one body at a time, the same again until it is answered."""

    def __init__(self, address, threads=4):
        self.acknowledged, self._ended = {}, threading.Event()
        self._url = f"{address}/v1/traces"
        self._pool = ThreadPoolExecutor(threads)
        self._work = [self._pool.submit(self._send, number) for number in range(threads)]

    def _send(self, sender):
        number = 0
        with httpx.Client(timeout=20) as client:
            while not self._ended.is_set():
                number += 1
                first = (sender * 1_000_000 + number) * 100
                request = post("", gzip.compress(spans(*[1] * 20, first=first, at=time.time_ns())))
                headers = request["headers"] | {"content-encoding": "gzip"}
                self._until_answered(client, request["content"], headers)
                self.acknowledged[first] = 20

    def _until_answered(self, client, content, headers):
        until = time.monotonic() + 300  # however often it is killed
        while True:
            try:
                if client.post(self._url, content=content, headers=headers).status_code == 200:
                    return
            except httpx.TransportError:
                assert time.monotonic() < until, "the collector did not come back"
            time.sleep(0.02)

    def end(self):
        self._ended.set()
        for work in self._work:
            work.result()
        return sum(self.acknowledged.values())


def cells(raw, condition):
    """Raw rows of minutes as the collector lands them."""
    rows = raw.execute(f"select * from telemetry.requests where {condition}").to_arrow_table()
    columns = {name: rows[name].cast(pa.int64()) for name in COUNTS}
    reached = pa.scalar(0, pa.int64())
    for bound, name in zip(BOUNDS, AT_MOST, strict=True):
        columns[name] = reached = pc.add(reached, rows[f"le_{bound}_count"].cast(pa.int64()))
    columns["gaps"] = pa.array([0] * rows.num_rows, pa.int64())
    keys = {name: rows[name] for name in ("service_id", "route", "minute_at")}
    return pa.table(keys | {name: columns[name] for name in CELL}).cast(parts.CELLS)


def land(folder, table, rows, segment):
    """Rows as parts of a segment, an hour a file."""
    column = "minute_at" if table == "requests" else "probed_at"
    hours = pc.floor_temporal(rows[column], unit="hour")
    for hour in hours.unique().to_pylist():
        number = int(hour.replace(tzinfo=dt.UTC).timestamp() * 1e9) // HOUR
        of_hour = rows.filter(pc.equal(hours, hour))
        parts.save(parts.place(folder, table, number) / f"{segment:015d}.parquet", of_hour)


def split(rows, rng):
    """Cells whose sums are those of the rows, in two tables."""
    first = []
    for row in rows.to_pylist():
        part = dict(row)
        if rng.random() < 0.5:
            part |= dict.fromkeys(CELL, 0)
        first.append(part)
    first = pa.Table.from_pylist(first, parts.CELLS)
    rest = {name: pc.subtract(rows[name], first[name]) for name in CELL}
    keys = {name: rows[name] for name in parts.CELLS.names[:3]}
    return first, pa.table(keys | rest).cast(parts.CELLS)


def land_day(raw, folder, *, seed=1):
    """All raw rows from the cut on, in parts that share minutes, in no order."""
    rng = random.Random(seed)  # noqa: S311 - only has to differ
    later = f"minute_at >= timestamp '{CUT}'"
    for number, rows in enumerate(split(cells(raw, later), rng)):
        land(folder, "requests", rows, 10 + number)
    probes = raw.execute(
        f"select * from telemetry.probes where probed_at >= timestamp '{CUT}'"
    ).to_arrow_table()
    land(folder, "probes", probes.select(parts.PROBES.names).cast(parts.PROBES), 10)

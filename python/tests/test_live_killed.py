"""Collector, server and builds together under load, each killed again and again.

`make test-kills`. OpenTelemetry's own exporters send spans and know what was acknowledged. That is
what the landed files hold in the end, what the build has, and what the server answers: minute by
minute, each request once.
"""

from __future__ import annotations

import datetime as dt
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import duckdb
import httpx
import pyarrow as pa
import pytest
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import SpanKind
from telemetry_fixtures import KILLS, Process, Server, project_at

pytestmark = pytest.mark.skipif(
    "CADRAN_TEST_KILLS" not in os.environ, reason="minutes: make test-kills"
)
PARTS = ("collector", "server", "build")
SENDERS, EACH_SECOND = 3, 40
RETRIES = 120  # seconds for which an exporter sends a batch again
MODELS = ("source:telemetry+", "+fct_requests_minutely+")
WITHOUT = ("unit_test", "saved_query")
BY_MINUTE = {"metrics": "request_count", "group_by": "metric_time__minute"}


def log(text):
    """Say how far it is."""
    sys.stdout.write(f"{dt.datetime.now(dt.UTC):%H:%M:%S}  {text}\n")
    sys.stdout.flush()


class Acknowledged(SpanExporter):
    """The exporter of the SDK, and the spans that it said were taken."""

    def __init__(self, address):
        self._exporter = OTLPSpanExporter(
            f"{address}/v1/traces", compression=Compression.Gzip, timeout=RETRIES
        )
        self.taken, self.refused = [], []

    def export(self, spans):
        result = self._exporter.export(spans)
        known = self.taken if result is SpanExportResult.SUCCESS else self.refused
        known.extend(span.start_time // 1000 for span in spans)
        return result

    def shutdown(self):
        self._exporter.shutdown()


class Sender:
    """A service whose requests are traced by the SDK, in a thread of its own."""

    def __init__(self, address, number):
        self.exporter, self.begun = Acknowledged(address), 0
        self._provider = TracerProvider(resource=Resource({"service.name": f"service {number}"}))
        self._provider.add_span_processor(
            BatchSpanProcessor(self.exporter, schedule_delay_millis=200, max_queue_size=20_000)
        )
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._send, daemon=True)
        self._thread.start()

    def _send(self):
        tracer = self._provider.get_tracer("test")
        while not self._ended.wait(1 / EACH_SECOND):
            self.begun += 1
            attributes = {"http.route": "/pay", "http.response.status_code": 200}
            tracer.start_span("POST /pay", kind=SpanKind.SERVER, attributes=attributes).end()

    def end(self):
        self._ended.set()
        self._thread.join()
        assert self._provider.force_flush(RETRIES * 1000)
        self._provider.shutdown()


class Builds:
    """`dbt build` of what is made of requests, begun again as soon as it ends."""

    def __init__(self, home):
        self.home, self.statuses = home, []
        self.process = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._build, daemon=True)
        self._thread.start()

    def once(self, *more):
        command = [
            Path(sys.executable).with_name("dbt"), "--no-use-colors", "build",
            "--project-dir", self.home, "--profiles-dir", self.home,
            "--select", *MODELS, "--exclude-resource-type", *WITHOUT, *more,
        ]  # fmt: skip
        with (self.home / "build.log").open("a") as output:
            self.process = subprocess.Popen(
                command, stdout=output, stderr=output, start_new_session=True, cwd=self.home,
                env=os.environ | {"CADRAN_DATABASE": str(self.home / "warehouse.duckdb")},
            )  # fmt: skip
            return self.process.wait()

    def _build(self):
        while not self._ended.is_set():
            begun = time.monotonic()
            self.statuses.append(self.once())
            log(f"a build ended with {self.statuses[-1]} after {time.monotonic() - begun:.1f} s")

    def kill(self):
        os.killpg(self.process.pid, signal.SIGKILL)

    def start(self):
        """Nothing to do: the thread begins the next one."""

    def end(self):
        self._ended.set()
        self._thread.join()


class Reader(threading.Thread):
    """Asks the server for all requests again and again."""

    def __init__(self, server, senders):
        super().__init__(daemon=True)
        self._server, self._senders, self._ended = server, senders, threading.Event()
        self.answers, self.excess, self.others = 0, [], []

    def run(self):
        while not self._ended.wait(0.2):
            try:
                reply = httpx.get(
                    f"{self._server.address}/api/v1/query", params={"metrics": "request_count"},
                    timeout=30,
                )  # fmt: skip
            except httpx.TransportError:
                continue
            begun = sum(sender.begun for sender in self._senders)
            if reply.status_code != 200:
                self.others.append(reply.text)
                continue
            self.answers += 1
            served = reply.json()["rows"][0]["request_count"] or 0
            if served > begun:
                self.excess.append((served, begun))

    def end(self):
        self._ended.set()
        self.join()


@pytest.fixture(scope="module")
def home(demo, project_root, tmp_path_factory):
    """The demo's project, whose telemetry is what is landed."""
    folder = project_at(tmp_path_factory.mktemp("home"), project_root, demo)
    settings = (folder / "vars.yml").read_text(encoding="utf-8")
    sources = {name: str(demo.data) for name in ("shop", "helpdesk")}
    sources["telemetry"] = str(folder / "landed")
    changed = settings.replace("  cadran_sources: data/demo\n", f"  cadran_sources: {sources}\n")
    assert changed != settings
    (folder / "vars.yml").unlink()
    (folder / "vars.yml").write_text(changed, encoding="utf-8")
    return folder


def served(server):
    """Requests by minute, as the server answers."""
    reply = httpx.get(f"{server.address}/api/v1/query", params=BY_MINUTE, timeout=60)
    assert reply.status_code == 200, reply.text
    return [
        (dt.datetime.fromisoformat(row["metric_time__minute"]), row["request_count"])
        for row in reply.json()["rows"]
    ]


@pytest.fixture(scope="module")
def ran(home):
    """What was acknowledged, landed, built and served, after all that was killed."""
    collector = Process(home, flush=0.2, compact=1.0, settle=2.0)
    senders = [Sender(collector.address, number) for number in range(SENDERS)]
    time.sleep(5)
    collector.stop()  # so that every minute is given to the first build
    collector.start()
    builds = Builds.__new__(Builds)
    builds.home = home
    begun = time.monotonic()
    assert builds.once("--full-refresh") == 0, (home / "build.log").read_text()[-3000:]
    log(f"the first build took {time.monotonic() - begun:.0f} s")
    begun = time.monotonic()
    server = Server(home)
    log(f"the server began in {time.monotonic() - begun:.0f} s")
    builds = Builds(home)
    reader = Reader(server, senders)
    reader.start()
    parts = dict(zip(PARTS, (collector, server, builds), strict=True))
    order = [PARTS[number % len(PARTS)] for number in range(KILLS)]
    luck = random.Random()  # noqa: S311 - no secret
    luck.shuffle(order)
    try:
        for name in order:
            time.sleep(luck.uniform(1, 12))
            log(f"kills the {name}")
            begun = time.monotonic()
            parts[name].kill()
            parts[name].start()
            log(f"the {name} is back after {time.monotonic() - begun:.1f} s")
        for sender in senders:
            sender.end()
    finally:
        reader.end()
        builds.end()
        if collector.process.poll() is None:
            collector.stop()
    time.sleep(2)
    hot = served(server)
    assert builds.once() == 0, (home / "build.log").read_text()[-3000:]
    time.sleep(5)
    taken_over = served(server)
    server.process.terminate()
    server.process.wait(30)
    return SimpleNamespace(
        home=home, senders=senders, reader=reader, builds=builds, order=order, hot=hot,
        served=taken_over,
    )  # fmt: skip


def by_minute(times):
    """How many of these instants, in microseconds, fall into each minute."""
    rows = pa.table({"began": pa.array(times, pa.int64())})
    connection = duckdb.connect()
    connection.register("taken", rows)
    return connection.execute(
        "select date_trunc('minute', make_timestamp(began)), count(*) from taken"
        " group by 1 order by 1"
    ).fetchall()


def test_what_was_acknowledged_is_landed_built_and_served_once_in_its_minute(ran):
    assert [sender.exporter.refused for sender in ran.senders] == [[]] * SENDERS
    right = by_minute([at for sender in ran.senders for at in sender.exporter.taken])
    log(f"{sum(count for _, count in right):,} acknowledged in {len(right)} minutes")
    sums = "select minute_at, sum(request_count)::bigint from {} group by 1 order by 1"
    files = f"'{ran.home}/landed/telemetry/requests/**/*.parquet', union_by_name = true"
    assert duckdb.sql(sums.format(f"read_parquet({files})")).fetchall() == right
    with duckdb.connect(str(ran.home / "warehouse.duckdb"), read_only=True) as built:
        assert built.execute(sums.format("marts.fct_requests_minutely")).fetchall() == right
    assert ran.hot == right
    assert ran.served == right


def test_no_answer_ever_counted_a_request_twice_or_was_an_error(ran):
    assert ran.reader.answers > 10
    assert ran.reader.excess == []
    assert ran.reader.others == []
    assert {ran.order.count(name) for name in PARTS} <= {KILLS // 3, KILLS // 3 + 1}
    assert set(ran.builds.statuses) <= {0, -signal.SIGKILL}

"""`cadran collect` over HTTP: real exporters, what it refuses and how, tokens, crashes."""

from __future__ import annotations

import asyncio
import datetime as dt
import gzip
import os
import random
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

import cramjam
import httpx
import pytest
from google.rpc.status_pb2 import Status
from opentelemetry._logs import SeverityNumber
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind
from telemetry_fixtures import (
    KILLS,
    MILLISECOND,
    Process,
    Senders,
    answered,
    as_json,
    collected,
    collector,
    landed,
    post,
    spans,
)

from cadran.access import tokens
from cadran.errors import ProjectError
from cadran.telemetry import compaction, landing, parts, settings
from cadran.telemetry.landing import FullError, Record, WriteAhead
from cadran.telemetry.records import BOUNDS

ATTRIBUTES = {
    "http.route": "/pay", "http.request.method": "POST", "http.response.status_code": 200,
}  # fmt: skip
LARGE = bytes(cramjam.snappy.compress_raw(bytes(2 << 20)))


@pytest.fixture
def process(tmp_path):
    started = Process(tmp_path)
    yield started
    started.process.kill()
    started.process.wait()


def resource(service):
    return Resource.create({"service.name": service, "service.instance.id": "1"})


def send_spans(address, count, service="pay"):
    provider = TracerProvider(resource=resource(service))
    exporter = OTLPSpanExporter(f"{address}/v1/traces", compression=Compression.Gzip)
    provider.add_span_processor(BatchSpanProcessor(exporter, max_export_batch_size=100))
    tracer = provider.get_tracer("test")
    for _ in range(count):
        start = time.time_ns() - 10 * MILLISECOND
        span = tracer.start_span(
            "POST /pay", kind=SpanKind.SERVER, attributes=ATTRIBUTES, start_time=start
        )
        span.end(start + 5 * MILLISECOND)
    assert provider.force_flush()
    provider.shutdown()


def send_metrics(address, service, temporality):
    kinds = {Counter: temporality, Histogram: temporality}
    exporter = OTLPMetricExporter(f"{address}/v1/metrics", preferred_temporality=kinds)
    bounds = [bound / 1000 for bound in BOUNDS]
    view = View(
        instrument_name="http.server.request.duration",
        aggregation=ExplicitBucketHistogramAggregation(bounds),
    )
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=10_000_000)
    provider = MeterProvider([reader], resource=resource(service), views=[view])
    duration = provider.get_meter("test").create_histogram("http.server.request.duration", unit="s")
    for _ in range(3):
        for seconds in (0.04, 0.25, 7.0):
            duration.record(seconds, ATTRIBUTES)
        assert provider.force_flush()
    provider.shutdown()


def send_logs(address, service):
    provider = LoggerProvider(resource=resource(service))
    provider.add_log_record_processor(
        BatchLogRecordProcessor(OTLPLogExporter(f"{address}/v1/logs"))
    )
    logger = provider.get_logger("test")
    line = (
        f'1.2.3.4 - - [{dt.datetime.now(dt.UTC):%d/%b/%Y:%H:%M:%S} +0000] "GET /l HTTP/1.1" 500 1'
    )
    for body in (line, line, "a word"):
        logger.emit(timestamp=time.time_ns(), body=body, severity_number=SeverityNumber.INFO)
    assert provider.force_flush()
    provider.shutdown()


def test_real_exporters_of_all_signals_are_counted_to_the_last(tmp_path):
    named = [
        {"name": "delta", "requests_from": "metrics"},
        {"name": "total", "requests_from": "metrics"}, {"name": "logger", "requests_from": "logs"},
    ]  # fmt: skip
    process = Process(tmp_path, services=named)
    send_spans(process.address, 250)
    send_metrics(process.address, "delta", AggregationTemporality.DELTA)
    send_metrics(process.address, "total", AggregationTemporality.CUMULATIVE)
    send_logs(process.address, "logger")
    process.stop()
    columns = "request_count, error_5xx_count, le_50_count, le_300_count, gt_5000_count"
    found = landed(process.folder, "requests", f"service_id, route, {columns}")
    totals = {}
    for service, route, *values in found:
        before = totals.get((service, route), [0] * len(values))
        totals[service, route] = [a + (b or 0) for a, b in zip(before, values, strict=True)]
    assert totals == {
        ("pay", "/pay"): [250, 0, 250, 0, 0],
        ("delta", "/pay"): [9, 0, 3, 3, 3],
        ("total", "/pay"): [9, 0, 3, 3, 3],
        ("logger", "/l"): [2, 2, 0, 0, 0],
    }


# What HTTP answers


def test_partial_success_says_how_many_and_why(tmp_path):
    body = spans(1, 2) + spans(3, state="ot=th:c", first=9)
    (response,) = answered(tmp_path, post("/v1/traces", body))
    assert response.status_code == 200
    partial = ExportTraceServiceResponse.FromString(response.content).partial_success
    assert partial.rejected_spans == 1
    assert "sample" in partial.error_message
    (response,) = answered(tmp_path, post("/v1/traces", as_json(spans(5)), "application/json"))
    assert response.json() == {}


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (post("/v1/traces", b"\xff\xff"), 400),
        (post("/v1/traces", b"{", "application/json"), 400),
        (post("/v1/traces", b'{"resourceSpans": 1}', "application/json"), 400),
        (post("/v1/traces", b"no gzip", content_encoding="gzip"), 400),
        (post("/v1/traces", gzip.compress(b"a")[:-4], content_encoding="gzip"), 400),
        (post("/v1/traces", b"", "text/plain"), 415),
        (post("/v1/traces", b"", content_encoding="br"), 415),
        (post("/v1/traces", b"x" * 2_000_000), 413),
        (post("/v1/traces", gzip.compress(bytes(50_000_000)), content_encoding="gzip"), 413),
        (post("/api/v1/write", b"\xff\xff\xff\xff\x0f", content_encoding="snappy"), 413),
        (post("/api/v1/write", b"\x05abc", content_encoding="snappy"), 400),
        (post("/api/v1/write", LARGE, content_encoding="snappy"), 413),
        (post("/api/v1/write", b"", "application/x-protobuf;proto=io.prometheus.write.v2.Request",
              content_encoding="snappy"), 415),
        (post("/v1/events", b'{"type": "party"}', "application/json"), 400),
        (post("/v1/traces", b"", host="evil.example"), 421),
        ({"method": "GET", "url": "/v1/traces"}, 405),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_for_good(tmp_path, request_, status):
    (response,) = answered(tmp_path, request_, limits={"disk": 1, "body": 1})
    assert response.status_code == status, response.text
    assert "retry-after" not in response.headers
    if request_["url"] == "/v1/traces" and status != 405:
        if "json" in response.headers["content-type"]:
            assert response.json()["message"]
        else:
            assert Status.FromString(response.content).message


def test_a_full_memory_and_a_full_disk_ask_to_come_again(tmp_path):
    (full,) = answered(
        tmp_path / "a", post("/v1/traces", spans(*[1] * 999)), limits={"memory": 0.01}
    )
    assert (full.status_code, full.headers["retry-after"]) == (429, "1")
    (full,) = answered(tmp_path / "b", post("/v1/traces", spans(1)), limits={"disk": 1e9})
    assert (full.status_code, full.headers["retry-after"]) == (503, "5")
    assert "less than 1e+09 MB left" in Status.FromString(full.content).message


def test_a_disk_that_refuses_loses_nothing_and_counts_nothing(tmp_path, monkeypatch):
    whole, refuse = os.fdatasync, [True, True]

    def sync(handle):
        if refuse:
            refuse.pop()
            raise OSError(28, "No space left on device")
        whole(handle)

    monkeypatch.setattr(landing.os, "fdatasync", sync)
    requests = [post("/v1/traces", spans(1))] * 3
    responses = answered(tmp_path, *requests)
    assert [response.status_code for response in responses] == [503, 503, 200]
    assert landed(tmp_path, "requests", "request_count") == [(1,)]


def test_headers_have_a_limit(process):
    address = process.address.removeprefix("http://").split(":")
    with socket.create_connection((address[0], int(address[1])), 10) as connection:
        connection.sendall(b"POST /v1/traces HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 100_000)
        assert connection.recv(1000).startswith(b"HTTP/1.1 431")


def test_a_connection_that_says_nothing_is_closed(tmp_path):
    hasty = (
        "import sys; from cadran.cli import main; from cadran.telemetry import collector;"
        " collector._SECONDS = collector._SLACK = 0.2; sys.exit(main(['collect', '--port', '0']))"
    )
    command = [sys.executable, "-c", hasty]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path) as started:
        address = started.stdout.readline().split()[1].removeprefix("http://").split(":")
        with socket.create_connection((address[0], int(address[1])), 10) as silent:
            assert silent.recv(1) == b""
        started.terminate()


def test_only_a_token_for_sending_sends(tmp_path):
    file = tmp_path / "tokens.json"
    sender, _ = tokens.create(file, "ci", scopes=("collect",))
    reader, _ = tokens.create(file, "board")
    often, _ = tokens.create(file, "often", scopes=("collect",), limits=tokens.Limits(per_minute=1))
    bearers = (None, "no", reader, sender, often, often)
    requests = [
        post("/v1/traces", spans(1), **({"authorization": f"Bearer {b}"} if b else {}))
        for b in bearers
    ]
    responses = answered(tmp_path, *requests)
    assert [r.status_code for r in responses] == [401, 401, 403, 200, 200, 429]
    assert responses[0].headers["www-authenticate"].startswith("Bearer")
    assert "--scope collect" in Status.FromString(responses[2].content).message


def test_other_machines_need_tokens_and_tls(tmp_path):
    with pytest.raises(ProjectError, match="could send, and there is no token"):
        collector(tmp_path, host="0.0.0.0")  # noqa: S104 - it is refused
    tokens.create(tmp_path / "tokens.json", "ci", scopes=("collect",))
    with pytest.raises(ProjectError, match="in clear"):
        collector(tmp_path, host="0.0.0.0")  # noqa: S104 - it is refused
    assert not collector(tmp_path, host="0.0.0.0", insecure=True).is_open  # noqa: S104


def test_it_speaks_tls(tmp_path, certificate):
    pem, key = certificate
    process = Process(tmp_path, tls={"certificate": str(pem), "key": str(key)})
    context = ssl.create_default_context(cafile=pem)
    address = process.address.replace("127.0.0.1", "localhost")
    response = httpx.post(f"{address}/v1/traces", verify=context, **{
        k: v for k, v in post("", spans(1)).items() if k in ("content", "headers")
    })  # fmt: skip
    process.stop()
    assert response.status_code == 200


def test_two_collectors_do_not_share_a_folder(tmp_path):
    holder = collector(tmp_path)
    with pytest.raises(ProjectError, match="another collector"):
        collector(tmp_path)
    assert holder.is_open


def test_it_listens_before_what_is_heavy_is_loaded(tmp_path):
    heavy = ("pyarrow", "duckdb", "pandas", "sqlglot", "metricflow", "dbt", "opentelemetry.proto")
    code = (
        "import sys, cadran.cli.app, cadran.cli.collect, cadran.telemetry.collector;"
        f"print([m for m in {heavy} if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, cwd=tmp_path
    )
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("prot: 1", "key 'prot': is unknown; did you mean 'port'."),
        ("limits: {bdy: 1}", "key 'limits.bdy': is unknown; did you mean 'body'."),
        ("checks: [{service: a}]", "'checks.1.': a check has exactly one of http, tcp and tls."),
        ("port: high", "key 'port': is 'high'; it takes a whole number from 0 to 65535."),
        ("flush: 61", "key 'flush': is 61; it takes a number above 0 and at most 60."),
        ("services: [{name: A b}, {name: a-b}]", "services names a_b more than once"),
        ("port: 1\nport: 2", "line 2: the key 'port' stands twice, on line 1 and on line 2."),
        ("[", "is no YAML"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path, text, sentence):
    (tmp_path / settings.FILE).write_text(text)
    with pytest.raises(ProjectError, match=sentence.replace("?", r"\?")):
        settings.read(tmp_path, {})


def test_a_large_body_is_read_beside_those_that_are_small(tmp_path):
    async def both():
        taker = collector(tmp_path)
        app, order = taker.app(), []
        large = as_json(spans(*[1] * 5000))

        async def send(form, body):
            await taker.take(1, form, body, body)
            order.append(form)

        async with app.router.lifespan_context(app):
            await taker.landing.ready.wait()
            await asyncio.gather(send(1, large), send(0, spans(1, first=9000)))
        return order

    assert asyncio.run(both()) == [0, 1]
    assert landed(tmp_path, "requests", "sum(request_count)") == [(5001,)]


def test_what_requests_hold_counts_as_memory_until_they_are_answered(tmp_path):
    async def ask():
        taker = collector(tmp_path, limits={"disk": 1, "memory": 0.01, "body": 0.02})
        transport = httpx.ASGITransport(app=taker.app())
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            packed = post("/v1/traces", gzip.compress(bytes(15_000)), content_encoding="gzip")
            plain = post("/v1/traces", bytes(15_000))
            answers = [await client.request(**request) for request in (packed, plain)]
        return [answer.status_code for answer in answers], taker._held

    assert asyncio.run(ask()) == ([429, 429], 0)


def test_a_file_that_somebody_named_must_exist(tmp_path, certificate):
    tls = {"certificate": certificate[0], "key": tmp_path / "none.key"}
    for flags in ({"tokens": Path("none.json")}, {"tls": tls}):
        with pytest.raises(ProjectError, match=r"names .*none\.\w+, which does not exist"):
            settings.read(tmp_path, flags)
    (tmp_path / "cadran_tokens.json").symlink_to("none.json")
    with pytest.raises(ProjectError, match="tokens of the collector names"):
        settings.read(tmp_path, {})
    assert settings.read(tmp_path, {}, runs=False).folder  # as a server reads it


# Once, and never lost


def test_the_same_body_counts_once_packed_or_not_and_over_a_new_start(tmp_path):
    body = spans(1, 2, 3)
    packed = post("/v1/traces", gzip.compress(body), content_encoding="gzip")
    answered(tmp_path, post("/v1/traces", body), packed)
    answered(tmp_path, post("/v1/traces", body))
    assert landed(tmp_path, "requests", "request_count") == [(3,)]


def test_the_same_body_twice_at_one_moment_counts_once(tmp_path):
    async def both():
        taker = collector(tmp_path)
        app = taker.app()
        body = spans(1, 2)
        async with app.router.lifespan_context(app):
            await asyncio.gather(*(taker.take(1, 0, body, body) for _ in range(5)))

    asyncio.run(both())
    assert landed(tmp_path, "requests", "request_count") == [(2,)]


def test_what_was_answered_before_a_kill_is_there_after_it(tmp_path):
    process = Process(tmp_path, flush=60)  # nothing is landed before the kill
    body = spans(1, 2, 3)
    send = post("", body)
    url = f"{process.address}/v1/traces"
    assert httpx.post(url, content=send["content"], headers=send["headers"]).status_code == 200
    process.kill()
    assert not list((process.folder / "parts").rglob("*.parquet"))
    process.start()
    assert httpx.post(url, content=send["content"], headers=send["headers"]).status_code == 200
    process.stop()
    assert landed(process.folder, "requests", "request_count") == [(3,)]


def test_a_torn_end_of_a_segment_is_left_out(tmp_path):
    log = WriteAhead(tmp_path)
    whole = Record(1, 0, 5, b"h" * 16, b"body")
    log.append("1", [whole, whole])
    log.close()
    path = tmp_path / "1.wal"
    path.write_bytes(path.read_bytes()[:-1])
    assert list(landing.records(path)) == [whole]


def test_parts_written_before_a_crash_are_written_again_and_not_twice(tmp_path, monkeypatch):
    body = spans(1, 2)
    real = landing.write_file

    def fail_on_state(path, write):
        if path.parent.name == "state":
            raise OSError(5, "Input/output error")
        real(path, write)

    monkeypatch.setattr(landing, "write_file", fail_on_state)
    monkeypatch.setattr(landing, "_STOP", 2)
    monkeypatch.setattr(landing, "_RETRY", 0.05)
    collected(tmp_path, body)
    assert list((tmp_path / "parts" / "requests").rglob("[0-9]*.parquet"))
    assert list((tmp_path / "wal").iterdir())
    monkeypatch.undo()
    holder = settings.Settings(folder=tmp_path)
    compaction.compact(holder, "", time.time_ns(), ["shop"], ending=True)
    assert landed(tmp_path, "requests", "request_count") == []  # not committed: not given
    collected(tmp_path, body, spans(9, first=30))
    assert landed(tmp_path, "requests", "request_count") == [(3,)]


def test_a_segment_that_cannot_be_landed_is_set_aside_and_holds_up_nobody(tmp_path, monkeypatch):
    real, refused = parts.write, []

    def refuse_the_first(folder, segment, rows):
        if not refused:
            refused.append(segment)
            raise OverflowError("a value that no column holds")
        real(folder, segment, rows)

    monkeypatch.setattr(parts, "write", refuse_the_first)
    first, second = spans(1), spans(1, 2, first=5)
    collected(tmp_path, first)
    collected(tmp_path, first, second)  # what is set aside is not taken again
    assert landed(tmp_path, "requests", "request_count") == [(2,)]
    (aside,) = (tmp_path / "wal").rglob("*.wal")
    assert aside == tmp_path / "wal" / "aside" / f"{refused[0]}.wal"
    assert [record.body for record in landing.records(aside)] == [first]


def test_what_was_taken_is_landed_after_a_kill_though_the_limits_are_others(tmp_path):
    process = Process(tmp_path, flush=60)
    send = post("", gzip.compress(spans(*[1] * 5000)), content_encoding="gzip")
    url = f"{process.address}/v1/traces"
    assert httpx.post(url, content=send["content"], headers=send["headers"]).status_code == 200
    process.kill()
    (tmp_path / settings.FILE).write_text("{folder: landed, limits: {disk: 1, body: 0.01}}")
    process.start()
    process.stop()
    assert landed(process.folder, "requests", "request_count") == [(5000,)]


def test_killed_at_random_moments_under_load_all_that_was_answered_counts_once(tmp_path):
    process = Process(tmp_path, flush=0.3, compact=0.7)
    senders = Senders(process.address)
    luck = random.Random(7)  # noqa: S311 - no secret
    for _ in range(KILLS):
        time.sleep(luck.uniform(0.5, 2.5))
        process.kill()
        process.start()
    time.sleep(0.5)
    acknowledged = senders.end()
    process.stop()
    assert acknowledged > 20 * KILLS
    assert (
        sum(count for (count,) in landed(process.folder, "requests", "request_count"))
        == acknowledged
    )
    lines = landed(process.folder, "request_lines", "request_id")
    assert (len(lines), len(set(lines))) == (acknowledged, acknowledged)
    assert not list((process.folder / "wal").iterdir())


def test_a_body_that_waits_for_too_much_memory_does_not_hold_the_others(tmp_path):
    taker = collector(tmp_path)
    taker.landing._bytes = 1 << 40
    with pytest.raises(landing.LimitError, match="wait to be landed"):
        taker.landing.check_room(1)
    taker.landing._bytes = 0
    taker.landing.stop()
    with pytest.raises(FullError, match="still to be landed"):
        taker.landing.check_room(1)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("tls"), days=10)


def make_certificate(folder, days):
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    pem, secret = folder / "server.pem", folder / "server.key"
    pem.write_bytes(built.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )  # fmt: skip
    return pem, secret

"""What a collector lands is the contract: it passes the doctor, it builds, it is whole and kept."""

from __future__ import annotations

import datetime as dt
import http.server
import json
import os
import socket
import ssl
import subprocess
import threading
import time

import duckdb
import parsed
import pytest
from telemetry_fixtures import (
    MINUTE,
    Process,
    a_minute_ago,
    answered,
    collected,
    collector,
    landed,
    post,
    spans,
)
from test_collect_server import make_certificate

from cadran.access import tokens
from cadran.doctor import examine
from cadran.telemetry import compaction, parts, uptime
from cadran.telemetry.settings import Check, Settings

DAY = 1440 * MINUTE
EVENTS = [
    {
        "type": "incident", "incident_id": "i-1", "service": "Shop", "severity": "sev2",
        "started_at": "2026-11-24T09:17:00+01:00",
    },
    {
        "type": "deployment", "deployment_id": "d-1", "service": "shop", "is_failed": True,
        "incident_id": "i-1", "deployed_at": "2026-11-24T08:10:00Z",
    },
]  # fmt: skip


def probe(at=None, **given):
    at = at or dt.datetime.now(dt.UTC)
    known = {"type": "probe", "service": "shop", "probed_at": at.isoformat(), "is_up": True}
    return known | given


def event(*events):
    return post("/v1/events", json.dumps(events).encode(), "application/json")


# The contract


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """A folder with every table that a collector lands."""
    folder = tmp_path_factory.mktemp("full")
    services = [{"name": "Shop", "team": "web", "tier": "critical"}]
    requests = [
        post("/v1/traces", spans(10, 400, 6000, at=a_minute_ago() - 70 * MINUTE)),
        post("/v1/traces", spans(10, status=500, service="pay", first=9)),
        event(*EVENTS, probe(response_ms=4)),
    ]
    responses = answered(folder, *requests, services=services)
    assert [response.status_code for response in responses] == [200, 200, 200]
    return folder


def test_the_doctor_finds_nothing_in_what_was_landed(full, project_root):
    report = examine(project_root, sources={"telemetry": str(full)}, domains=["platform"])
    assert [str(finding) for finding in report.findings] == []
    assert report.rows == {
        "telemetry.services": 2, "telemetry.requests": 2, "telemetry.request_lines": 4,
        "telemetry.probes": 1, "telemetry.incidents": 1, "telemetry.deployments": 1,
    }  # fmt: skip


def test_a_build_reads_what_was_landed_and_rejects_nothing(demo, full, tmp_path):
    database = tmp_path / "warehouse.duckdb"
    built = parsed.dbt(
        demo, tmp_path, database, "build",
        "--select", "staging.telemetry", "intermediate.platform", "rejected.platform",
        "marts.platform", "--indirect-selection", "cautious",
        "--exclude-resource-type", "unit_test",
        cadran_sources=str(full), cadran_domains=["platform"],
    )  # fmt: skip
    assert built.success, built.exception or built.result
    with duckdb.connect(str(database), read_only=True) as warehouse:

        def rows(table, columns):
            return warehouse.execute(f"select {columns} from marts.{table} order by all").fetchall()

        assert rows("fct_requests_minutely", "service_id, request_count, fast_request_count") == [
            ("pay", 1, 1),
            ("shop", 3, 1),
        ]
        assert rows("dim_services", "service_id, team") == [("pay", "unassigned"), ("shop", "web")]
        assert rows("fct_probes", "is_up, response_ms") == [(True, 4)]
        assert rows("fct_request_lines", "count(*)") == [(4,)]
        assert rows("fct_deployments", "incident_id") == [("i-1",)]
        rejected = warehouse.execute(
            "select sum(estimated_size) from duckdb_tables() where schema_name = 'rejected'"
        ).fetchone()
        assert rejected == (0,)


# Whole minutes, kept as configured


def test_a_minute_that_still_runs_is_not_given_to_the_build(tmp_path):
    now = time.time_ns()
    collected(tmp_path, spans(1, at=now), spans(1, at=now - 3 * MINUTE, first=5))
    holder = Settings(folder=tmp_path)
    (tmp_path / "telemetry" / "requests").rename(tmp_path / "gone")
    upto = max(path.stem for path in (tmp_path / "state").iterdir())
    compaction.compact(holder, upto, now, ["shop"])
    assert len(landed(tmp_path, "requests")) == 1
    compaction.compact(holder, upto, now + 2 * MINUTE, ["shop"])
    assert len(landed(tmp_path, "requests")) == 2


def test_a_late_row_joins_its_minute(tmp_path):
    at = a_minute_ago() - 30 * MINUTE
    collected(tmp_path, spans(1, at=at))
    collected(tmp_path, spans(1, at=at, first=9))
    assert landed(tmp_path, "requests", "request_count") == [(2,)]
    assert len(landed(tmp_path, "request_lines")) == 2


def test_a_follower_finds_each_part_once_and_a_newcomer_the_whole(tmp_path):
    at = a_minute_ago()
    for number in range(3):
        collected(tmp_path, spans(1, at=at, first=number * 10))
    (hour,) = (tmp_path / "parts" / "requests").glob("date=*/hour=*")
    files, last = parts.current(hour)
    assert [file.name.startswith(parts.WHOLE) for file in files] == [True]
    singles = sorted(file for file in hour.glob("*.parquet") if file not in files)
    assert len([file for file in singles if not file.name.startswith(parts.WHOLE)]) == 3
    assert last == singles[2].stem


def test_parts_go_when_a_whole_file_has_them_and_nobody_follows_any_more(tmp_path):
    at = a_minute_ago()
    for number in range(3):
        collected(tmp_path, spans(1, at=at, first=number * 10))
    before = landed(tmp_path, "requests"), landed(tmp_path, "request_lines")
    for file in (tmp_path / "parts").rglob("*.parquet"):
        os.utime(file, (1, 1))
    for _ in range(2):
        collected(tmp_path)
    assert len(list((tmp_path / "parts" / "requests").rglob("*.parquet"))) == 1
    assert not list((tmp_path / "parts" / "request_lines").rglob("*.parquet"))
    collected(tmp_path, spans(1, at=at, first=90))
    after = landed(tmp_path, "requests"), landed(tmp_path, "request_lines")
    assert (before[0][0][3], after[0][0][3]) == (3, 4)
    assert (len(before[1]), len(after[1])) == (3, 4)


def test_days_that_are_not_kept_go(tmp_path):
    at = a_minute_ago()
    collected(tmp_path, spans(1, at=at - DAY))
    assert len(landed(tmp_path, "request_lines")) == 1
    holder = Settings(folder=tmp_path, keep={"requests": 30, "request_lines": 1, "late": 1})
    compaction.clean(holder, at + 9 * DAY)
    assert not list((tmp_path / "telemetry" / "request_lines").glob("date=*"))
    assert not list((tmp_path / "parts" / "request_lines").glob("date=*"))
    assert len(landed(tmp_path, "requests")) == 1
    compaction.clean(holder, at + 40 * DAY)
    assert not list((tmp_path / "telemetry" / "requests").glob("*date=*"))
    assert not list((tmp_path / "parts" / "requests").glob("*date=*"))


def test_single_requests_are_not_landed_where_they_are_not_wanted(tmp_path):
    collected(tmp_path, spans(1), keep={"request_lines": 0})
    assert landed(tmp_path, "request_lines") == []
    assert len(landed(tmp_path, "requests")) == 1


def test_the_state_is_merged_and_goes_on(tmp_path):
    for number in range(3):
        collected(tmp_path, spans(1, first=number * 10))
    taker = collector(tmp_path)
    taker.landing._merge_states()
    assert [path.name.endswith("-whole.json") for path in (tmp_path / "state").iterdir()] == [True]
    os.close(taker.landing._lock)
    again = [spans(1, first=number * 10) for number in range(3)]
    collected(tmp_path, *again)
    assert sum(count for (count,) in landed(tmp_path, "requests", "request_count")) == 3


# Events


def test_an_incident_that_is_told_again_is_the_same_one(tmp_path):
    more = EVENTS[0] | {"restored_at": "2026-11-24T10:00:00Z", "severity": "sev1"}
    answered(tmp_path, event(EVENTS[0]))
    del more["started_at"]
    answered(tmp_path, event(more))
    columns = "incident_id, service_id, severity, started_at, restored_at"
    times = dt.datetime(2026, 11, 24, 8, 17), dt.datetime(2026, 11, 24, 10)  # noqa: DTZ001
    assert landed(tmp_path, "incidents", columns) == [("i-1", "shop", "sev1", *times)]


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ([EVENTS[1] | {"deployed_at": "2026-11-24T08:10:00"}], "deployed_at"),
        ([EVENTS[0] | {"severity": "bad"}], "severity"),
        ([EVENTS[0] | {"colour": "red"}], "colour"),
        ([], "at least 1"),
        ("no", "body"),
    ],
)
def test_an_event_that_says_too_little_or_too_much_is_refused_whole(tmp_path, body, sentence):
    (response,) = answered(tmp_path, post("/v1/events", json.dumps(body), "application/json"))
    assert response.status_code == 400
    assert sentence in response.json()["detail"]
    assert landed(tmp_path, "incidents") == []


# Logs


def test_a_log_is_followed_over_rotation_and_kill_with_each_line_once(tmp_path):
    log = tmp_path / "access.log"

    def write(path, first, last):
        at = dt.datetime.now(dt.UTC)
        with path.open("a") as stream:
            for number in range(first, last):
                stream.write(
                    f'1.2.3.4 - - [{at:%d/%b/%Y:%H:%M:%S} +0000] "GET /l{number} HTTP/1.1" 200 1\n'
                )

    process = Process(tmp_path, logs=[{"path": str(log), "service": "web"}], flush=0.2)
    write(log, 0, 50)
    process.wait_for("requests", 50)
    process.kill()
    write(log, 50, 60)
    process.start()
    process.wait_for("requests", 10)
    with log.open("a") as stream:
        stream.write("garbage\n")
    write(log, 60, 65)
    log.rename(tmp_path / "access.log.1")
    write(log, 70, 80)
    process.wait_for("requests", 25)
    reasons = process.status()["reasons"]
    process.kill()
    write(log, 80, 82)
    log.rename(tmp_path / "access.log.2")  # rotated while nobody reads
    write(log, 90, 93)
    process.start()
    process.wait_for("requests", 5)
    process.stop()
    assert any("is no line of an access log" in reason for reason in reasons)
    found = landed(process.folder, "requests", "route, request_count")
    assert sorted(found) == sorted(
        (f"/l{n}", 1) for n in [*range(65), *range(70, 82), *range(90, 93)]
    )


# Uptime


@pytest.fixture
def site():
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path == "/up" else 503)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()


def test_a_check_over_http_and_tcp_says_up_or_down(site):
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        closed = one.getsockname()[1]
        checks = {
            True: [{"http": f"http://{site}/up"}, {"tcp": site}],
            False: [{"http": f"http://{site}/down"}, {"tcp": f"127.0.0.1:{closed}"}],
        }
        for is_up, given in checks.items():
            for check in given:
                result = uptime.run(Check(service="shop", timeout=5, **check))
                assert result["is_up"] is is_up, check
                assert (result["response_ms"] is not None) is is_up


@pytest.mark.parametrize(("days", "is_up"), [(0, True), (9, True), (11, False)])
def test_a_certificate_is_checked_for_the_days_it_goes_on(tmp_path, monkeypatch, days, is_up):
    pem, key = make_certificate(tmp_path, days=10)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, key)
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            with context.wrap_socket(server.accept()[0], server_side=True) as connection:
                connection.recv(1)

        thread = threading.Thread(target=serve)
        thread.start()
        port = server.getsockname()[1]
        check = Check(service="shop", tls=f"localhost:{port}", days=days)
        assert uptime.run(check)["is_up"] is is_up
        thread.join()


def test_checks_run_at_their_rhythm_and_land_as_probes(tmp_path, site):
    check = {"service": "Shop", "http": f"http://{site}/up", "every": 1, "region": "here"}
    process = Process(tmp_path, checks=[check])
    process.wait_for("probes", 2)
    process.stop()
    found = landed(process.folder, "probes", "service_id, region, is_up, probed_at")
    assert {row[:3] for row in found} == {("shop", "here", True)}
    assert (found[1][3] - found[0][3]).total_seconds() == pytest.approx(1, abs=0.7)


def test_results_that_are_posted_are_probes_too(tmp_path):
    at = dt.datetime.now(dt.UTC)
    old = probe(at - dt.timedelta(days=9), region="old")
    (response,) = answered(tmp_path, event(probe(at, is_up=False), old))
    assert response.json()["rejected"] == 1
    assert landed(tmp_path, "probes", "region, is_up, response_ms") == [("local", False, None)]


# A real Prometheus


def test_a_real_prometheus_writes_what_it_scraped(tmp_path, prometheus, metrics_page):
    mapping = {"name": "web_requests_seconds", "route": "handler", "status": "code"}
    process = Process(tmp_path, metrics=[mapping], requests_from="metrics")
    (tmp_path / "prometheus.yml").write_text(
        json.dumps(
            {
                "global": {"scrape_interval": "1s"},
                "scrape_configs": [
                    {"job_name": "web", "static_configs": [{"targets": [metrics_page.address]}]}
                ],
                "remote_write": [
                    {"url": f"{process.address}/api/v1/write",
                     "queue_config": {"batch_send_deadline": "500ms"}}
                ],
            }
        )
    )  # fmt: skip
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    command = [
        prometheus, f"--config.file={tmp_path / 'prometheus.yml'}",
        f"--storage.tsdb.path={tmp_path / 'tsdb'}", f"--web.listen-address=127.0.0.1:{port}",
    ]  # fmt: skip
    with (tmp_path / "prometheus.log").open("w") as log:
        running = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            until = time.monotonic() + 60
            while metrics_page.scrapes < 3:
                assert time.monotonic() < until, (tmp_path / "prometheus.log").read_text()[-2000:]
                time.sleep(0.1)
            metrics_page.count(7)
            process.wait_for("requests", 7)
            process.kill()
            metrics_page.count(5)
            process.start()
            process.wait_for("requests", 5)
        finally:
            running.terminate()
            running.wait()
    process.stop()
    columns = "service_id, route, request_count, error_5xx_count, le_50_count, le_100_count"
    found = landed(process.folder, "requests", columns)
    assert {row[:2] for row in found} == {("web", "/x")}
    assert [sum(row[n] for row in found) for n in (2, 3, 4, 5)] == [12, 12, 0, 12]


@pytest.fixture
def prometheus(tool):
    return tool("prometheus")


@pytest.fixture
def metrics_page():
    class Page(http.server.BaseHTTPRequestHandler):
        total = scrapes = 0

        def do_GET(self):
            type(self).scrapes += 1
            labels, total = 'handler="/x",code="500"', type(self).total
            bounds = ("0.05", "0.1", "0.2", "0.3", "0.5", "1", "2.5", "5", "+Inf")
            lines = ["# TYPE web_requests_seconds histogram"]
            for bound in bounds:
                value = 0 if bound == "0.05" else total
                lines.append(f'web_requests_seconds_bucket{{{labels},le="{bound}"}} {value}')
            lines.append(f"web_requests_seconds_sum{{{labels}}} {total * 0.07}")
            lines.append(f"web_requests_seconds_count{{{labels}}} {total}")
            content = ("\n".join(lines) + "\n").encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(content)

        @classmethod
        def count(cls, more):
            cls.total += more

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    Page.address = f"127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Page
    server.shutdown()


def test_the_status_page_asks_for_a_token_where_there_are_any(tmp_path):
    secret, _ = tokens.create(tmp_path / "tokens.json", "ci", scopes=("collect",))
    page = {"method": "GET", "url": "/v1/status"}
    bearer = {"headers": {"authorization": f"Bearer {secret}"}}
    without, with_token = answered(tmp_path, page, page | bearer)
    assert (without.status_code, with_token.status_code) == (401, 200)

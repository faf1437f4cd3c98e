"""Access logs become the request contract: counted once, in UTC, with nothing lost."""

from __future__ import annotations

import gzip

import duckdb
import pytest

from cadran.telemetry.access_log import LogError, ingest
from cadran.telemetry.tables import OccupiedError

START = "1.2.3.4 - - [17/May/2015:00:30:03 +0200]"


def line(request="GET /a HTTP/1.1", status=200, tail=' "-" "agent"', start=START):
    return f'{start} "{request}" {status} 512{tail}'


@pytest.fixture
def write(tmp_path):
    def write_log(*lines, name="access.log"):
        file = tmp_path / name
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return file

    return write_log


@pytest.fixture
def out(tmp_path):
    return tmp_path / "data"


def rows(out, table, columns="*"):
    return duckdb.sql(f"select {columns} from '{out}/telemetry/{table}/**/*.parquet'").fetchall()


def counts(out):
    return dict(rows(out, "requests", "route, request_count"))


def test_a_minute_has_one_row_for_each_route_in_utc(write, out):
    log = write(line(), line(status=503), line("GET /b HTTP/1.1", 404))
    ingest([log], service="Web Site", out=out)
    columns = "route, cast(minute_at as varchar), request_count, error_5xx_count, error_4xx_count"
    assert sorted(rows(out, "requests", columns)) == [
        ("/a", "2015-05-16 22:30:00", 2, 1, 0),
        ("/b", "2015-05-16 22:30:00", 1, 0, 1),
    ]
    assert rows(out, "services", "service_id, service_name, tier") == [
        ("web_site", "Web Site", "standard")
    ]


def test_the_same_log_twice_or_compressed_or_under_another_name_counts_once(write, out, tmp_path):
    log = write(line(), line())
    ingest([log, log], service="site", out=out)
    packed = tmp_path / "access.log.1.gz"
    packed.write_bytes(gzip.compress(log.read_bytes()))
    again = ingest([packed], service="site", out=out)
    assert again.files[0].was_known
    assert counts(out) == {"/a": 2}


def test_a_log_that_grew_replaces_what_was_read_of_it(write, out):
    log = write(line(), "no log line")
    ingest([log], service="site", out=out)
    with log.open("a", encoding="utf-8") as stream:
        stream.write(line() + "\n")
    ingest([log], service="site", out=out)
    assert counts(out) == {"/a": 2}
    assert len(rows(out, "unparsed")) == 1


def test_two_logs_that_share_a_minute_share_its_row(write, out):
    first, second = write(line()), write(line(tail=""), name="other.log")
    ingest([first, second], service="site", out=out)
    assert rows(out, "requests", "route, request_count") == [("/a", 2)]


def test_lines_that_cannot_be_read_are_kept_with_their_number_and_reason(write, out):
    log = write(
        line(), "garbage", line(start="1.2.3.4 - - [99/May/2015:00:30:03 +0200]"), line(status=999)
    )
    summary = ingest([log], service="site", out=out)
    assert (summary.requests, summary.unparsed) == (1, 3)
    assert sorted(rows(out, "unparsed", "file, line_number, reason")) == [
        ("access.log", 2, "no line of an access log"),
        ("access.log", 3, "the time cannot be read"),
        ("access.log", 4, "there is no such status"),
    ]


@pytest.mark.parametrize(
    ("request_line", "route"),
    [
        ("GET /a/7?b=c HTTP/1.1", "/a/{id}"),
        ("GET /a/7/8/x9 HTTP/2.0", "/a/{id}/{id}/x9"),
        ("GET /u/5f3c1f4e-aaaa-bbbb-cccc-1234567890ab HTTP/1.1", "/u/{id}"),
        ("GET http://example.com/x HTTP/1.1", "/x"),
        ('GET /say "hi" HTTP/1.1', '/say "hi"'),
        (r"\x16\x03\x01", "(malformed)"),
        ("-", "(malformed)"),
        ("GET /", "/"),
    ],
)
def test_a_route_is_the_path_without_identifiers(write, out, request_line, route):
    ingest([write(line(request_line))], service="site", out=out)
    assert counts(out) == {route: 1}


def test_a_line_cut_off_in_its_user_agent_still_counts(write, out):
    summary = ingest([write(line(tail=' "-" "Mozilla/5.0 (compat'))], service="site", out=out)
    assert (summary.requests, summary.unparsed) == (1, 0)


def test_bytes_that_are_no_utf8_do_not_lose_the_log(out, tmp_path):
    log = tmp_path / "access.log"
    log.write_bytes(line(tail=' "-" "\N{EURO SIGN}"').encode() + b"\r\n" + b"\xff\x80\0\n")
    summary = ingest([log], service="site", out=out)
    assert (summary.requests, summary.unparsed) == (1, 1)


def test_durations_fill_the_buckets_by_their_upper_bound(write, out):
    times = ["0.050", "0.051", "5.000", "5.001"]
    ingest([write(*(line(tail=f' "-" "a" {time}') for time in times))], service="s", out=out)
    columns = "le_50_count, le_100_count, le_200_count, le_5000_count, gt_5000_count, request_count"
    assert rows(out, "requests", columns) == [(1, 1, 0, 1, 1, 4)]


def test_without_every_duration_the_buckets_are_empty(write, out):
    ingest([write(line(tail=' "-" "a" 0.050'), line())], service="site", out=out)
    assert rows(out, "requests", "le_50_count, gt_5000_count") == [(None, None)]


def test_beyond_two_hundred_routes_the_rest_is_other(write, out):
    ingest([write(*(line(f"GET /r/x{n} HTTP/1.1") for n in range(250)))], service="s", out=out)
    found = counts(out)
    assert len(found) == 201
    assert found["other"] == 50
    assert sum(found.values()) == 250


def test_lines_add_up_to_the_counters(write, out):
    ingest([write(*(line(f"GET /{n % 3} HTTP/1.1") for n in range(30)))], service="s", out=out)
    lines = duckdb.sql(f"""
        select route, date_trunc('minute', received_at), count(*)
        from '{out}/telemetry/request_lines/*.parquet' group by all
    """).fetchall()
    assert sorted(lines) == sorted(rows(out, "requests", "route, minute_at, request_count"))


def test_a_project_gets_its_other_telemetry_tables_empty(write, out, project):
    ingest([write(line())], service="site", out=out, project_dir=project)
    for table in ("probes", "incidents", "deployments"):
        file = out / "telemetry" / f"{table}.parquet"
        assert duckdb.sql(f"from '{file}'").fetchall() == []


def test_demo_data_and_foreign_tables_are_not_written_over(write, out):
    (out / "telemetry").mkdir(parents=True)
    (out / "telemetry" / "requests.parquet").touch()
    with pytest.raises(OccupiedError, match="--out"):
        ingest([write(line())], service="site", out=out)


def test_a_file_that_is_not_there_is_named(out, tmp_path):
    with pytest.raises(LogError, match=r"nothing\.log"):
        ingest([tmp_path / "nothing.log"], service="site", out=out)


@pytest.fixture
def project(request):
    return request.config.rootpath

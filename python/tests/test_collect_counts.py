"""What a collector counts of traces, metrics, logs and remote-write: each request once."""

from __future__ import annotations

import datetime as dt

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from remote_pb2.remote_pb2 import WriteRequest
from telemetry_fixtures import (
    MILLISECOND,
    MINUTE,
    a_minute_ago,
    as_json,
    collected,
    histogram,
    landed,
    measured,
    spans,
)

from cadran.telemetry import lines as line_by_line
from cadran.telemetry.access_log import ingest
from cadran.telemetry.collector import LOGS, REMOTE_WRITE
from cadran.telemetry.records import BOUNDS, Rules, at_most
from cadran.telemetry.settings import Settings

COUNTS = "request_count, error_5xx_count, timeout_count, error_4xx_count"
BUCKETS = ", ".join([*(f"le_{bound}_count" for bound in BOUNDS), "gt_5000_count"])
CONTRACT = [bound / 1000 for bound in BOUNDS]
OTEL = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10]


def counts(folder):
    return landed(folder, "requests", f"service_id, route, {COUNTS}")


def test_server_spans_fill_the_buckets_by_their_upper_bound(tmp_path):
    body = spans(50, 50.001, 100, 200, 300, 500, 1000, 2500, 5000, 5000.001)
    collected(tmp_path, body)
    assert counts(tmp_path) == [("shop", "/a", 10, 0, 0, 0)]
    assert landed(tmp_path, "requests", BUCKETS) == [(1, 2, 1, 1, 1, 1, 1, 1, 1)]


def test_a_line_lies_in_the_bucket_that_it_was_counted_in(tmp_path):
    collected(tmp_path, spans(50, 50.001, 0))
    assert landed(tmp_path, "request_lines", "duration_ms") == [(0,), (50,), (51,)]


@pytest.mark.parametrize(
    ("status", "expected"), [(200, (0, 0, 0)), (404, (0, 0, 1)), (500, (1, 0, 0)), (504, (1, 0, 0))]
)
def test_a_status_says_what_became_of_a_request(tmp_path, status, expected):
    collected(tmp_path, spans(1, status=status))
    assert counts(tmp_path) == [("shop", "/a", 1, *expected)]


def test_a_client_span_is_no_request(tmp_path):
    assert collected(tmp_path, spans(1, kind=3))[0].ignored == 1
    assert counts(tmp_path) == []


def test_minutes_that_came_in_pieces_are_one_row(tmp_path):
    at = a_minute_ago()
    collected(tmp_path, spans(1, at=at), spans(1, 1, at=at, first=7), flush=0.001)
    collected(tmp_path, spans(1, at=at, first=20))
    assert counts(tmp_path) == [("shop", "/a", 4, 0, 0, 0)]


def test_json_counts_as_protobuf_does(tmp_path):
    body = spans(10, 20, 700)
    collected(tmp_path / "json", as_json(body), form=1)
    collected(tmp_path / "protobuf", body)
    for table in ("requests", "request_lines"):
        assert landed(tmp_path / "json", table) == landed(tmp_path / "protobuf", table)
    assert len(landed(tmp_path / "json", "request_lines")) == 3


def test_a_sample_of_traces_is_refused_by_name(tmp_path):
    (batch,) = collected(tmp_path, spans(1, 2, state="ot=th:e66"))
    assert batch.rejected == 2
    assert "spans of shop are a sample" in batch.message
    assert "sampled: weigh" in batch.message
    assert counts(tmp_path) == []


def test_a_weighed_span_counts_for_those_it_stands_for_and_is_no_line(tmp_path):
    (batch,) = collected(tmp_path, spans(1, 2, state="x=1,ot=rv:ab;th:c"), sampled="weigh")
    assert "each is 4 requests" in batch.message
    assert batch.rejected == 0
    assert counts(tmp_path) == [("shop", "/a", 8, 0, 0, 0)]
    assert landed(tmp_path, "request_lines") == []


@pytest.mark.parametrize("state", ["th:4", "th:ffffffffffffff", "p:62"])  # 3 of 4 are kept
def test_a_weight_that_is_no_whole_number_is_refused(tmp_path, state):
    (batch,) = collected(tmp_path, spans(1, state=f"ot={state}"), sampled="weigh")
    assert batch.rejected == 1
    assert "no whole number" in batch.message


def test_sampling_that_only_the_settings_know_of_is_refused_too(tmp_path):
    (batch,) = collected(tmp_path, spans(1), services=[{"name": "Shop", "sampling": 0.1}])
    assert "1 in 10" in batch.message
    assert counts(tmp_path) == []


def test_traces_of_a_service_that_counts_from_metrics_do_not_count_twice(tmp_path):
    given = {"services": [{"name": "shop", "requests_from": "metrics"}]}
    (batch,) = collected(tmp_path, spans(1, 1), **given)
    assert batch.rejected == 2
    assert "would count twice" in batch.message
    start = a_minute_ago()
    measured(tmp_path, histogram([3], bounds=[], start=start, at=start + 1), **given)
    assert counts(tmp_path) == [("shop", "/a", 3, 0, 0, 0)]


def test_an_event_of_last_week_is_refused_and_of_yesterday_is_taken(tmp_path):
    at = a_minute_ago()
    old, late = spans(1, at=at - 8 * 1440 * MINUTE), spans(1, at=at - 1440 * MINUTE)
    batches = collected(tmp_path, old, late)
    assert [batch.rejected for batch in batches] == [1, 0]
    assert len(counts(tmp_path)) == 1


def test_beyond_two_hundred_routes_the_rest_is_other(tmp_path):
    collected(tmp_path, *(spans(1, route=f"/r{number}") for number in range(203)))
    found = {route: count for _, route, count, *_ in counts(tmp_path)}
    assert len(found) == 201
    assert found["other"] == 3


# Metrics


def test_a_cumulative_histogram_counts_what_came_since(tmp_path):
    start = a_minute_ago()
    at = [start + MINUTE * step // 10 for step in (1, 2, 3)]
    more = [[1, 0, 0, 0, 0, 0, 0, 0, 0], [2, 1, 0, 0, 0, 0, 0, 0, 1], [2, 1, 0, 0, 3, 0, 0, 0, 1]]
    measured(
        tmp_path,
        *(histogram(b, bounds=CONTRACT, start=start, at=t) for b, t in zip(more, at, strict=True)),
    )
    assert landed(tmp_path, "requests", f"request_count, {BUCKETS}") == [
        (7, 2, 1, 0, 0, 3, 0, 0, 0, 1)
    ]


def test_a_series_goes_on_where_it_was_when_the_collector_starts_again(tmp_path):
    start = a_minute_ago()
    for number in (5, 9):
        body = histogram([number], bounds=[], start=start, at=start + number)
        measured(tmp_path, body)
    assert counts(tmp_path) == [("shop", "/a", 9, 0, 0, 0)]


def test_a_process_that_began_anew_counts_from_nothing(tmp_path):
    start = a_minute_ago()
    first = histogram([10], bounds=[], start=start, at=start + 10)
    second = histogram([4], bounds=[], start=start + 20, at=start + 30)  # its start moved
    third = histogram([1], bounds=[], start=start + 20, at=start + 40)  # its value fell
    measured(tmp_path, first, second, third)
    assert counts(tmp_path) == [("shop", "/a", 15, 0, 0, 0)]


def test_a_series_that_began_long_ago_counts_from_its_first_point_on(tmp_path):
    at = a_minute_ago()
    bodies = [histogram([n], bounds=[], start=at - 9 * MINUTE, at=at + n) for n in (100, 103)]
    measured(tmp_path, *bodies)
    assert counts(tmp_path) == [("shop", "/a", 3, 0, 0, 0)]


def test_two_processes_on_one_series_are_refused_by_name(tmp_path):
    start = a_minute_ago()
    bodies = [
        histogram([n], bounds=[], start=start + begun, at=start + n)
        for n, begun in ((5, 1), (6, 2), (7, 1))
    ]
    batches = measured(tmp_path, *bodies)
    assert [batch.rejected for batch in batches] == [0, 0, 1]
    assert "service.instance.id" in batches[2].message


def test_a_point_that_comes_again_in_another_body_adds_nothing(tmp_path):
    start = a_minute_ago()
    first = histogram([5], bounds=[], start=start, at=start + 9)
    measured(tmp_path, first, first + histogram([5], bounds=[], start=start, at=start + 9))
    assert counts(tmp_path) == [("shop", "/a", 5, 0, 0, 0)]


def test_a_delta_histogram_adds_each_point(tmp_path):
    start = a_minute_ago()
    bodies = [
        histogram([3], bounds=[], start=start + n, at=start + n + 1, cumulative=False)
        for n in range(2)
    ]
    measured(tmp_path, *bodies)
    assert counts(tmp_path) == [("shop", "/a", 6, 0, 0, 0)]


def test_what_lies_between_the_bounds_of_an_sdk_is_counted_without_latency_and_said(tmp_path):
    start = a_minute_ago()
    buckets = [0] * 15
    buckets[6] = 2  # of 100 to 250 ms: nobody knows how many of them took 200 ms or less
    (batch,) = measured(tmp_path, histogram(buckets, bounds=OTEL, start=start, at=start + 1))
    assert "no buckets at 0.05, 0.1, 0.2" in batch.message
    assert batch.rejected == 0
    assert landed(tmp_path, "requests", f"request_count, {BUCKETS}") == [(2, *[None] * 9)]


def test_the_bounds_of_an_sdk_are_good_enough_where_no_request_lies_between(tmp_path):
    start = a_minute_ago()
    buckets = [0] * 15
    buckets[0], buckets[7], buckets[14] = 4, 1, 1
    body = histogram(buckets, bounds=OTEL, start=start, at=start + 1)
    (batch,) = measured(tmp_path, body)
    assert batch.rejected == 0
    # 250 to 500 ms may be over or under 300 ms: so it is known of none.
    assert landed(tmp_path, "requests", BUCKETS) == [tuple([None] * 9)]
    buckets[7] = 0
    measured(tmp_path / "b", histogram(buckets, bounds=OTEL, start=start, at=start + 1))
    assert landed(tmp_path / "b", "requests", BUCKETS) == [(4, 0, 0, 0, 0, 0, 0, 0, 1)]


@pytest.mark.parametrize(
    ("bounds", "buckets", "expected"),
    [
        (BOUNDS, (1,) * 9, [1, 2, 3, 4, 5, 6, 7, 8]),
        ((50,), (3, 0), [3] * 8),
        ((50,), (3, 1), None),
        ((), (0,), [0] * 8),
        ((49, 5000), (1, 0, 7), [1] * 8),
        ((49, 5000), (1, 1, 7), None),
        ((10_000,), (1, 0), None),
    ],
)
def test_a_bound_inside_a_bucket_is_known_only_where_the_bucket_is_empty(bounds, buckets, expected):
    assert at_most(bounds, buckets) == expected


def test_one_point_without_latency_leaves_its_minute_without(tmp_path):
    start = a_minute_ago()
    known = histogram([1] * 9, bounds=CONTRACT, start=start, at=start + 1)
    unknown = histogram([1], bounds=[], start=start, at=start + 2)
    measured(tmp_path, known, unknown)
    assert landed(tmp_path, "requests", f"request_count, {BUCKETS}") == [(10, *[None] * 9)]


def test_an_exponential_histogram_is_counted_without_latency_and_said(tmp_path):
    start = a_minute_ago()
    export = ExportMetricsServiceRequest()
    metric = (
        export.resource_metrics.add()
        .scope_metrics.add()
        .metrics.add(name="http.server.request.duration", unit="s")
    )
    metric.exponential_histogram.aggregation_temporality = 2
    metric.exponential_histogram.data_points.add(
        start_time_unix_nano=start, time_unix_nano=start + 1, count=4, zero_count=4
    )
    (batch,) = measured(tmp_path, export.SerializeToString())
    assert "exponential histogram" in batch.message
    expected = [("unknown_service", 4, None)]
    assert landed(tmp_path, "requests", "service_id, request_count, le_50_count") == expected


def test_a_gauge_is_no_count(tmp_path):
    export = ExportMetricsServiceRequest()
    metric = export.resource_metrics.add().scope_metrics.add().metrics.add(name="requests")
    metric.gauge.data_points.add(time_unix_nano=a_minute_ago(), as_int=4)
    (batch,) = measured(tmp_path, export.SerializeToString(), metrics=[{"name": "requests"}])
    assert (batch.rejected, "requests is a gauge" in batch.message) == (1, True)


HITS = {"name": "hits", "service": "app", "route": "path", "status": "code"}


def hits(value):
    start = a_minute_ago()
    export = ExportMetricsServiceRequest()
    metric = export.resource_metrics.add().scope_metrics.add().metrics.add(name="hits")
    metric.sum.is_monotonic, metric.sum.aggregation_temporality = True, 1
    point = metric.sum.data_points.add(
        start_time_unix_nano=start, time_unix_nano=start + 1, as_double=value
    )
    for key, text in (("app", "Web Site"), ("path", "/x"), ("code", "503")):
        point.attributes.add(key=key).value.string_value = text
    return export.SerializeToString()


def test_a_counter_that_a_mapping_names_counts_without_latency(tmp_path):
    measured(tmp_path, hits(3.0), metrics=[HITS])
    assert counts(tmp_path) == [("web_site", "/x", 3, 3, 0, 0)]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300, 2.0**63, 2.0**31, -1.0])
def test_what_no_counter_counts_is_refused_and_holds_up_no_other(tmp_path, value):
    bad, good = measured(tmp_path, hits(value), hits(3.0), metrics=[HITS])
    assert (bad.rejected, good.rejected) == (1, 0)
    assert counts(tmp_path) == [("web_site", "/x", 3, 3, 0, 0)]


def test_a_histogram_of_more_than_a_minute_can_have_is_refused_and_holds_up_no_other(tmp_path):
    point = {"bounds": CONTRACT, "start": a_minute_ago(), "at": a_minute_ago() + 1}
    large = histogram([1 << 63, *[0] * 8], cumulative=False, **point)
    bad, good = measured(tmp_path, large, histogram([2, *[0] * 8], cumulative=False, **point))
    assert (bad.rejected, good.rejected) == (1, 0)
    assert counts(tmp_path) == [("shop", "/a", 2, 0, 0, 0)]


# Logs


def log_records(*records):
    export = ExportLogsServiceRequest()
    resource = export.resource_logs.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "web"
    scope = resource.scope_logs.add()
    for body, attributes in records:
        record = scope.log_records.add(time_unix_nano=a_minute_ago())
        record.body.string_value = body
        for key, value in attributes.items():
            record.attributes.add(key=key).value.string_value = str(value)
    return export.SerializeToString()


def test_access_log_shaped_records_are_requests_and_others_are_not(tmp_path):
    at = dt.datetime.now(dt.UTC) - dt.timedelta(minutes=2)
    line = f'1.2.3.4 - - [{at:%d/%b/%Y:%H:%M:%S} +0000] "GET /o/7?x=1 HTTP/1.1" 503 1'
    said = {"http.response.status_code": 404, "url.path": "/o/8", "http.request.method": "GET"}
    body = log_records((line, {}), ("", said), ("started", {}))
    (batch,) = collected(tmp_path, body, kind=LOGS, requests_from="logs")
    assert batch.ignored == 1
    rows = landed(tmp_path, "request_lines", "route, status, method")
    assert rows == [("/o/{id}", 404, "GET"), ("/o/{id}", 503, "GET")]


def test_lines_read_as_they_come_and_whole_logs_read_alike(tmp_path):
    lines = [
        '1.2.3.4 - - [17/May/2015:00:30:03 +0200] "GET /a/7?b=c HTTP/1.1" 200 5 "-" "x" 0.0505',
        '1.2.3.4 - - [17/May/2015:00:30:03 +0200] "GET /u/5f3c1f4eaaaabbbb HTTP/2.0" 404 -',
        '1.2.3.4 - - [17/May/2015:00:30:03 +0200] "GET http://h/x HTTP/1.1" 499 5',
        '1.2.3.4 - - [17/May/2015:00:30:03 +0200] "GET /say "hi" HTTP/1.1" 200 5 "-" "Moz',
        r'1.2.3.4 - - [17/May/2015:00:30:03 +0200] "\x16\x03" 400 5 "-" "-"',
        '1.2.3.4 - - [99/May/2015:00:30:03 +0200] "GET / HTTP/1.1" 200 5',
        '1.2.3.4 - - [17/May/2015:00:30:03 +0200] "GET / HTTP/1.1" 999 5',
        '1.2.3.4 - - [17/May/2015:00:30:03 +0200] "post / HTTP/1.1" 200 5',
        f'1.2.3.4 - - [17/May/2015:00:30:03 +0200] "GET / HTTP/1.1" 200 5 "-" "x" {"9" * 40}.5',
        "garbage",
    ]
    log = tmp_path / "access.log"
    log.write_text("\n".join(lines) + "\n")
    ingest([log], service="web", out=tmp_path / "whole")
    found = [line_by_line.request("web", line, str(n)) for n, line in enumerate(lines)]
    assert sorted(
        (r.route, r.method, r.status, None if r.duration is None else r.duration // MILLISECOND)
        for r in found if r
    ) == sorted(
        landed(tmp_path / "whole", "request_lines", "route, method, status, duration_ms"),
    )  # fmt: skip


# Remote-write


def scrape(at, **series):
    """A body of remote-write: values by `name` or `name{a=b,...}` without quotes."""
    request = WriteRequest()
    for text, value in series.items():
        name, _, labels = text.partition("{")
        pairs = dict(pair.split("=") for pair in labels.rstrip("}").split(",") if pair)
        one = request.timeseries.add()
        for key, label in {"__name__": name, "job": "shop", "instance": "a:1", **pairs}.items():
            one.labels.add(name=key, value=label)
        one.samples.add(value=value, timestamp=at // MILLISECOND)
    return request.SerializeToString()


def written(folder, *bodies):
    given = {
        "requests_from": "metrics",
        "metrics": [
            {"name": "http_seconds", "route": "handler", "status": "code"},
            {"name": "http_total", "route": "handler", "status": "code"},
        ],
    }
    return collected(folder, *bodies, kind=REMOTE_WRITE, **given)


def test_a_prometheus_counter_counts_from_its_second_scrape_on(tmp_path):
    at = a_minute_ago() + 1
    ok, bad = "http_total{handler=/a,code=200}", "http_total{handler=/a,code=5xx}"
    written(
        tmp_path,
        scrape(at, **{ok: 100, "up": 1}),
        scrape(at + 15 * 10**9, **{ok: 110, bad: 2}),  # the first error makes its series
        scrape(at + 30 * 10**9, **{ok: 3, bad: 2}),  # the process began anew
    )
    assert counts(tmp_path) == [("shop", "/a", 15, 2, 0, 0)]


def test_the_series_of_a_classic_histogram_find_together_however_they_are_cut(tmp_path):
    at = a_minute_ago() + 1
    labels = "handler=/a,code=200"

    def series(*cumulative):
        bounds = [*CONTRACT, "+Inf"]
        buckets = {
            f"http_seconds_bucket{{{labels},le={bound}}}": value
            for bound, value in zip(bounds, cumulative, strict=True)
        }
        return buckets | {f"http_seconds_count{{{labels}}}": cumulative[-1]}

    before, after = series(*[5] * 9), series(6, 7, 8, 9, 10, 11, 12, 13, 15)
    half = dict(list(after.items())[:4]), dict(list(after.items())[4:])
    later = at + 15 * 10**9
    written(tmp_path, scrape(at, **before), *(scrape(later, **part) for part in half))
    expected = [(10, 1, 1, 1, 1, 1, 1, 1, 1, 2)]
    assert landed(tmp_path, "requests", f"request_count, {BUCKETS}") == expected
    # With a bound missing nothing is known of latency, and all is counted.
    del before[f"http_seconds_bucket{{{labels},le=0.3}}"]
    del after[f"http_seconds_bucket{{{labels},le=0.3}}"]
    written(tmp_path / "b", scrape(at, **before), scrape(later, **after))
    expected = [(10, *[None] * 9)]
    assert landed(tmp_path / "b", "requests", f"request_count, {BUCKETS}") == expected


def test_a_stale_sample_and_an_old_one_add_nothing(tmp_path):
    at = a_minute_ago() + 1
    name = "http_total{handler=/a,code=200}"
    bodies = [scrape(at + n * 10**9, **{name: v}) for n, v in ((5, 1), (9, 4), (7, 2))]
    written(tmp_path, *bodies, scrape(at + 11 * 10**9, **{name: float("nan")}))
    assert counts(tmp_path) == [("shop", "/a", 3, 0, 0, 0)]


def test_only_one_signal_counts_by_the_settings():
    rules = Rules(Settings(services=({"name": "A b", "requests_from": "logs"},)))
    assert rules.origin("a_b") == "logs"
    assert rules.origin("c") == "traces"
    assert rules.other_origin("c", "traces") is None

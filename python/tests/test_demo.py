"""The demo data: the same bytes each time, clean but for known faults, with real effects in it."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

pytest.importorskip("numpy", reason="the demo needs numpy: pip install 'cadran[demo]'")

from cadran_demo import generate, world
from cadran_demo.platform import PROBE_MINUTES, _probe_minutes
from cadran_demo.world import Plan

END, SCALE = date(2026, 10, 31), 0.02
BUCKETS = (
    "le_50",
    "le_100",
    "le_200",
    "le_300",
    "le_500",
    "le_1000",
    "le_2500",
    "le_5000",
    "gt_5000",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo") / "data"
    generate(out, end=END, scale=SCALE)
    return out


@pytest.fixture(scope="module")
def raw(folder):
    connection = duckdb.connect()
    connection.execute("set TimeZone = 'UTC'")
    for source in ("shop", "helpdesk", "telemetry"):
        connection.execute(f"create schema {source}")
        for entry in sorted((folder / source).iterdir()):
            files = entry if entry.is_file() else entry / "**" / "*.parquet"
            connection.execute(
                f"create view {source}.{entry.stem} as "
                f"select * from read_parquet('{files}', hive_partitioning = false)"
            )
    return connection


@pytest.fixture(scope="module")
def truth(folder):
    return json.loads((folder / "truth.json").read_text())


def one(raw, sql):
    return raw.execute(sql).fetchone()[0]


def bytes_of(folder):
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}


def test_the_same_arguments_give_the_same_bytes(folder, tmp_path):
    generate(tmp_path / "again", end=END, scale=SCALE)
    assert bytes_of(folder) == bytes_of(tmp_path / "again")


def test_another_seed_gives_another_company(folder, tmp_path):
    generate(tmp_path / "other", end=END, scale=SCALE, seed=8)
    orders = "shop/orders.parquet"
    assert (folder / orders).read_bytes() != (tmp_path / "other" / orders).read_bytes()


def test_data_that_is_there_is_left_alone_unless_forced(tmp_path):
    out = tmp_path / "demo"
    said = []
    first = generate(out, end=END, scale=0.002)
    again = generate(out, end=END, scale=0.002, progress=said.append)
    assert first.is_new
    assert not again.is_new
    assert again.rows == first.rows
    assert said == [f"The demo data of 2026-10-31 is already in {out}."]
    assert generate(out, end=END, scale=0.002, force=True).is_new
    assert generate(out, end=END, scale=0.003).is_new


def test_an_interrupted_run_leaves_the_old_data(tmp_path, monkeypatch):
    out = tmp_path / "demo"
    generate(out, end=END, scale=0.002)
    before = bytes_of(out)

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("cadran_demo.company.write_probes", interrupt)
    with pytest.raises(KeyboardInterrupt):
        generate(out, end=END, scale=0.003)
    assert bytes_of(out) == before
    assert [p.name for p in tmp_path.iterdir()] == ["demo"]


def test_a_swap_cut_in_two_is_brought_back(tmp_path):
    out = tmp_path / "demo"
    generate(out, end=END, scale=0.002)
    out.rename(tmp_path / ".demo.old")
    assert not generate(out, end=END, scale=0.002).is_new


def test_a_damaged_mark_is_not_believed(tmp_path):
    out = tmp_path / "demo"
    generate(out, end=END, scale=0.002)
    (out / "_demo.json").write_text("{")
    assert generate(out, end=END, scale=0.002).is_new


def test_a_folder_with_other_things_is_not_replaced(tmp_path):
    (tmp_path / "thesis.txt").write_text("three years of work")
    with pytest.raises(FileExistsError, match="holds something else"):
        generate(tmp_path, end=END, scale=0.002)
    assert (tmp_path / "thesis.txt").exists()


@pytest.mark.parametrize(("scale", "seed"), [(0, 7), (-1, 7), (float("nan"), 7), (1, -1)])
def test_impossible_arguments_are_refused(tmp_path, scale, seed):
    with pytest.raises(ValueError, match="of a demo"):
        generate(tmp_path / "demo", end=END, scale=scale, seed=seed)


def test_without_an_end_the_data_goes_up_to_yesterday(tmp_path):
    before = datetime.now(UTC).date() - timedelta(days=1)
    generate(tmp_path / "demo", scale=0.002)
    after = datetime.now(UTC).date() - timedelta(days=1)
    last = json.loads((tmp_path / "demo" / "_demo.json").read_text())["end"]
    assert before.isoformat() <= last <= after.isoformat()


@pytest.mark.parametrize(
    "end", [date(2026, 11, 3), date(2028, 2, 29), date(2026, 3, 29), date(2025, 1, 1)]
)
def test_any_day_can_be_the_last(tmp_path, end):
    generate(tmp_path / "demo", end=end, scale=0.004)
    connection = duckdb.connect()
    connection.execute("set TimeZone = 'UTC'")
    first, last = connection.execute(
        f"""
        select
            min(started_at at time zone 'UTC' at time zone 'Europe/Paris')::date,
            max(started_at at time zone 'UTC' at time zone 'Europe/Paris')::date
        from '{tmp_path}/demo/shop/sessions.parquet'
        """
    ).fetchone()
    assert (first, last) == (Plan(seed=7, end=end, scale=1).start, end)
    lines = connection.execute(
        f"select min(received_at)::date, max(received_at)::date "
        f"from '{tmp_path}/demo/telemetry/request_lines.parquet'"
    ).fetchone()
    assert lines == (end - timedelta(days=6), end)
    counted, single = connection.execute(
        f"""
        select
            (
                select sum(request_count) from '{tmp_path}/demo/telemetry/requests/*/part.parquet'
                where minute_at >= timestamp '{end - timedelta(days=6)}'
            ),
            (select count(*) from '{tmp_path}/demo/telemetry/request_lines.parquet')
        """
    ).fetchone()
    assert counted == single


def test_the_period_is_25_months_and_13_months_of_requests(raw):
    assert Plan(seed=7, end=END, scale=1).start == date(2024, 10, 1)
    assert one(raw, "select min(minute_at)::date from telemetry.requests") == date(2025, 10, 1)
    assert (
        one(raw, "select count(distinct date_trunc('month', minute_at)) from telemetry.requests")
        == 13
    )


def test_nothing_comes_after_the_last_day(raw):
    columns = raw.execute(
        "select schema_name, table_name, column_name from duckdb_columns() "
        "join duckdb_schemas() using (schema_name) "
        "where data_type = 'TIMESTAMP' and schema_name in ('shop', 'helpdesk', 'telemetry')"
    ).fetchall()
    assert len(columns) >= 14
    for source, table, column in columns:
        late = one(
            raw,
            f"select count(*) from {source}.{table} "
            f"where {column} >= timestamp '{END + timedelta(days=1)}'",
        )
        assert late == 0, f"{source}.{table}.{column}"


@pytest.mark.parametrize(
    ("table", "key", "faults"),
    [
        ("shop.customers", "customer_id", 0),
        ("shop.products", "product_id", 0),
        ("shop.sessions", "session_id", 0),
        ("shop.orders", "order_id", 1),
        ("shop.order_lines", "order_line_id", 0),
        ("helpdesk.tickets", "ticket_id", 0),
        ("helpdesk.ticket_events", "event_id", 0),
        ("helpdesk.satisfaction_answers", "answer_id", 0),
        ("telemetry.services", "service_id", 0),
        ("telemetry.requests", "(service_id, route, minute_at)", 0),
        ("telemetry.request_lines", "request_id", 0),
        ("telemetry.probes", "(service_id, region, probed_at)", 0),
        ("telemetry.incidents", "incident_id", 0),
        ("telemetry.deployments", "deployment_id", 0),
    ],
)
def test_keys_are_unique_but_for_the_known_faults(raw, table, key, faults):
    assert one(raw, f"select count(*) - count(distinct {key}) from {table}") == faults


@pytest.mark.parametrize(
    ("child", "column", "parent", "faults"),
    [
        ("shop.sessions", "customer_id", "shop.customers", 0),
        ("shop.orders", "customer_id", "shop.customers", 0),
        ("shop.orders", "session_id", "shop.sessions", 0),
        ("shop.order_lines", "order_id", "shop.orders", 0),
        ("shop.order_lines", "product_id", "shop.products", 1),
        ("helpdesk.tickets", "customer_id", "shop.customers", 0),
        ("helpdesk.ticket_events", "ticket_id", "helpdesk.tickets", 0),
        ("helpdesk.satisfaction_answers", "ticket_id", "helpdesk.tickets", 0),
        ("helpdesk.satisfaction_answers", "customer_id", "shop.customers", 0),
        ("telemetry.requests", "service_id", "telemetry.services", 0),
        ("telemetry.probes", "service_id", "telemetry.services", 0),
        ("telemetry.incidents", "service_id", "telemetry.services", 0),
        ("telemetry.deployments", "incident_id", "telemetry.incidents", 0),
    ],
)
def test_references_are_known_but_for_the_known_faults(raw, child, column, parent, faults):
    unknown = (
        f"select count(*) from {child} anti join {parent} using ({column}) "
        f"where {column} is not null"
    )
    assert one(raw, unknown) == faults


def test_the_faults_are_the_documented_ones(raw, truth):
    assert (
        one(
            raw,
            "select count(*) from helpdesk.satisfaction_answers where score not between 1 and 5",
        )
        == 1
    )
    assert one(raw, "select count(*) from helpdesk.tickets where opened_at is null") == 1
    assert one(raw, "select count(*) - count(distinct orders) from shop.orders as orders") == 1
    events = truth["faults"].pop("events_of_these_tickets")
    assert events == one(
        raw,
        "select count(*) from helpdesk.ticket_events "
        "semi join (from helpdesk.tickets where opened_at is null) using (ticket_id)",
    )
    assert set(truth["faults"].values()) == {1}
    assert len(truth["faults"]) == 4


def test_money_is_decimal_and_counts_are_integers(raw):
    types = dict(
        raw.execute("select column_name, column_type from (describe shop.order_lines)").fetchall()
    )
    assert types["unit_price"] == "DECIMAL(12,2)"
    assert types["amount"] == "DECIMAL(14,2)"
    assert types["quantity"] == "INTEGER"
    assert types["booked_at"] == "TIMESTAMP"
    types = dict(
        raw.execute("select column_name, column_type from (describe telemetry.requests)").fetchall()
    )
    assert {t for c, t in types.items() if c.endswith("_count")} == {"INTEGER"}


def test_the_amount_of_an_order_is_the_sum_of_its_sale_lines(raw):
    assert (
        one(
            raw,
            """
        with sold as (
            select order_id, sum(amount) as amount
            from shop.order_lines where line_type = 'sale' group by order_id
        )
        select count(*) from shop.orders left join sold using (order_id)
        where orders.amount is distinct from sold.amount
        """,
        )
        == 0
    )


def test_a_cancelled_order_takes_back_each_of_its_sale_lines(raw):
    wrong = one(
        raw,
        """
        with lines as (
            select
                order_id, product_id,
                count(*) filter (line_type = 'sale') as sales,
                sum(quantity) filter (line_type = 'sale') as sold,
                sum(amount) filter (line_type = 'sale') as sold_amount,
                sum(quantity) filter (line_type = 'cancellation') as taken_back,
                sum(amount) filter (line_type = 'cancellation') as amount_back
            from shop.order_lines group by order_id, product_id
        )
        select count(*) from lines
        join (select distinct order_id, status from shop.orders) using (order_id)
        where sales <> 1 or case status
            when 'cancelled' then sold + taken_back <> 0 or sold_amount + amount_back <> 0
                or taken_back is null
            else taken_back is not null
        end
        """,
    )
    assert wrong == 0
    assert 0.02 < one(raw, "select avg((status = 'cancelled')::int) from shop.orders") < 0.07


def test_lines_have_the_signs_of_their_type_and_come_after_the_order(raw):
    assert (
        one(
            raw,
            """
        select count(*) from shop.order_lines join shop.orders using (order_id)
        where booked_at < ordered_at or case line_type
            when 'sale' then quantity <= 0 or order_lines.amount <> quantity * unit_price
            when 'cancellation' then quantity >= 0 or order_lines.amount <> quantity * unit_price
            else quantity > 0 or order_lines.amount >= 0
        end
        """,
        )
        == 0
    )
    assert (
        one(
            raw, "select count(*) from shop.order_lines where line_type = 'refund' and quantity = 0"
        )
        > 0
    )


def test_nobody_orders_before_signing_up(raw):
    early = (
        "select count(*) from shop.orders join shop.customers using (customer_id) "
        "where ordered_at < signed_up_at"
    )
    assert one(raw, early) == 0


def test_buckets_add_up_to_the_requests_and_failures_fit_in_them(raw):
    total = " + ".join(f"{b}_count" for b in BUCKETS)
    wrong = (
        f"select count(*) from telemetry.requests "
        f"where {total} <> request_count or request_count < 1 or timeout_count > gt_5000_count "
        "or error_5xx_count + timeout_count + error_4xx_count > request_count"
    )
    assert one(raw, wrong) == 0


def test_request_lines_add_up_exactly_to_the_counters_of_the_last_seven_days(raw):
    bounds = [0, 50, 100, 200, 300, 500, 1000, 2500, 5000, 10**9]
    buckets = ", ".join(
        f"count(*) filter (duration_ms > {low} and duration_ms <= {high})::int as {name}_count"
        for name, low, high in zip(BUCKETS, bounds, bounds[1:], strict=False)
    )
    lines = f"""
        select service_id, route, date_trunc('minute', received_at) as minute_at,
            count(*)::int as request_count,
            count(*) filter (status >= 500 and not is_timeout)::int as error_5xx_count,
            count(*) filter (is_timeout)::int as timeout_count,
            count(*) filter (status between 400 and 499 and not is_timeout)::int as error_4xx_count,
            {buckets}
        from telemetry.request_lines group by all
    """
    counters = "select * from telemetry.requests where minute_at >= timestamp '2026-10-25'"
    assert one(raw, f"select count(*) from ({lines})") > 1000
    assert one(raw, f"select count(*) from (({lines}) except ({counters}))") == 0
    assert one(raw, f"select count(*) from (({counters}) except ({lines}))") == 0


def test_tickets_are_opened_once_and_events_come_in_order(raw):
    wrong = one(
        raw,
        """
        with events as (
            select ticket_id,
                count(*) filter (event_type = 'opened') as openings,
                min(occurred_at) filter (event_type = 'opened') as opened,
                min(occurred_at) filter (event_type = 'replied') as replied,
                min(occurred_at) filter (event_type = 'resolved') as resolved,
                min(occurred_at) filter (event_type = 'reopened') as reopened
            from helpdesk.ticket_events group by ticket_id
        )
        select count(*) from helpdesk.tickets left join events using (ticket_id)
        where openings is distinct from 1 or opened <> coalesce(opened_at, opened)
            or replied < opened or resolved < replied or reopened < resolved
        """,
    )
    assert wrong == 0


def test_incidents_are_counted_and_run_in_order(raw, truth):
    assert 30 <= one(raw, "select count(*) from telemetry.incidents") <= 60
    assert len(truth["incidents"]) == one(raw, "select count(*) from telemetry.incidents")
    wrong = (
        "started_at > detected_at or detected_at > acknowledged_at or acknowledged_at > restored_at"
    )
    assert one(raw, f"select count(*) from telemetry.incidents where {wrong}") == 0
    lengths = raw.execute(
        "select min(restored_at - started_at), max(restored_at - started_at) "
        "from telemetry.incidents"
    ).fetchone()
    assert timedelta(minutes=10) <= lengths[0] <= lengths[1] <= timedelta(hours=6)


def test_deployments_that_caused_an_incident_failed_just_before_it(raw):
    assert one(raw, "select count(*) from telemetry.deployments where incident_id is not null") > 3
    wrong = one(
        raw,
        """
        select count(*) from telemetry.deployments as deployments
        join telemetry.incidents as incidents using (incident_id)
        where not is_failed or cause <> 'deployment'
            or deployments.service_id <> incidents.service_id
            or started_at not between deployed_at and deployed_at + interval 30 minute
        """,
    )
    assert wrong == 0
    assert 0.04 < one(raw, "select avg(is_failed::int) from telemetry.deployments") < 0.13


def test_seasons_promotions_and_weeks_are_visible(raw):
    by_month = dict(
        raw.execute(
            "select strftime(started_at, '%Y-%m'), count(*) from shop.sessions group by all"
        ).fetchall()
    )
    assert by_month["2025-12"] > 1.3 * by_month["2025-08"]
    assert by_month["2026-08"] > 1.05 * by_month["2025-08"]

    def sessions_a_day(first, last):
        days = f"between timestamp '{first}' and timestamp '{last} 23:59:59'"
        count = one(raw, f"select count(*) from shop.sessions where started_at {days}")
        return count / ((date.fromisoformat(last) - date.fromisoformat(first)).days + 1)

    assert sessions_a_day("2025-11-24", "2025-12-01") > 1.4 * sessions_a_day(
        "2025-11-10", "2025-11-17"
    )
    assert sessions_a_day("2026-06-15", "2026-06-24") > 1.15 * sessions_a_day(
        "2026-06-01", "2026-06-10"
    )

    weekend = one(
        raw,
        "select avg((isodow(ordered_at) > 5)::int) from shop.orders where channel = 'partner_api'",
    )
    assert weekend < 0.2
    night = one(raw, "select avg((hour(started_at) between 1 and 4)::int) from shop.sessions")
    assert night < 0.06


def grave(truth, services):
    return [
        i for i in truth["incidents"] if i["severity"] != "sev3" and i["service_id"] in services
    ]


def within(incident, column):
    first, end = incident["started_at"][:19], incident["restored_at"][:19]
    return f"{column} >= timestamp '{first}' and {column} < timestamp '{end}'"


def test_conversion_falls_while_the_checkout_is_hurt(raw, truth):
    incidents = grave(truth, {"checkout", "storefront"})
    spans = " or ".join(f"({within(i, 'started_at')})" for i in incidents)
    hit, usual = (
        one(
            raw,
            "select avg((orders.session_id is not null)::int) from shop.sessions "
            "left join (select distinct session_id from shop.orders) as orders using (session_id) "
            f"where {where}",
        )
        for where in (spans, f"not ({spans})")
    )
    assert hit < 0.8 * usual
    counted = one(raw, f"select count(*) from shop.sessions where {spans}")
    assert counted == sum(i["commerce"]["sessions_affected"] for i in incidents)
    assert sum(i["commerce"]["orders_lost"] for i in incidents) > 0


def test_incidents_bring_tickets_of_their_topic(raw, truth):
    extra = sum(i["support"]["tickets_extra"] for i in truth["incidents"])
    topics = (
        "('site_unavailable', 'checkout_failure', 'cannot_find_product', "
        "'api_errors', 'cannot_log_in')"
    )
    assert extra > 5
    assert one(raw, f"select count(*) from helpdesk.tickets where topic in {topics}") == extra


def test_those_whom_an_incident_hit_are_less_satisfied(raw, truth):
    for incident in truth["incidents"]:
        mood = incident["satisfaction"]
        if mood["answers_affected"]:
            assert mood["satisfied_share"] < mood["satisfied_share_usual"]
            assert mood["score_shift"] < 0
    assert (
        0.75 < one(raw, "select avg((score >= 4)::int) from helpdesk.satisfaction_answers") < 0.88
    )


def test_requests_fail_and_slow_down_in_incidents(raw, truth):
    for service in ("checkout", "storefront", "search", "public_api"):
        spans = [i for i in grave(truth, {service}) if i["requests"]]
        if not spans:
            continue
        inside = " or ".join(
            f"(minute_at >= date_trunc('minute', timestamp '{i['started_at'][:19]}') "
            f"and minute_at < timestamp '{i['restored_at'][:19]}')"
            for i in spans
        )
        numbers = (
            "sum(error_5xx_count + timeout_count), sum(request_count), "
            "sum(le_50_count + le_100_count + le_200_count) / sum(request_count)"
        )
        hit, usual = (
            raw.execute(
                f"select {numbers} from telemetry.requests "
                f"where service_id = '{service}' and {where}"
            ).fetchone()
            for where in (f"({inside})", f"not ({inside})")
        )
        assert hit[1] == sum(i["requests"]["requests"] for i in spans)
        assert hit[0] == sum(i["requests"]["bad_requests"] for i in spans)
        assert hit[0] / hit[1] > 10 * usual[0] / usual[1]
        assert hit[2] < usual[2]


def test_availability_is_high_and_durations_are_plausible(raw):
    available = one(
        raw,
        "select 1 - sum(error_5xx_count + timeout_count) / sum(request_count) "
        "from telemetry.requests",
    )
    assert 0.998 < available < 0.9998
    p95 = one(raw, "select quantile_cont(duration_ms, 0.95) from telemetry.request_lines")
    assert 150 < p95 < 400


def test_probes_fail_in_the_worst_incidents(truth):
    worst = [i["probes"] for i in truth["incidents"] if i["severity"] == "sev1"]
    assert sum(p["failed"] for p in worst) > 0.5 * sum(p["probes"] for p in worst)


def test_probes_are_every_five_minutes_at_full_size():
    assert [_probe_minutes(Plan(seed=7, end=END, scale=s)) for s in (5, 1, 0.5, 0.02)] == [
        PROBE_MINUTES, 5, 10, 30,
    ]  # fmt: skip


def test_french_holidays_move_with_easter():
    assert [world.easter(y) for y in (2024, 2025, 2026)] == [
        date(2024, 3, 31), date(2025, 4, 20), date(2026, 4, 5),
    ]  # fmt: skip
    assert date(2026, 5, 14) in world.french_holidays(2026)
    assert len(world.french_holidays(2026)) == 11


def test_black_friday_is_the_day_after_the_fourth_thursday():
    sales = {
        p.name + str(p.first.year): p for p in world.promotions(Plan(seed=7, end=END, scale=1))
    }
    assert (sales["black_friday2025"].first, sales["black_friday2025"].last) == (
        date(2025, 11, 24),
        date(2025, 12, 1),
    )


def test_no_path_of_this_machine_is_written(folder):
    for name in ("truth.json", "_demo.json"):
        assert str(Path(folder).parent) not in (folder / name).read_text()

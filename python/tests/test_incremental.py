"""Requests are appended by the hour: what is late is taken in, and nothing is counted twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb
import parsed
import pytest

if TYPE_CHECKING:
    from pathlib import Path

COUNTERS = """
    0 as error_5xx_count, 0 as timeout_count, 0 as error_4xx_count, request_count as le_50_count,
    0 as le_100_count, 0 as le_200_count, 0 as le_300_count, 0 as le_500_count,
    0 as le_1000_count, 0 as le_2500_count, 0 as le_5000_count, 0 as gt_5000_count
"""


class Shop:
    """One service that is measured by the minute, and the warehouses built from it."""

    def __init__(self, demo, folder: Path) -> None:
        self.demo, self.folder = demo, folder
        self.data = folder / "data"
        (self.data / "telemetry" / "requests").mkdir(parents=True)
        self.write(
            "services.parquet",
            "select 'shop' as service_id, 'Shop' as service_name, 'web' as team, "
            "'critical' as tier",
        )

    def write(self, name: str, query: str) -> None:
        duckdb.sql(f"copy ({query}) to '{self.data / 'telemetry' / name}' (format parquet)")

    def write_minutes(self, name: str, route: str, first: str, last: str, count: int = 5) -> None:
        self.write(
            f"requests/{name}.parquet",
            f"""
            with minutes as (
                select unnest(generate_series(
                    timestamp '{first}', timestamp '{last}', interval 1 minute
                )) as minute_at, {count} as request_count
            )
            select 'shop' as service_id, '{route}' as route, minute_at, request_count, {COUNTERS}
            from minutes
            """,
        )

    def dbt(self, command: str, select: str, *flags: str, warehouse: str = "appended"):
        (self.folder / warehouse).mkdir(exist_ok=True)
        return parsed.dbt(
            self.demo, self.folder, self.database(warehouse),
            command, "--select", *select.split(), *flags,
            cadran_domains=["platform"], cadran_sources=str(self.data), cadran_late_hours=6,
        )  # fmt: skip

    def database(self, warehouse: str) -> Path:
        return self.folder / warehouse / "warehouse.duckdb"

    def build(self, *flags: str, warehouse: str = "appended") -> None:
        built = self.dbt(
            "run", "+fct_requests_minutely rejected_requests", *flags, warehouse=warehouse
        )
        assert built.success, built.exception or built.result

    def requests(self, warehouse: str = "appended") -> set[tuple]:
        with duckdb.connect(self.database(warehouse), read_only=True) as built:
            rows = built.sql("select * from marts.fct_requests_minutely").fetchall()
        assert len(rows) == len(set(rows))
        return set(rows)

    def counts(self, route: str, warehouse: str = "appended") -> dict[str, int]:
        with duckdb.connect(self.database(warehouse), read_only=True) as built:
            return dict(
                built.execute(
                    "select strftime(minute_at, '%d %H:%M'), request_count "
                    "from marts.fct_requests_minutely where route = ?",
                    [route],
                ).fetchall()
            )


@pytest.fixture(scope="module")
def shop(demo, tmp_path_factory):
    """A day and a half of minutes that was built, to which an hour of all sorts was appended."""
    shop = Shop(demo, tmp_path_factory.mktemp("incremental"))
    shop.write_minutes("first", "/", "2026-03-01 00:00:00", "2026-03-02 11:59:00")
    shop.write_minutes("gone", "/gone", "2026-03-02 10:00:00", "2026-03-02 10:02:00")
    shop.build()
    assert len(shop.requests()) == 36 * 60 + 3

    shop.write_minutes("new", "/", "2026-03-02 12:00:00", "2026-03-02 12:59:00")
    shop.write_minutes("late", "/late", "2026-03-02 05:59:00", "2026-03-02 06:10:00")
    shop.write_minutes("again", "/", "2026-03-02 11:30:00", "2026-03-02 11:31:00", count=2)
    shop.write_minutes("broken", "/broken", "2026-03-02 11:00:30", "2026-03-02 11:00:30")
    (shop.data / "telemetry" / "requests" / "gone.parquet").unlink()
    shop.build()
    return shop


def test_rows_that_are_new_and_rows_that_are_late_are_taken_in(shop):
    assert len(shop.counts("/")) == 37 * 60
    late = shop.counts("/late")
    assert min(late) == "02 05:59", "the first instant of the window belongs to it"
    assert len(late) == 12


def test_rows_that_changed_or_went_within_the_window_are_as_the_source_has_them_now(shop):
    counts = shop.counts("/")
    assert (counts["02 11:29"], counts["02 11:30"], counts["02 11:31"]) == (5, 2, 2)
    assert shop.counts("/gone") == {}
    assert shop.counts("/broken") == {}


def test_an_incremental_run_equals_a_full_refresh(shop):
    shop.build("--full-refresh", warehouse="refreshed")
    assert shop.requests() == shop.requests("refreshed")


def test_what_arrives_later_than_the_window_is_noticed_and_taken_in_by_a_full_refresh(shop):
    before = shop.requests()
    shop.write_minutes("too_late", "/too_late", "2026-03-02 06:58:00", "2026-03-02 06:58:00")
    shop.build()
    assert shop.requests() == before
    noticed = shop.dbt("test", "rejected_requests")
    assert noticed.exception is None
    failed = {result.node.name for result in noticed.result if result.status == "fail"}
    assert any(
        name.startswith("accepted_plus_rejected_is_raw_rejected_requests") for name in failed
    )

    shop.build("--full-refresh")
    assert shop.counts("/too_late") == {"02 06:58": 5}


# The pre-aggregate of these requests ------------------------------------------------------------

OWN, FACT = "model.cadran.requests_by_day", "model.cadran.fct_requests_minutely"


class Summed(Shop):
    """The same service, with the sums of its requests by day."""

    def sum(self, select: str = "+requests_by_day", *flags: str) -> None:
        built = self.dbt("run", select, *flags)
        assert built.success, built.exception or built.result

    def sums(self) -> set[tuple]:
        with duckdb.connect(self.database("appended"), read_only=True) as built:
            return set(
                built.sql(
                    "select metric_time__day, request_minute__route, service__team,"
                    " valid_requests, fact_rows from preaggregates.requests_by_day"
                ).fetchall()
            )

    def in_files(self) -> set[tuple]:
        """The same, of the files."""
        folder = self.data / "telemetry"
        return set(
            duckdb.sql(
                f"select cast(minute_at as date), route, team, sum(request_count), count(*)"
                f" from '{folder}/requests/*.parquet' left join '{folder}/services.parquet'"
                " using (service_id) group by all"
            ).fetchall()
        )

    def run_sql(self, sql: str) -> None:
        with duckdb.connect(self.database("appended")) as built:
            built.execute(sql)

    def is_left_alone(self, day: str) -> bool:
        """Whether the last build computed nothing of a day, of which the sums were spoilt."""
        return any(row[3] == -1 and str(row[0]) == day for row in self.sums())

    def spoil(self, day: str) -> None:
        self.run_sql(
            "update preaggregates.requests_by_day set valid_requests = -1"
            f" where metric_time__day = '{day}'"
        )


@pytest.fixture(scope="module")
def summed(demo, tmp_path_factory):
    shop = Summed(demo, tmp_path_factory.mktemp("summed"))
    shop.write_minutes("first", "/", "2026-03-01 12:00:00", "2026-03-02 12:00:00")
    shop.write_minutes("second", "/", "2026-03-02 20:00:00", "2026-03-03 01:59:00")
    shop.write_minutes("gone", "/gone", "2026-03-02 22:00:00", "2026-03-02 22:10:00")
    shop.sum()
    assert shop.sums() == shop.in_files()
    return shop


def test_only_the_periods_whose_rows_were_replaced_are_summed_again(summed):
    summed.write_minutes("second", "/", "2026-03-02 20:00:00", "2026-03-02 21:59:00", count=7)
    summed.write_minutes("third", "/", "2026-03-02 22:00:00", "2026-03-03 03:59:00", count=3)
    summed.write_minutes("late", "/late", "2026-03-02 23:00:00", "2026-03-02 23:05:00")
    (summed.data / "telemetry" / "requests" / "gone.parquet").unlink()
    right = summed.sums()
    summed.spoil("2026-03-01")
    summed.sum()
    assert summed.is_left_alone("2026-03-01")
    assert not summed.is_left_alone("2026-03-02")
    first_day = {row for row in right if str(row[0]) == "2026-03-01"}
    rest = {row for row in summed.sums() if str(row[0]) != "2026-03-01"}
    assert first_day | rest == summed.in_files()


def test_what_changed_in_several_builds_of_the_fact_alone_is_summed_again(summed):
    summed.sum("requests_by_day", "--full-refresh")
    summed.write_minutes("late", "/late", "2026-03-02 23:00:00", "2026-03-02 23:05:00", count=9)
    summed.sum("fct_requests_minutely")
    summed.write_minutes("fourth", "/", "2026-03-03 04:00:00", "2026-03-03 12:00:00")
    summed.sum("fct_requests_minutely")
    summed.spoil("2026-03-01")
    summed.sum("requests_by_day")
    assert summed.is_left_alone("2026-03-01")
    rest = {row for row in summed.sums() if str(row[0]) != "2026-03-01"}
    assert rest == {row for row in summed.in_files() if str(row[0]) != "2026-03-01"}


@pytest.mark.parametrize("why", ["fact", "dimension", "count", "stopped"])
def test_all_is_summed_again_where_it_cannot_be_known_what_changed(why, summed):
    summed.spoil("2026-03-01")
    if why == "fact":
        summed.write_minutes("too_late", "/too_late", "2026-03-01 13:00:00", "2026-03-01 13:00:00")
        summed.sum("fct_requests_minutely", "--full-refresh")
    elif why == "dimension":
        summed.write(
            "services.parquet",
            "select 'shop' as service_id, 'Shop' as service_name, 'moved' as team,"
            " 'critical' as tier",
        )
        summed.sum("dim_services")
    elif why == "count":
        # A row that no build put there, before all that the next one replaces.
        summed.write_minutes("by_hand", "/by_hand", "2026-03-01 14:00:00", "2026-03-01 14:00:00")
        summed.run_sql(
            "insert into marts.fct_requests_minutely select * replace ('/by_hand' as route)"
            " from marts.fct_requests_minutely where minute_at = '2026-03-01 14:00:00'"
        )
    else:
        # What a build has written down when it is stopped, before it is known what it did.
        summed.run_sql(
            "insert into governance.build_changes (unique_id, invocation_id)"
            f" values ('{FACT}', 'of a build that was stopped')"
        )
    summed.sum("requests_by_day")
    assert summed.sums() == summed.in_files()
    assert any(row[2] == ("moved" if why != "fact" else "web") for row in summed.sums())


def test_other_columns_and_a_table_that_was_built_otherwise_are_taken_over(summed):
    summed.run_sql(
        "alter table preaggregates.requests_by_day add column of_before integer;"
        "alter table preaggregates.requests_by_day drop column timed_requests;"
        f"update governance.build_changes set computed_from = 'another file'"
        f" where unique_id = '{OWN}'"
    )
    summed.sum("requests_by_day")
    assert summed.sums() == summed.in_files()
    with duckdb.connect(summed.database("appended"), read_only=True) as built:
        names = built.sql("select * from preaggregates.requests_by_day").columns
    assert "of_before" not in names
    assert "timed_requests" in names

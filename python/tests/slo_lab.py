"""The reliability models on rows of one's own: the SQL that dbt compiled, in memory."""

from __future__ import annotations

import functools
import json

import duckdb

REGISTER = {
    "slo_definitions": (
        "slo_id varchar, slo varchar, kpi varchar, label_en varchar, label_fr varchar, "
        "subject_kind varchar, subject varchar, is_composite boolean, window_kind varchar, "
        "window_minutes integer, calendar_grain varchar, time_zone varchar, budgeting varchar, "
        "slice_target decimal(8, 7), no_data varchar, alert_policy varchar, owner varchar, "
        "slice_rule varchar"
    ),
    "slo_objective_steps": (
        "slo_id varchar, time_zone varchar, valid_from_date date, target decimal(8, 7)"
    ),
    "slo_members": "slo_id varchar, member_slo_id varchar, weight decimal(18, 6)",
    "int_sli_minutely": (
        "kpi varchar, subject_kind varchar, subject varchar, minute_at timestamp, "
        "good_count bigint, total_count bigint"
    ),
    "int_sli_watermarks": (
        "kpi varchar, subject_kind varchar, first_minute_at timestamp, watermark_at timestamp"
    ),
}
SEEDS = {
    "slo_exclusion_entries": (
        "exclusion_id varchar, slo varchar, subject varchar, kind varchar, starts_at timestamp, "
        "ends_at timestamp, announced_at timestamp, notice_hours integer, cap_minutes integer, "
        "approver varchar, reason varchar"
    ),
    "alert_tiers": (
        "policy varchar, tier varchar, severity varchar, budget_share decimal(8, 7), "
        "factor decimal(18, 6), long_minutes integer, short_minutes integer, "
        "reference_minutes integer, min_units integer, min_bad_units integer"
    ),
}
VIEWS = {
    "int_slo_slices_minutely", "fct_slo_slices_minutely", "int_slo_windows", "int_slo_window_sums",
    "fct_slo_burn_rates", "fct_slo_status",
}  # fmt: skip
MODELS = (
    "slo_objectives", "slo_alert_tiers", "slo_exclusions", "slo_excluded_minutes",
    "int_slo_slices_minutely", "int_slo_slices_hourly", "int_slo_excluded_hourly",
    "fct_slo_slices_minutely", "fct_slo_slices_hourly", "fct_slo_periods", "int_slo_windows",
    "int_slo_window_sums", "fct_slo_burn_rates", "fct_slo_status",
)  # fmt: skip
BURN = ("int_slo_burning_minutes", "slo_incidents", "fct_slo_burn", "fct_slo_incident_budgets")
DEFAULTS = {
    "slo": None, "kpi": "availability", "label_en": "Availability", "label_fr": "Disponibilité",
    "subject_kind": "all", "subject": "all", "is_composite": False, "window_kind": "rolling",
    "window_minutes": 40_320, "calendar_grain": None, "time_zone": "UTC",
    "budgeting": "occurrences", "slice_target": None, "no_data": "ignore",
    "alert_policy": "standard", "owner": "o@example.com", "slice_rule": "rule",
}  # fmt: skip
STANDARD = [
    ("standard", "fast", "page", 0.02, None, 60, 5, None, 0, 0),
    ("standard", "medium", "page", 0.05, None, 360, 30, None, 0, 0),
    ("standard", "slow", "ticket", 0.10, None, 1440, 120, None, 0, 0),
    ("standard", "trickle", "ticket", 0.10, None, 4320, 360, None, 0, 0),
]


@functools.cache
def compiled(manifest_file):
    """The compiled SQL of each model."""
    nodes = json.loads(manifest_file.read_text(encoding="utf-8"))["nodes"].values()
    return {n["name"]: n["compiled_code"] for n in nodes if n["name"] in (*MODELS, *BURN)}


class Lab:
    """A warehouse of SLOs; `build` makes the models, `rows` reads one."""

    def __init__(self, manifest_file):
        self.sql = compiled(manifest_file)
        self.db = duckdb.connect()
        self.db.execute("set TimeZone = 'UTC'")
        self.db.execute("attach ':memory:' as warehouse")
        for schema in ("reliability", "governance", "utilities"):
            self.db.execute(f"create schema warehouse.{schema}")
        self.db.execute("use warehouse.reliability")
        for name, columns in REGISTER.items():
            self.db.execute(f"create table {name} ({columns})")
        for name, columns in SEEDS.items():
            self.db.execute(f"create table warehouse.governance.{name} ({columns})")
        self.db.executemany(
            "insert into warehouse.governance.alert_tiers values (?,?,?,?,?,?,?,?,?,?)", STANDARD
        )

    def slo(self, slo_id, target, **said):
        """An SLO; `target` is a number or a list of (day, target)."""
        row = DEFAULTS | {"slo_id": slo_id, "slo": slo_id.split(":")[0]} | said
        names = ", ".join(row)
        self.db.execute(
            f"insert into slo_definitions ({names}) values ({', '.join('?' * len(row))})",
            list(row.values()),
        )
        steps = target if isinstance(target, list) else [("1970-01-01", target)]
        for day, number in steps:
            if number is not None:
                self.db.execute(
                    "insert into slo_objective_steps values (?, ?, ?, ?)",
                    [slo_id, row["time_zone"], day, number],
                )

    def minutes(self, rows, kpi="availability", subject="all", kind="all"):
        """Rows of (minute, good, total)."""
        self.db.execute(
            "insert into int_sli_minutely select ?, ?, ?, unnest(?), unnest(?), unnest(?)",
            [kpi, kind, subject, *(list(column) for column in zip(*rows, strict=True))],
        )

    def every_minute(self, start, end, good, total, **where):
        """Constant or SQL counts for each minute from start up to end."""
        named = {"kpi": "availability", "subject": "all", "kind": "all"} | where
        self.db.execute(
            f"""insert into int_sli_minutely
            select '{named["kpi"]}', '{named["kind"]}', '{named["subject"]}', t, {good}, {total}
            from (select unnest(generate_series(timestamp '{start}',
                timestamp '{end}' - interval 1 minute, interval 1 minute)) as t)"""
        )

    def exclude(self, starts, ends, **said):
        """An agreed exclusion."""
        row = {
            "exclusion_id": f"x{starts}", "slo": None, "subject": None, "kind": "agreed",
            "starts_at": starts, "ends_at": ends, "announced_at": None, "notice_hours": None,
            "cap_minutes": None, "approver": "a@example.com", "reason": "agreed",
        } | said  # fmt: skip
        self.db.execute(
            f"insert into warehouse.governance.slo_exclusion_entries ({', '.join(row)})"
            f" values ({', '.join('?' * len(row))})",
            list(row.values()),
        )

    def incidents(self, *rows):
        """Make the incidents (id, service, cause, start, end or None) and what they took."""
        self.db.execute(
            """create schema if not exists warehouse.marts;
            create or replace table warehouse.marts.fct_incidents (
                incident_id varchar, service_id varchar, severity varchar, cause varchar,
                started_at timestamp, restored_at timestamp,
                is_restored boolean generated always as (restored_at is not null),
                hours_to_restore double generated always as (
                    (epoch(restored_at) - epoch(started_at)) / 3600
                )
            )"""
        )
        for incident, service, cause, start, end in rows:
            self.db.execute(
                "insert into warehouse.marts.fct_incidents values (?, ?, 'sev1', ?, ?, ?)",
                [incident, service, cause, start, end],
            )
        for name in BURN:
            self.db.execute(f"create or replace table {name} as {self.sql[name]}")

    def build(self, watermark=None):
        """Make every model; the watermark is the minute after the last one, or what is said."""
        self.db.execute("delete from int_sli_watermarks")
        last = f"timestamp '{watermark}'" if watermark else "max(minute_at) + interval 1 minute"
        self.db.execute(
            f"""insert into int_sli_watermarks
            select kpi, subject_kind, min(minute_at), {last} from int_sli_minutely group by 1, 2"""
        )
        self.db.execute(
            """create or replace table warehouse.utilities.time_spine_minute as
            select unnest(generate_series(min(first_minute_at),
                max(watermark_at) - interval 1 minute, interval 1 minute)) as minute_at
            from int_sli_watermarks"""
        )
        for name in MODELS:
            kind = "view" if name in VIEWS else "table"
            self.db.execute(f"create or replace {kind} {name} as {self.sql[name]}")
        return self

    def rows(self, sql):
        """Rows as dictionaries."""
        result = self.db.execute(sql)
        names = [column[0] for column in result.description]
        return [dict(zip(names, row, strict=True)) for row in result.fetchall()]

    def row(self, sql):
        """The only row."""
        (only,) = self.rows(sql)
        return only

"""The reliability models as the warehouse has them: the one place that reads them."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cadran.errors import ProjectError, QueryError, UnknownNameError, WarehouseError
from cadran.formats.words import named
from cadran.reliability.burn import Tier, derived

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from decimal import Decimal

    import pyarrow as pa

    from cadran.core.layer import Layer

SCHEMA = "reliability"


# Sums of months; the target is that of the last one.
_YEARS = """
    select slo_id, slo, subject, 'year' as period_grain, year_start as period_start, last_date,
        target, units, bad_units, allowed_units,
        1 - 1.0 * bad_units / nullif(units, 0) as compliance_rate,
        1.0 * bad_units / nullif(allowed_units, 0) as consumed_rate,
        1 - 1.0 * bad_units / nullif(allowed_units, 0) as remaining_rate,
        gross_units, gross_bad_units, gross_allowed_units,
        1 - 1.0 * gross_bad_units / nullif(gross_units, 0) as gross_compliance_rate,
        1.0 * gross_bad_units / nullif(gross_allowed_units, 0) as gross_consumed_rate,
        1 - 1.0 * gross_bad_units / nullif(gross_allowed_units, 0) as gross_remaining_rate
    from (
        select slo_id, slo, subject, last_date, target,
            cast(date_trunc('year', period_start) as date) as year_start,
            row_number() over (of_year order by period_start desc) as place,
            sum(units) over of_year as units,
            sum(bad_units) over of_year as bad_units,
            sum(allowed_units) over of_year as allowed_units,
            sum(gross_units) over of_year as gross_units,
            sum(gross_bad_units) over of_year as gross_bad_units,
            sum(gross_allowed_units) over of_year as gross_allowed_units
        from ({months}) as months
        window of_year as (partition by slo_id, date_trunc('year', period_start))
    ) as years
    where place = 1"""


@dataclass(frozen=True, slots=True)
class Status:
    """Where an SLO stands in its window. Rates are fractions; net of exclusions unless gross.

    `remaining_rate` is negative when the budget is overspent. A composite has no units of its own.
    Without traffic in the window there are no rates. `subject_labels` are what the project calls
    the subject, by language.
    """

    slo_id: str
    slo: str
    subject: str
    label_en: str
    label_fr: str
    kpi: str
    is_composite: bool
    budgeting: str
    window_kind: str
    window_minutes: int | None
    calendar_grain: str | None
    time_zone: str
    owner: str
    window_starts_at: dt.datetime | None
    as_of: dt.datetime | None
    target: Decimal | None
    units: int | None
    bad_units: Decimal | None
    allowed_units: Decimal | None
    compliance_rate: float | None
    consumed_rate: float | None
    remaining_rate: float | None
    gross_compliance_rate: float | None
    gross_consumed_rate: float | None
    gross_remaining_rate: float | None
    burn_rate_1h: float | None
    hours_to_exhaustion: float | None
    subject_labels: Mapping[str, str] = field(default_factory=dict, compare=False)

    @property
    def state(self) -> str:
        """One of no data, overspent, burning (gone within the window at this pace) or in budget."""
        if self.consumed_rate is None:
            return "no data"
        if self.consumed_rate > 1:
            return "overspent"
        if self.burn_rate_1h is not None and self.burn_rate_1h > 1:
            return "burning"
        return "in budget"

    def label(self, lang: str = "en") -> str:
        """Its name in plain words, with the subject where it has one."""
        label, colon = (
            (self.label_fr, "\N{NO-BREAK SPACE}:") if lang == "fr" else (self.label_en, ":")
        )
        if self.subject == "all":
            return label
        return f"{label}{colon} {self.subject_labels.get(lang) or named(self.subject, lang)}"


def relation(layer: Layer, model: str, schema: str = SCHEMA) -> str:
    """The warehouse's name of a model, as dbt's manifest has it or by its schema."""
    try:
        nodes = layer.project.dbt_manifest["nodes"].values()
    except ProjectError:
        return f"{schema}.{model}"
    for node in nodes:
        if node["name"] == model and node["resource_type"] in {"model", "seed"}:
            return str(node["relation_name"])
    return f"{schema}.{model}"


def read(layer: Layer, sql: str) -> list[dict[str, Any]]:
    """The rows of a statement over the reliability models.

    Raises:
        QueryError: the project has no such models, or has not built them.
    """
    rows: list[dict[str, Any]] = _table(layer, sql).to_pylist()
    return rows


def _table(layer: Layer, sql: str) -> pa.Table:
    try:
        return layer.warehouse.arrow(sql)
    except WarehouseError as problem:
        if "does not exist" in str(problem):
            raise QueryError(
                "The warehouse has no reliability models: write `slos` on a KPI's card, add the"
                " domain reliability to cadran_domains, and run `dbt build`."
            ) from problem
        raise


def statuses(layer: Layer, names: Iterable[str] = ()) -> list[Status]:
    """The status of each SLO, or of those that are named: by SLO or by `slo:subject`.

    Raises:
        UnknownNameError: there is no such SLO.
    """
    rows = read(layer, f"select * from {relation(layer, 'fct_slo_status')} order by slo_id")
    from cadran.core.project import names as project_names

    called = project_names.read(layer.project.root).names
    labels = {name: {"en": one.en, "fr": one.fr} for name, one in called.items()}
    every = [Status(**row, subject_labels=labels.get(row["subject"], {})) for row in rows]
    chosen = set(names)
    ids = {name for status in every for name in (status.slo, status.slo_id)}
    for name in sorted(chosen - ids):
        raise UnknownNameError("SLO", name, ids)
    return [s for s in every if not chosen or s.slo in chosen or s.slo_id in chosen]


def members(layer: Layer, slo_id: str) -> list[dict[str, Any]]:
    """The SLOs that a composite is made of: slo_id, weight and consumed_rate, net."""
    return read(
        layer,
        "select members.member_slo_id as slo_id, members.weight, statuses.consumed_rate"
        f" from {relation(layer, 'slo_members')} as members"
        f" inner join {relation(layer, 'fct_slo_status')} as statuses"
        " on members.member_slo_id = statuses.slo_id"
        f" where members.slo_id = {_text(slo_id)} order by members.member_slo_id",
    )


def burn_rates(layer: Layer, slo_id: str) -> list[dict[str, Any]]:
    """Window, units, bad units and burn of each window of the SLO's policy, shortest first."""
    return read(
        layer,
        "select window_minutes, units, bad_units, burn_rate"
        f" from {relation(layer, 'fct_slo_burn_rates')}"
        f" where slo_id = {_text(slo_id)} order by window_minutes",
    )


def tiers(layer: Layer) -> dict[str, list[Tier]]:
    """The tiers of the policy of each SLO."""
    rows = read(
        layer,
        f"select * from {relation(layer, 'slo_alert_tiers')} order by slo_id, long_minutes",
    )
    of_slo: dict[str, list[Tier]] = {}
    for row in rows:
        of_slo.setdefault(row.pop("slo_id"), []).append(Tier(**row))
    return of_slo


def policy(layer: Layer, name: str, period_minutes: int) -> list[Tier]:
    """The tiers of a policy for a period.

    Raises:
        UnknownNameError: there is no such policy.
    """
    rows = read(layer, f"select * from {relation(layer, 'alert_tiers', 'governance')}")
    policies = {row["policy"] for row in rows}
    if name not in policies:
        raise UnknownNameError("alert policy", name, policies)
    return [derived(row, period_minutes) for row in rows if row["policy"] == name]


def history(layer: Layer, slo_ids: Iterable[str], grain: str) -> list[dict[str, Any]]:
    """The closed and the running periods of SLOs, in the SLO's own time zone, gross and net.

    Args:
        layer: the layer of a built project.
        slo_ids: the SLOs with their subjects.
        grain: month, quarter, or year, which is the sum of its months.
    """
    among = ", ".join(_text(slo_id) for slo_id in slo_ids) or "null"
    built = "month" if grain == "year" else grain
    rows = (
        f"select * from {relation(layer, 'fct_slo_periods')}"
        f" where period_grain = {_text(built)} and slo_id in ({among})"
    )
    if grain == "year":
        rows = _YEARS.format(months=rows)
    return read(layer, f"{rows} order by slo_id, period_start")


def burn_down(layer: Layer, slo_id: str, month: dt.date) -> list[dict[str, Any]]:
    """What was left of an SLO's budget at the end of each local day of a month, net.

    The budget is that of the whole month, of a running one that of what came in so far; the last
    row has the same remaining rate as the month in `history`.

    Args:
        layer: the layer of a built project.
        slo_id: the SLO and its subject; a composite has no units and so no rows.
        month: its first day.

    Returns:
        Rows of local_date, bad_units and allowed_units of the day, and remaining_rate.
    """
    return read(
        layer,
        f"""
        with days as (
            select local_date, sum(bad_units) as bad_units, sum(allowed_units) as allowed_units
            from {relation(layer, "fct_slo_slices_hourly")}
            where slo_id = {_text(slo_id)} and not is_excluded
                and local_date >= date '{month}'
                and local_date < date '{month}' + interval 1 month
            group by local_date
        )
        select local_date, bad_units, allowed_units,
            1 - sum(bad_units) over (order by local_date)
                / nullif(sum(allowed_units) over (), 0) as remaining_rate
        from days order by local_date""",
    )


def exclusions(layer: Layer) -> list[dict[str, Any]]:
    """Every entry of the register of exclusions with what became of it."""
    return read(
        layer, f"select * from {relation(layer, 'slo_exclusions')} order by starts_at, exclusion_id"
    )


def overlapping_exclusions(layer: Layer) -> list[dict[str, Any]]:
    """Pairs of exclusions that count and overlap for one subject."""
    name = relation(layer, "slo_exclusions")
    return read(
        layer,
        "select a.exclusion_id as first, b.exclusion_id as second"
        f" from {name} as a inner join {name} as b"
        " on a.exclusion_id < b.exclusion_id and a.starts_at < b.ends_at"
        " and b.starts_at < a.ends_at"
        " and (a.slo is null or b.slo is null or a.slo = b.slo)"
        " and (a.subject is null or b.subject is null or a.subject = b.subject)"
        " where a.judgement = 'counted' and b.judgement = 'counted' order by 1, 2",
    )


def minutes(
    layer: Layer,
    kpi: str,
    subjects: Iterable[str],
    starts_at: dt.datetime,
    ends_at: dt.datetime,
) -> dict[dt.datetime, tuple[int, int]]:
    """Good and valid events of a KPI by minute, of some subjects together, in the order of time.

    Args:
        layer: the layer of a built project.
        kpi: the SLI.
        subjects: the services that are added up.
        starts_at: the first instant, in UTC.
        ends_at: the instant before which it ends.
    """
    among = ", ".join(_text(subject) for subject in subjects)
    found = _table(
        layer,
        "select minute_at, sum(good_count) as good_count, sum(total_count) as total_count"
        f" from {relation(layer, 'int_sli_minutely')}"
        f" where kpi = {_text(kpi)} and subject in ({among})"
        f" and minute_at >= {_instant(starts_at)} and minute_at < {_instant(ends_at)}"
        " group by minute_at order by minute_at",
    )
    # Through numpy: Arrow makes a timestamp at a time, ten times slower.
    at, good, total = (column.to_numpy().tolist() for column in found.columns)
    return dict(zip(at, zip(good, total, strict=True), strict=True))


def watermark(layer: Layer, kpi: str) -> dt.datetime | None:
    """The end of the last minute that a KPI's mart has, in UTC."""
    rows = read(
        layer,
        f"select max(watermark_at) as at from {relation(layer, 'int_sli_watermarks')}"
        f" where kpi = {_text(kpi)}",
    )
    at: dt.datetime | None = rows[0]["at"]
    return at


def watermarks(layer: Layer) -> dict[str, dt.datetime]:
    """Up to which instant, in UTC, each SLO that is no composite has whole minutes."""
    rows = read(
        layer,
        "select slo_id, max(ends_at) as ends_at"
        f" from {relation(layer, 'int_slo_windows')} group by slo_id",
    )
    return {row["slo_id"]: row["ends_at"] for row in rows}


def window_sums(layer: Layer) -> list[dict[str, Any]]:
    """Units, bad and allowed ones in each window of the policy of each SLO, up to its watermark."""
    return read(
        layer,
        "select slo_id, window_minutes, ends_at, units, bad_units, allowed_units"
        f" from {relation(layer, 'int_slo_window_sums')} where window_use = 'burn'",
    )


def window_sums_by_minute(
    layer: Layer,
    slo_ids: Iterable[str],
    lengths: Iterable[int],
    starts_at: dt.datetime,
    ends_at: dt.datetime,
) -> list[dict[str, Any]]:
    """The same at the end of every minute of a range, net of exclusions, in the order of time.

    Sums of a window are differences of running sums over all minutes.

    Args:
        layer: the layer.
        slo_ids: the SLOs.
        lengths: of the windows, in minutes; a window of 60 gives `units_60` and the like.
        starts_at: the end of the first minute, in UTC.
        ends_at: the end of the last minute.
    """
    lengths = sorted(set(lengths))
    among = ", ".join(_text(slo_id) for slo_id in sorted(slo_ids))
    first = _instant(starts_at - dt.timedelta(minutes=lengths[-1]))
    measures = ("units", "bad_units", "allowed_units")
    by_slo = "partition by slo_id order by minute_at"
    running = ", ".join(f"sum(coalesce({m}, 0)) over ({by_slo}) as {m}" for m in measures)
    windows = ", ".join(
        f"{m} - coalesce(lag({m}, {length}) over ({by_slo}), 0) as {m}_{length}"
        for length in lengths
        for m in measures
    )
    return read(
        layer,
        f"""
        with slices as (
            select slo_id, minute_at, units, bad_units, allowed_units
            from {relation(layer, "fct_slo_slices_minutely")}
            where slo_id in ({among}) and not is_excluded
                and minute_at >= {first} and minute_at < {_instant(ends_at)}
        ),
        slos as (
            select slo_id from {relation(layer, "slo_definitions")} where slo_id in ({among})
        ),
        dense as (
            select slos.slo_id, minutes.minute_at,
                slices.units, slices.bad_units, slices.allowed_units
            from {relation(layer, "time_spine_minute", "utilities")} as minutes
            cross join slos
            left join slices
                on slos.slo_id = slices.slo_id and minutes.minute_at = slices.minute_at
            where minutes.minute_at >= {first} and minutes.minute_at < {_instant(ends_at)}
        ),
        running as (select slo_id, minute_at, {running} from dense),
        windows as (select slo_id, minute_at, {windows} from running)
        select * from windows
        where minute_at >= {_instant(starts_at - dt.timedelta(minutes=1))}
        order by minute_at, slo_id""",
    )


def last_events(layer: Layer, since: dt.datetime) -> list[dict[str, Any]]:
    """SLO and the last minute with events since an instant in UTC; None where there was none."""
    return read(
        layer,
        "select slos.slo_id, max(minutes.minute_at) as minute_at"
        f" from {relation(layer, 'slo_definitions')} as slos"
        f" left join {relation(layer, 'int_sli_minutely')} as minutes"
        " on slos.kpi = minutes.kpi and slos.subject_kind = minutes.subject_kind"
        " and slos.subject = minutes.subject and minutes.total_count > 0"
        f" and minutes.minute_at >= {_instant(since)}"
        " where not slos.is_composite group by slos.slo_id order by slos.slo_id",
    )


def replay(  # noqa: PLR0913 - one statement and what varies in it
    layer: Layer,
    slo_id: str,
    tier: Tier,
    *,
    target: Decimal | None,
    starts_at: dt.datetime,
    ends_at: dt.datetime,
) -> list[dict[str, Any]]:
    """The instants at which a tier would have begun or ceased to fire, with its burn rates.

    Every minute of the past is judged at its end, minutes without traffic too. Sums of a window
    are differences of running sums over all minutes.
    """
    allowed = "allowed_units" if target is None else f"units * (1 - {target})"
    running = ", ".join(
        f"sum(coalesce({name}, 0)) over (order by minute_at) as {name}"
        for name in ("units", "bad_units", "allowed_units")
    )
    windows = ", ".join(
        f"{name} - coalesce(lag({name}, {length}) over (order by minute_at), 0) as {span}_{name}"
        for span, length in (("long", tier.long_minutes), ("short", tier.short_minutes))
        for name in ("units", "bad_units", "allowed_units")
    )
    burning = " and ".join(
        f"{span}_bad_units > {tier.factor} * {span}_allowed_units and {span}_allowed_units > 0"
        for span in ("long", "short")
    )
    return read(
        layer,
        f"""
        with slices as (
            select minute_at, units, bad_units, {allowed} as allowed_units
            from {relation(layer, "fct_slo_slices_minutely")}
            where slo_id = {_text(slo_id)} and not is_excluded
                and minute_at >= {_instant(starts_at)} and minute_at < {_instant(ends_at)}
        ),
        dense as (
            select minutes.minute_at, slices.units, slices.bad_units, slices.allowed_units
            from {relation(layer, "time_spine_minute", "utilities")} as minutes
            left join slices on minutes.minute_at = slices.minute_at
            where minutes.minute_at >= {_instant(starts_at)}
                and minutes.minute_at < {_instant(ends_at)}
        ),
        running as (select minute_at, {running} from dense),
        windows as (select minute_at, {windows} from running),
        judged as (
            select *, case when {burning}
                and long_units >= {tier.min_units} and long_bad_units >= {tier.min_bad_units}
                then 1 else 0 end as is_firing
            from windows
        ),
        changes as (
            select *, coalesce(lag(is_firing) over (order by minute_at), 0) as was_firing
            from judged
        )
        select minute_at, is_firing,
            long_bad_units / nullif(long_allowed_units, 0) as long_burn_rate,
            short_bad_units / nullif(short_allowed_units, 0) as short_burn_rate
        from changes where is_firing <> was_firing order by minute_at""",
    )


def incidents(
    layer: Layer, subject: str, starts_at: dt.datetime, ends_at: dt.datetime
) -> list[dict[str, Any]]:
    """Known incidents of a service ("all": of every one) that began in a range."""
    of_subject = "" if subject == "all" else f" and service_id = {_text(subject)}"
    try:
        return read(
            layer,
            "select incident_id, service_id, severity, cause, started_at, restored_at"
            f" from {relation(layer, 'fct_incidents', 'marts')}"
            f" where started_at >= {_instant(starts_at)} and started_at < {_instant(ends_at)}"
            f"{of_subject} order by started_at",
        )
    except QueryError:
        return []


def last_deployment(
    layer: Layer, subject: str, starts_at: dt.datetime, ends_at: dt.datetime
) -> dict[str, Any] | None:
    """The last deployment of a service ("all": of every one) in a range, if there was one."""
    of_subject = "" if subject == "all" else f" and service_id = {_text(subject)}"
    try:
        rows = read(
            layer,
            "select deployment_id, service_id, deployed_at, is_failed"
            f" from {relation(layer, 'fct_deployments', 'marts')}"
            f" where deployed_at >= {_instant(starts_at)} and deployed_at < {_instant(ends_at)}"
            f"{of_subject} order by deployed_at desc limit 1",
        )
    except QueryError:
        return None
    return rows[0] if rows else None


def deployments(layer: Layer) -> list[dict[str, Any]]:
    """Every deployment by its instant; none where the project has no such model."""
    try:
        return read(
            layer,
            "select deployment_id, service_id, deployed_at, is_failed"
            f" from {relation(layer, 'fct_deployments', 'marts')}"
            " where deployed_at is not null order by deployed_at, deployment_id",
        )
    except QueryError:
        return []


def team(layer: Layer, subject: str) -> str | None:
    """Who runs a service, as the services' own table says."""
    return _of_service(layer, subject, "team")


def service_name(layer: Layer, subject: str) -> str | None:
    """What a service is called in dimensions, as the services' own table says."""
    return _of_service(layer, subject, "service_name")


def _of_service(layer: Layer, subject: str, column: str) -> str | None:
    try:
        rows = read(
            layer,
            f"select {column} as told from {relation(layer, 'dim_services', 'marts')}"
            f" where service_id = {_text(subject)}",
        )
    except QueryError:
        return None
    return str(rows[0]["told"]) if rows and rows[0]["told"] is not None else None


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _instant(value: dt.datetime) -> str:
    return f"cast('{value:%Y-%m-%d %H:%M:%S}' as timestamp)"

"""What differs between a KPI's values now and its last published ones, in DuckDB's SQL."""

from __future__ import annotations

from cadran.warehouse.duckdb_ledger import ROWS, latest, literal

STAGED = """
create or replace temp table staged (
    grain varchar, period timestamp, dimension_set varchar, dimensions varchar,
    value varchar, numerator varchar, denominator varchar, observations bigint
)
"""


def stage(source: str, measured: dict[str, str | None], names: dict[str, str]) -> str:
    """The rows of a registered table in the ledger's form.

    Args:
        source: the name under which the table is registered.
        measured: expressions of value, numerator, denominator and observations; None for none.
        names: grain, the time column, and the dimensions with commas between them.
    """
    dimensions = [name for name in names["dimensions"].split(",") if name]
    pairs = ", ".join(f'{literal(name)}, "{name}"' for name in dimensions)
    parts = ", ".join(f"{expression or 'null'} as {name}" for name, expression in measured.items())
    return f"""
    insert into staged select
        {literal(names["grain"])}, cast("{names["time"]}" as timestamp),
        {literal(names["dimensions"])},
        {f"cast(json_object({pairs}) as varchar)" if pairs else "'{}'"}, {parts}
    from {source}
    where "{names["time"]}" is not null
    """


def compare(  # noqa: PLR0913 - each is one property of the comparison
    kpi: str, *, version: int, minimum: int, first: str, last: str, sets: list[str],
    inexact: dict[str, bool], start: str,
) -> str:  # fmt: skip
    """What is true of each key now, beside what was last published of it, in table `compared`.

    Args:
        kpi: the KPI whose values are staged.
        version: its version now.
        minimum: a value of fewer observations is too thin to be published.
        first: the first instant that has data, as text.
        last: the last one.
        sets: grains and dimension sets that were measured, as "month customer__country".
        inexact: whether value, numerator and denominator are doubles.
        start: the first day that was measured; periods that end before it stay as they are.
    """
    measured = ", ".join(map(literal, sets))
    changed = " or ".join(
        differs(f"old.{name}", f"new.{name}", inexact=inexact[name]) for name in inexact
    )
    return f"""
    create or replace temp table compared as
    with old as (
        select * from ({latest(f"select * from {ROWS} where kpi = {literal(kpi)}")}) as last_row
        where grain || ' ' || dimension_set in ({measured})
            and period_end(grain, period) > timestamp '{start}'
    ), fresh as (
        select *, coalesce(observations < {minimum}, false) as is_thin from staged
        where value is not null
            and period >= date_trunc('year', timestamp '{first}') and period <= timestamp '{last}'
            and period_end(grain, period) > timestamp '{first}'
    ), new as (
        select * replace (
            if(is_thin, null, value) as value,
            if(is_thin, null, numerator) as numerator,
            if(is_thin, null, denominator) as denominator
        ) from fresh
    ), matched as (
        select
            grain, period, dimensions,
            coalesce(new.dimension_set, old.dimension_set) as dimension_set,
            coalesce(new.is_thin, false) as is_thin,
            new.value, new.numerator, new.denominator, new.observations,
            old.value as published, old.version as old_version,
            coalesce(old.version < {version}, false) as is_older,
            old.version is null or {changed}
                or coalesce(new.is_thin, false) <> coalesce(old.status = 'suppressed', false)
                as is_changed
        from new full outer join old using (grain, period, dimensions)
    )
    select
        *,
        case
            when published is null or cast(published as double) = 0 or value is null
                then 'infinity'::double
            else abs(cast(value as double) / cast(published as double) - 1)
        end as change
    from matched
    where is_changed or is_older
    """


def place(
    closed: list[tuple[str, str]],
    covers: str | None,
    approved: str,
    materiality: float,
    *,
    restates: str,
) -> str:
    """Sort what differs by the batch that it goes into, in table `placed`.

    A final value changes by a version that restates it, by an approval, or by less than what is
    material; otherwise it waits. A value that is not final is simply published.

    Args:
        closed: half-open ranges of instants in which values are final.
        covers: a condition on `period`: the present version speaks for it; None where no record
            says so: then it speaks for what no older one published.
        approved: a condition on `period`: somebody approved that final values change.
        materiality: the relative change from which approval is needed.
        restates: a condition on `period`: the present version may change final values of an
            older one.
    """
    final = within(closed)
    touched = f"({covers}) and (({restates}) or not ({final}))" if covers else "false"
    return f"""
    create or replace temp table placed as
    select *, case
        when is_older and {touched} then if({restates}, 'restating', 'version')
        when is_older then 'kept'
        when not ({covers or "true"}) and (select bool_or(is_older) from compared) then 'kept'
        when not ({final}) then 'publish'
        when {approved} then 'approved'
        when change <= {materiality} then 'immaterial'
        else 'waiting'
    end as goes
    from compared
    """


def within(ranges: list[tuple[str, str]]) -> str:
    """A condition: the whole period lies within one of the half-open ranges."""
    each = (
        f"(period >= timestamp '{start}' and period_end(grain, period) <= timestamp '{end}')"
        for start, end in ranges
    )
    return " or ".join(each) or "false"


MACROS = """
create or replace temp macro period_end(grain, period) as period + case grain
    when 'year' then interval 1 year when 'quarter' then interval 3 month
    when 'month' then interval 1 month when 'week' then interval 7 day
    when 'day' then interval 1 day when 'hour' then interval 1 hour else interval 1 minute end
"""


def canonical(column: str, kind: str) -> str:
    """The one text of a number: decimals without closing zeros, doubles in shortest exact form."""
    text = f"cast({column} as varchar)"
    if "decimal" in kind:
        text = f"if(contains({text}, '.'), rtrim(rtrim({text}, '0'), '.'), {text})"
    elif is_inexact(kind):
        # Infinity and not-a-number are no values that anybody can publish.
        text = f"case when isfinite({column}) then {text} end"
    return f"case {text} when '-0' then '0' when '-0.0' then '0.0' else {text} end"


def is_inexact(kind: str) -> bool:
    """Whether numbers of an Arrow type are doubles, of which the last bits mean nothing."""
    return kind in ("double", "float")


def differs(old: str, new: str, *, inexact: bool) -> str:
    """Whether two texts are different numbers: exactly, but for the last bits of doubles.

    A sum of doubles depends on the order in which threads meet, so a part in 10^12 is no revision.
    """
    if not inexact:
        return f"{old} is distinct from {new}"
    gap = f"abs(cast({old} as double) - cast({new} as double))"
    near = f"{gap} <= 1e-12 * abs(cast({old} as double))"
    return f"({old} is distinct from {new} and not coalesce({near}, false))"

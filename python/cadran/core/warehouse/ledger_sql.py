"""The ledger's tables and statements in DuckDB's SQL, which a copy of them runs on other engines.

Rows go in by batches and are never touched again. Each row has a hash, a batch has the hash of its
rows' hashes in their order, and each batch's own hash covers that of the batch before it. A batch
also keeps eight bytes of each row's hash, so that a bad row can be named. The tables lie outside
dbt's models, in a schema that dbt fills with others: no `dbt build` drops them.

Who can write the file can also put macros, views and triggers into it. So the ledger is judged from
another database's namespace, in which none of them is called, once its tables are seen to be what
`CREATE` makes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cadran.core.warehouse import dialects
from cadran.core.warehouse.dialects import literal
from cadran.core.warehouse.duckdb_local import Scratch
from cadran.core.warehouse.protocol import Fault

if TYPE_CHECKING:
    from collections.abc import Callable

SCHEMA = "governance"
ROWS = f"{SCHEMA}.kpi_ledger_rows"
BATCHES = f"{SCHEMA}.kpi_ledger_batches"
WAITING = f"{SCHEMA}.kpi_ledger_waiting"
VIEW = f"{SCHEMA}.kpi_ledger"

EXISTS = f"""
select count(*) = 2 as there from information_schema.tables
where table_schema = '{SCHEMA}' and table_name in ('kpi_ledger_rows', 'kpi_ledger_batches')
    and table_catalog = current_database()
"""
HASHES = f"select batch, hash from {BATCHES} order by batch"

CREATE = f"""
create schema if not exists {SCHEMA};
create table if not exists {BATCHES} (
    batch bigint not null,          -- 1, 2, 3, ... without a gap
    kind varchar not null,          -- publish | restatement | close | waiting | settlement
    kpi varchar not null,
    published_at timestamp not null, -- UTC, rising
    computed_at timestamp not null,
    data_as_of timestamp,           -- last instant in the sources of the KPI
    value_type varchar not null,    -- the warehouse's type of the values
    version integer not null,
    definition_hash varchar not null,
    git_revision varchar,
    author varchar not null,
    details varchar not null,       -- JSON: period closed, or kind, reason, approver, ticket
    row_count bigint not null,
    rows_hash varchar not null,
    previous_hash varchar not null,
    hash varchar not null,
    row_marks ubigint[] not null    -- eight bytes of the hash of each row, to name a bad one
);
create table if not exists {ROWS} (
    batch bigint not null,
    row bigint not null,            -- 1, 2, 3, ... within its batch
    kpi varchar not null,
    grain varchar not null,
    period timestamp not null,      -- its start
    dimension_set varchar not null, -- names with commas between them; empty for the whole
    dimensions varchar not null,    -- JSON: name and member; {{}} for the whole
    value varchar,                  -- exact decimal text; NULL: nothing there, or suppressed
    numerator varchar,
    denominator varchar,
    observations bigint,
    status varchar not null,        -- provisional | final | restated | suppressed
    version integer not null,
    definition_hash varchar not null
);
create table if not exists {WAITING} (
    kpi varchar, grain varchar, period timestamp, dimension_set varchar, dimensions varchar,
    published varchar, computed varchar, change double, found_at timestamp
);
create or replace view {VIEW} as
select
    entry.*,
    try_cast(entry.value as double) as value_number,
    batch.kind, batch.published_at, batch.computed_at, batch.data_as_of, batch.git_revision,
    batch.author, batch.value_type, batch.details
from {ROWS} as entry
inner join {BATCHES} as batch using (batch);
"""

_FIELDS = (
    "batch", "row", "kpi", "grain", "period", "dimension_set", "dimensions", "value", "numerator",
    "denominator", "observations", "status", "version", "definition_hash",
)  # fmt: skip
_NULLABLE = {"value", "numerator", "denominator", "observations"}
_WAITING = (
    "kpi", "grain", "period", "dimension_set", "dimensions", "published", "computed",
    "cast(change as varchar)", "found_at",
)  # fmt: skip

# How the rows of a batch are hashed; it stands in the batch's details, under its seal.
SCHEME = 2


def _separated() -> str:
    """Scheme 1: fields with chr(31) between them, NULL as chr(30)."""
    texts = (
        f"coalesce(cast({name} as varchar), chr(30))" if name in _NULLABLE else name
        for name in _FIELDS
    )
    return "sha256(concat_ws(chr(31), " + ", ".join(texts) + "))"


_ROW_HASHES = {
    1: _separated(),
    # JSON tells NULL from every text, and where a text ends.
    2: f"sha256(cast(json_array({', '.join(_FIELDS)}) as varchar))",
}
# What scheme 1 cannot tell apart stands in no row that was published by it.
AMBIGUOUS = " or ".join(
    f"contains({name}, chr(30)) or contains({name}, chr(31))"
    for name in ("kpi", "grain", "dimension_set", "dimensions", "value", "numerator",
                 "denominator", "status", "definition_hash")
)  # fmt: skip
MARK = "cast('0x' || row_hash[1:16] as ubigint)"


def row_hash(older_until: int = 0) -> str:
    """The hash of a row, by scheme 1 in the batches up to one."""
    if not older_until:
        return _ROW_HASHES[SCHEME]
    return f"if(batch <= {older_until}, {_ROW_HASHES[1]}, {_ROW_HASHES[SCHEME]})"


def hashed(relation: str, older_until: int = 0) -> str:
    """The count, the hash and the marks of each batch, computed from its rows as they are."""
    return f"""
    select
        batch,
        count(*) as row_count,
        sha256(string_agg(row_hash, '' order by row)) as rows_hash,
        list({MARK} order by row) as row_marks
    from (
        select batch, row, {row_hash(older_until)} as row_hash from {relation}
    ) as each_row
    group by batch
    """


def waiting_hashes(relation: str = WAITING, where: str = "true") -> str:
    """How many values of each KPI wait for approval, and one hash over them."""
    return f"""
    select
        kpi, count(*) as waiting,
        sha256(string_agg(row_hash, '' order by row_hash)) as waiting_hash
    from (
        select kpi, sha256(cast(json_array({", ".join(_WAITING)}) as varchar)) as row_hash
        from {relation} where {where}
    ) as each_row
    group by kpi
    """


def waiting_seals(where: str = "true", batches: str = BATCHES) -> str:
    """What the last batch about each KPI's waiting values says of them."""
    return f"""
    select
        kpi, max(batch) as batch,
        arg_max(cast(details->>'waiting' as bigint), batch) as waiting,
        arg_max_null(details->>'waiting_hash', batch) as waiting_hash
    from {batches} where kind = 'waiting' and {where} group by kpi
    """


def faults(catalog: str, rows: Callable[[str], list[dict[str, Any]]]) -> list[Fault]:
    """What stands in the way of reading the ledger.

    Args:
        catalog: what the file is called where it is attached.
        rows: runs a statement where nothing of that file is called.
    """
    with Scratch() as fresh:
        fresh.execute(CREATE)
        expected = {name: (kind, sql) for kind, name, sql in fresh.rows(_objects("memory"))}
    present = rows(_objects(catalog))
    objects = {row["name"]: (row["kind"], row["sql"]) for row in present}
    problems = []
    for name, (kind, sql) in expected.items():
        actual, text = objects.get(name, (kind, sql))
        if actual != kind:
            problems.append(Fault(f"{SCHEMA}.{name} is a {actual}, no {kind}", is_table=True))
        elif text != sql:
            label = f"{SCHEMA}.{name} is a {kind} that the ledger did not make"
            problems.append(Fault(label, kind == "table"))
    tables = [name for name, (kind, _) in expected.items() if kind == "table"]
    if any(name in objects for name in tables):
        absent = [name for name in tables if name not in objects]
        problems += [Fault(f"{SCHEMA}.{name} is missing", is_table=True) for name in absent]
    return problems + [
        Fault(f"the {row['kind']} {row['name']} stands in the way of what is read: drop it")
        for row in present
        if row["kind"] in {"macro", "trigger"}
    ]


def _objects(catalog: str) -> str:
    """The ledger's tables and view as they are, and what could change what they seem to hold."""
    in_catalog = f"database_name = {literal(catalog)}"
    return f"""
    select 'table' as kind, table_name as name, sql from duckdb_tables()
    where {in_catalog} and schema_name = '{SCHEMA}' and starts_with(table_name, 'kpi_ledger')
    union all by name
    select 'view' as kind, view_name as name, sql from duckdb_views()
    where {in_catalog} and schema_name = '{SCHEMA}' and starts_with(view_name, 'kpi_ledger')
    union all by name
    select 'trigger' as kind, schema_name || '.' || trigger_name as name, '' as sql
    from duckdb_triggers() where {in_catalog} and schema_name = '{SCHEMA}'
    union all by name
    select distinct 'macro' as kind, schema_name || '.' || function_name as name, '' as sql
    from duckdb_functions()
    where {in_catalog} and not internal and (
        schema_name = '{SCHEMA}'
        or function_name in (select function_name from duckdb_functions() where internal)
    )
    """


KEY = "kpi, grain, period, dimensions"


def latest(source: str, allowed: str = "") -> str:
    """The last row of each period and member among some rows.

    A batch has one row of a key at most, so the greatest batch tells the last row; sorting whole
    rows would take ten times as long.

    Args:
        source: a statement that gives rows of the ledger.
        allowed: a condition on rows beside the `first_batch`, `first_version` and `restated_at`
            (the first batch that restated) of their key; by default every row counts.
    """
    rows = f"({source}) as entry"
    if allowed:
        rows = f"""({source}) as entry inner join (
            select
                {KEY}, min(batch) as first_batch, arg_min(version, batch) as first_version,
                min(batch) filter (where status = 'restated') as restated_at
            from ({source}) as every group by all
        ) as edges using ({KEY})
        where {allowed}"""
    return f"""
    select entry.* from ({source}) as entry
    inner join (select {KEY}, max(batch) as batch from {rows} group by all) as last_one
        using ({KEY}, batch)
    """


def last_of(kpi: str) -> str:
    """The hash of the last batch of a KPI."""
    return f"select hash from {BATCHES} where kpi = {literal(kpi)} order by batch desc limit 1"


def defined(kpi: str, version: int) -> str:
    """The definition's hash by which a version was last published, and the tools that made it."""
    return (
        f"select definition_hash, coalesce(details->>'tools', '') as tools from {BATCHES}"
        f" where kpi = {literal(kpi)} and version = {version}"
        " and kind in ('publish', 'restatement') order by batch desc limit 1"
    )


def mark_of(relation: str, dialect: str) -> str:
    """What tells whether a table holds the same rows; it costs a tenth of any question.

    Args:
        relation: as compiled SQL names it.
        dialect: of the warehouse that has it.
    """
    of_row = "hash(entry)"
    if dialect == dialects.POSTGRES:
        of_row = "hashtextextended(cast(entry as text), 0)"
    return (
        f"select count(*) as rows, cast(bit_xor({of_row}) as varchar) as crossed,"
        f" cast(sum({of_row}) as varchar) as summed from {relation} as entry"
    )


# Sums of binary fractions depend on their order in the last digits; nothing else may differ.
SAME = 1e-9


def side_by_side(  # noqa: PLR0913 - two statements, and what of them is compared
    old: str, new: str, *, time: str, kpi: str, months: int, in_points: bool = False
) -> str:
    """The values of both statements over the last months there are.

    Returns:
        A statement with the columns period, old, new and change: relative, NULL without a base; in
        points the difference.
    """
    base = "1" if in_points else "nullif(abs(cast(old as double)), 0)"
    return f"""
        with old as ({old}),
        new as ({new}),
        paired as (
            select coalesce(old."{time}", new."{time}") as period,
                old."{kpi}" as old, new."{kpi}" as new
            from old full join new on old."{time}" = new."{time}"
        )
        select period, old, new,
            (cast(new as double) - cast(old as double)) / {base} as change
        from paired
        where period > (select max(period) from paired) - interval {int(months)} month
        order by period
    """


def differences(old: str, new: str, *, keys: list[str], kpi: str) -> str:
    """How many values of two statements differ, by what they are grouped by.

    Returns:
        A statement of one row: rows, differences, first and last period, and old and new, which
        stand for all that each of the two gave.
    """
    joined = " and ".join(f'old."{key}" is not distinct from new."{key}"' for key in keys)
    listed = ", ".join(f'"{key}"' for key in keys)
    row = f"concat_ws('|', {listed}, coalesce(cast(\"{kpi}\" as varchar), 'null'))"
    value, time = f'"{kpi}"', f'"{keys[0]}"'
    return f"""
        with old as (select *, true as is_there from ({old})),
        new as (select *, true as is_there from ({new}))
        select count(*) as rows,
            count(*) filter (
                where old.is_there is null or new.is_there is null or (
                    old.{value} is distinct from new.{value}
                    and coalesce(
                        abs(cast(old.{value} as double) - cast(new.{value} as double))
                            > {SAME} * greatest(abs(old.{value}), abs(new.{value})), true
                    )
                )
            ) as differences,
            cast(min(coalesce(old.{time}, new.{time})) as varchar) as first,
            cast(max(coalesce(old.{time}, new.{time})) as varchar) as last,
            (select cast(bit_xor(md5_number({row})) as varchar) from old) as old,
            (select cast(bit_xor(md5_number({row})) as varchar) from new) as new
        from old full join new on {joined}
    """


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
    create or replace temp table sorted as
    select *, ({final}) as is_final, case
        when is_older and {touched} then if({restates}, 'restating', 'version')
        when is_older then 'kept'
        when not ({covers or "true"}) and (select bool_or(is_older) from compared) then 'kept'
        when not ({final}) then 'publish'
        when {approved} then 'approved'
        when change <= {materiality} then 'immaterial'
        else 'waiting'
    end as goes
    from compared;
    -- What holds a value that waits would tell it: it waits as well, where nobody approved it.
    create or replace temp table placed as
    select sorted.* replace (if(goes = 'publish' and is_above, 'waiting', goes) as goes)
    from (
        select each_row.*, coalesce(waiting.is_above, false) as is_above
        from sorted as each_row
        left join (
            select distinct upper.grain, upper.period, upper.dimensions, true as is_above
            from sorted as upper
            inner join sorted as lower using (dimensions)
            where upper.goes = 'publish' and lower.goes = 'waiting'
                and lower.period < period_end(upper.grain, upper.period)
                and period_end(lower.grain, lower.period) > upper.period
        ) as waiting using (grain, period, dimensions)
    ) as sorted
    """


def within(ranges: list[tuple[str, str]]) -> str:
    """A condition: the whole period lies within one of the half-open ranges."""
    conditions = (
        f"(period >= timestamp '{start}' and period_end(grain, period) <= timestamp '{end}')"
        for start, end in ranges
    )
    return " or ".join(conditions) or "false"


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

"""The ledger's tables and statements in DuckDB's SQL.

Rows go in by batches and are never touched again. Each row has a hash, a batch has the hash of its
rows' hashes in their order, and each batch's own hash covers that of the batch before it. A batch
also keeps eight bytes of each row's hash, so that a bad row can be named. The tables lie outside
dbt's models, in a schema that dbt fills with others: no `dbt build` drops them.
"""

from __future__ import annotations

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

CREATE = f"""
create schema if not exists {SCHEMA};
create table if not exists {BATCHES} (
    batch bigint not null,          -- 1, 2, 3, ... without a gap
    kind varchar not null,          -- publish | restatement | close
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

# A field ends with chr(31), and NULL is chr(30): neither stands in a number, a name or JSON text.
_FIELDS = (
    "batch", "row", "kpi", "grain", "period", "dimension_set", "dimensions", "value", "numerator",
    "denominator", "observations", "status", "version", "definition_hash",
)  # fmt: skip
_NULLABLE = {"value", "numerator", "denominator", "observations"}


def _row_hash() -> str:
    texts = (
        f"coalesce(cast({name} as varchar), chr(30))" if name in _NULLABLE else name
        for name in _FIELDS
    )
    return "sha256(concat_ws(chr(31), " + ", ".join(texts) + "))"


ROW_HASH = _row_hash()
MARK = "cast('0x' || row_hash[1:16] as ubigint)"


def hashed(relation: str, where: str = "true") -> str:
    """The count, the hash and the marks of each batch, computed from its rows as they are."""
    return f"""
    select
        batch,
        count(*) as row_count,
        sha256(string_agg(row_hash, '' order by row)) as rows_hash,
        list({MARK} order by row) as row_marks
    from (select batch, row, {ROW_HASH} as row_hash from {relation} where {where}) as each_row
    group by batch
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


def newest_of(kpi: str) -> str:
    """When the last published values of a KPI were computed."""
    return f"select max(computed_at) as at from {BATCHES} where kpi = {literal(kpi)}"


def defined(kpi: str, version: int) -> str:
    """The definition's hash by which a version was last published, and the tools that made it."""
    return (
        f"select definition_hash, coalesce(details->>'tools', '') as tools from {BATCHES}"
        f" where kpi = {literal(kpi)} and version = {version} and kind <> 'close'"
        " order by batch desc limit 1"
    )


def mark_of(relation: str) -> str:
    """What tells whether a table holds the same rows; it costs a tenth of any question."""
    return (
        "select count(*) as rows, cast(bit_xor(hash(entry)) as varchar) as crossed,"
        f" cast(sum(hash(entry)) as varchar) as summed from {relation} as entry"
    )


def literal(value: str) -> str:
    """A text in quotes."""
    return "'" + value.replace("'", "''") + "'"

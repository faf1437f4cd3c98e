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


def canonical(column: str, kind: str) -> str:
    """The one text of a number: decimals without closing zeros, doubles in shortest exact form."""
    text = f"cast({column} as varchar)"
    if kind.upper().startswith("DECIMAL") and not kind.endswith(",0)"):
        text = f"rtrim(rtrim({text}, '0'), '.')"
    if kind.upper() in ("DOUBLE", "FLOAT"):
        # Not a number and infinity are no values that anybody can publish.
        text = f"case when isfinite({column}) then {text} end"
    return f"case {text} when '-0' then '0' when '-0.0' then '0.0' else {text} end"


# Sums of doubles depend on the order in which threads meet: the last bits are no revision.
SAME_DOUBLE = 1e-12


def differs(old: str, new: str) -> str:
    """Whether two value texts are different numbers."""
    return f"""(
        {old} is distinct from {new} and not coalesce(
            abs(try_cast({old} as double) - try_cast({new} as double))
                <= {SAME_DOUBLE} * abs(try_cast({old} as double))
            and (contains({old} || {new}, 'e') or length({old}) > 15 or length({new}) > 15)
            and value_type in ('DOUBLE', 'FLOAT'), false)
    )"""


def latest(where: str) -> str:
    """The last row of each period and member among those of a condition."""
    return f"""
    select * from {ROWS} where {where}
    qualify row_number() over (
        partition by kpi, grain, period, dimensions order by batch desc, row desc
    ) = 1
    """

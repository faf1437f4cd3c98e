"""Plain SQL over KPI tables: one SELECT, over the saved queries that the caller may ask.

The statement is parsed, held to what a reader needs, and written anew from its tree; what runs is
never the client's own text.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from cadran.core.warehouse.dialects import DUCKDB
from cadran.errors import LimitError, QueryError, UnknownNameError, near_misses

if TYPE_CHECKING:
    from collections.abc import Container, Iterable


_AGGREGATES = """
    any_value approx_distinct arg_max arg_min avg corr count count_if first last logical_and
    logical_or max median min mode percentile_cont percentile_disc quantile stddev stddev_pop
    stddev_samp sum variance variance_pop
"""
_WINDOWS = """
    cume_dist dense_rank first_value lag last_value lead nth_value ntile percent_rank rank
    row_number
"""
_NUMBERS = """
    abs case cast ceil coalesce exists exp floor greatest grouping if is_inf is_nan least ln log
    mod nullif power round sign sqrt trunc try_cast
"""
_TEXTS = """
    ascii concat concat_ws contains ends_with initcap left length lower regexp_extract regexp_like
    replace reverse right split_part starts_with str_position substring trim upper
"""
_TIMES = """
    age current_date current_timestamp date date_add date_bin date_from_parts date_part date_sub
    date_trunc datediff day day_of_month day_of_week day_of_year dayname dayofweek_iso extract hour
    last_day minute month monthname now quarter second str_to_time time_to_str time_to_unix
    timestamp_trunc ts_or_ds_to_date week week_of_year year
"""
ALLOWED = frozenset(f"{_AGGREGATES} {_WINDOWS} {_NUMBERS} {_TEXTS} {_TIMES}".split())
_MOST_GROWTH = 22.0  # bits: no text grows beyond 4 MB
_LONGEST_CELL = 256


def hold(nodes: Iterable[exp.Expression]) -> None:
    """Hold that a statement uses these functions only, and makes no text out of all proportion.

    Raises:
        QueryError: it uses another function.
        LimitError: its texts could grow too long.
    """
    growth, longest = 0.0, _LONGEST_CELL
    for node in nodes:
        if isinstance(node, exp.Func) and not isinstance(node, exp.Connector):
            name = _name(node)
            if name not in ALLOWED:
                suggestions = near_misses(name, ALLOWED)
                hint = f" Did you mean {' or '.join(suggestions)}?" if suggestions else ""
                raise QueryError(f"The function {name} is not offered in plain SQL here.{hint}")
        if isinstance(node, exp.Literal) and node.is_string:
            longest = max(longest, len(node.this))
        growth += math.log2(_times(node))
    if growth + math.log2(longest) > _MOST_GROWTH:
        raise LimitError(
            "The statement joins texts to very long ones: join fewer, or shorter ones."
        )


def _name(function: exp.Func) -> str:
    anonymous = isinstance(function, (exp.Anonymous, exp.AnonymousAggFunc))
    return str(function.name if anonymous else function.sql_name()).lower()


def _times(node: exp.Expression) -> int:
    """How many times as long as its longest part a text can become."""
    if isinstance(node, exp.DPipe):
        # Of a chain, the outermost counts all.
        return 1 if isinstance(node.parent, exp.DPipe) else len(list(node.flatten()))
    if isinstance(node, (exp.Concat, exp.ConcatWs)):
        return max(1, 2 * len(node.expressions))
    if isinstance(node, exp.Replace):
        by = node.args.get("replacement")
        if by is not None and not by.is_string:
            raise QueryError("replace takes a text as its third argument, and no column.")
        return 1 + len(by.this if by is not None else "")
    return 1


# It would log what it does not know, in the client's own words.
logging.getLogger("sqlglot").setLevel(logging.ERROR)


CATALOG = "cadran"
SCHEMA = "kpis"
_REMEMBERED = 512
_MOST_TEXT = 20_000
_MOST_NODES = 3000
_READS = "Plain SQL here is one SELECT over KPI tables, such as select * from kpis.name."
_REFUSED = (
    exp.Command, exp.DDL, exp.DML, exp.Pragma, exp.Set, exp.Copy, exp.Attach, exp.Detach,
    exp.Into, exp.Lock, exp.Hint, exp.Pivot, exp.Unnest, exp.Lateral, exp.Columns,
)  # fmt: skip
_PARAMETERS = (exp.Placeholder, exp.Parameter, exp.SessionParameter)
_QUERIES = (exp.Select, exp.SetOperation, exp.Subquery)


@dataclass(frozen=True, slots=True)
class Plain:
    """A statement that was read.

    Attributes:
        sql: written anew for DuckDB.
        tables: that it names.
    """

    sql: str
    tables: tuple[str, ...]


@lru_cache(maxsize=_REMEMBERED)
def read(text: str) -> Plain:
    """The statement and the tables in it.

    Raises:
        QueryError: it is not one SELECT, or does more than read tables.
        LimitError: it makes texts that are too long.
    """
    if len(text) > _MOST_TEXT:
        raise QueryError(
            f"The statement has {len(text):,} characters; of plain SQL {_MOST_TEXT:,} are read."
        )
    try:
        parsed = sqlglot.parse(text, dialect=DUCKDB)
        trees = [
            statement
            for statement in parsed
            if statement is not None and not isinstance(statement, exp.Semicolon)
        ]
        if len(trees) != 1:
            raise QueryError(f"{len(trees)} statements are given; one is read. {_READS}")
        tree = trees[0]
        _hold(tree)
        tables = _tables(tree)
        return Plain(tree.sql(dialect=DUCKDB), tables)
    except (SqlglotError, RecursionError, TypeError, AttributeError):
        raise QueryError(f"The statement is not SQL that is read here. {_READS}") from None


def _hold(tree: exp.Expression) -> None:
    """Hold that a statement reads, and nothing else."""
    if not isinstance(tree, _QUERIES):
        raise QueryError(f"This server only reads. {_READS}")
    nodes = list(tree.walk())
    if len(nodes) > _MOST_NODES:
        raise QueryError(f"The statement has more than {_MOST_NODES:,} parts; shorten it.")
    for node in nodes:
        if isinstance(node, _REFUSED):
            raise QueryError(f"{node.key.upper()} is not read here. {_READS}")
        if isinstance(node, _PARAMETERS):
            raise QueryError("A statement takes no parameters here: write its values into it.")
        node.comments = None
    hold(nodes)


def _tables(tree: exp.Expression) -> tuple[str, ...]:
    """The tables that a statement names, each of which is written out in full on the way."""
    within = {cte.alias.lower() for cte in tree.find_all(exp.CTE)}
    names: dict[str, None] = {}
    for table in tree.find_all(exp.Table):
        name = _table(table)
        if table.db or name not in within:
            names[name] = None
            table.set("catalog", None)
            table.set("db", exp.to_identifier(SCHEMA))
            table.set("this", exp.to_identifier(name, quoted=True))
    return tuple(names)


def known(plain: Plain, tables: Iterable[str], stand_ins: Container[str] = ()) -> None:
    """Hold that every table of a statement is one of these, or given by its templates.

    Raises:
        UnknownNameError: one of them is not.
    """
    names = list(tables)
    for name in plain.tables:
        if name not in names and name not in stand_ins:
            raise UnknownNameError("table", name, names, where=f" in {SCHEMA}")


def _table(table: exp.Table) -> str:
    if not isinstance(table.this, exp.Identifier):
        raise QueryError(f"Rows come from tables only, not from functions. {_READS}")
    catalog, schema, name = table.catalog.lower(), table.db.lower(), str(table.name).lower()
    if catalog not in ("", CATALOG) or schema not in ("", SCHEMA):
        where = ".".join(part for part in (catalog, schema) if part)
        raise UnknownNameError("schema", where, [SCHEMA])
    return name

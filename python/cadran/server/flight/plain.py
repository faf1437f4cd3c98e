"""Plain SQL over KPI tables: one SELECT, over the saved queries that the caller may ask.

The statement is parsed, held to what a reader needs, and written anew from its tree; what runs is
never the client's own text.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from cadran.errors import QueryError, UnknownNameError
from cadran.server.flight import functions

# It would log what it does not know, in the client's own words.
logging.getLogger("sqlglot").setLevel(logging.ERROR)

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

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
        parsed = sqlglot.parse(text, dialect="duckdb")
        trees = [one for one in parsed if one is not None and not isinstance(one, exp.Semicolon)]
        if len(trees) != 1:
            raise QueryError(f"{len(trees)} statements are given; one is read. {_READS}")
        tree = trees[0]
        _hold(tree)
        tables = _tables(tree)
        return Plain(tree.sql(dialect="duckdb"), tables)
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
    functions.hold(nodes)


def _tables(tree: exp.Expression) -> tuple[str, ...]:
    """The tables that a statement names, each of which is written out in full on the way."""
    within = {cte.alias.lower() for cte in tree.find_all(exp.CTE)}
    found: dict[str, None] = {}
    for table in tree.find_all(exp.Table):
        name = _table(table)
        if table.db or name not in within:
            found[name] = None
            table.set("catalog", None)
            table.set("db", exp.to_identifier(SCHEMA))
            table.set("this", exp.to_identifier(name, quoted=True))
    return tuple(found)


def known(plain: Plain, tables: Iterable[str], given: Container[str] = ()) -> None:
    """Hold that every table of a statement is one of these, or given by its templates.

    Raises:
        UnknownNameError: one of them is not.
    """
    there = list(tables)
    for name in plain.tables:
        if name not in there and name not in given:
            raise UnknownNameError("table", name, there, where=f" in {SCHEMA}")


def _table(table: exp.Table) -> str:
    if not isinstance(table.this, exp.Identifier):
        raise QueryError(f"Rows come from tables only, not from functions. {_READS}")
    catalog, schema, name = table.catalog.lower(), table.db.lower(), str(table.name).lower()
    if catalog not in ("", CATALOG) or schema not in ("", SCHEMA):
        where = ".".join(part for part in (catalog, schema) if part)
        raise UnknownNameError("schema", where, [SCHEMA])
    return name

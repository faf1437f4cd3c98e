"""Engines by the names of their SQL dialects, and what is written alike in all of them.

A dialect's name is the one that sqlglot and dbt give it. Whoever writes or reads SQL takes it from
the project or from the warehouse; only what always runs in a local DuckDB names that.
"""

from __future__ import annotations

DUCKDB = "duckdb"
POSTGRES = "postgres"
SPARK = "spark"
# Of a manifest that stands alone, and of records of versions, which name none.
DEFAULT = DUCKDB


def quoted(name: str, dialect: str = DEFAULT) -> str:
    """A name of a column, table or schema in quotes."""
    quote = "`" if dialect == SPARK else '"'
    return quote + name.replace(quote, quote * 2) + quote


def literal(text: str) -> str:
    """A text in quotes."""
    return "'" + text.replace("'", "''") + "'"

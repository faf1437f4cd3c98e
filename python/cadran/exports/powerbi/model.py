"""What a Power BI semantic model is made of, before it is written as text."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from cadran.errors import CadranError

Kind = Literal["string", "int64", "decimal", "double", "boolean", "date", "dateTime"]


class NotSayableError(CadranError):
    """DAX has no expression that gives the same number; the message is the reason."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    `source` is its name in the file, `sql` what the warehouse computes for it, `layer` what the
    layer calls it: a dimension, or metric_time at a grain.
    """

    name: str
    source: str
    kind: Kind
    sql: str
    is_hidden: bool = True
    is_key: bool = False
    description: str = ""
    format: str | None = None
    layer: str | None = None
    caption_fr: str | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """A table, its file, and the relation of the warehouse that its rows are read from.

    `relation` is None for rows that are not those of one relation.
    """

    name: str
    file: str
    columns: tuple[Column, ...]
    relation: str | None = None
    description: str = ""
    is_date: bool = False
    caption_fr: str | None = None
    hierarchy: tuple[str, ...] = ()

    @property
    def is_hidden(self) -> bool:
        """Whether there is nothing in it to drag onto a page."""
        return all(column.is_hidden for column in self.columns)

    def column(self, name: str) -> Column:
        """The column of this name."""
        return next(column for column in self.columns if column.name == name)

    def with_column(self, column: Column) -> Table:
        """The same table with one column more."""
        return replace(self, columns=(*self.columns, column))


@dataclass(frozen=True, slots=True)
class Relationship:
    """Rows of one table belong to a row of another; an inactive one is switched on by a measure."""

    table: str
    column: str
    to_table: str
    to_column: str
    is_active: bool = True


@dataclass(frozen=True, slots=True)
class Measure:
    """A measure with its words in both languages. `metric` is the name in the layer."""

    name: str
    metric: str
    dax: str
    format: str | None
    description: str = ""
    folder: str = ""
    is_hidden: bool = False
    version: int | None = None
    caption_fr: str | None = None
    description_fr: str = ""
    folder_fr: str = ""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What the model does not hold, why, and what stands in its place."""

    what: str
    reason: str
    instead: str = ""


@dataclass(frozen=True, slots=True)
class Model:
    """The semantic model: tables, relationships, measures, and what was left out by name."""

    name: str
    tables: tuple[Table, ...]
    relationships: tuple[Relationship, ...]
    measures: tuple[Measure, ...]
    left_out: tuple[LeftOut, ...] = field(default=())

    def table(self, name: str) -> Table:
        """The table of this name."""
        return next(table for table in self.tables if table.name == name)


def reference(table: str, column: str) -> str:
    """A column as DAX names it."""
    return f"'{table.replace(chr(39), chr(39) * 2)}'[{column.replace(']', ']]')}]"


def measure_reference(name: str) -> str:
    """A measure as DAX names it."""
    return f"[{name.replace(']', ']]')}]"

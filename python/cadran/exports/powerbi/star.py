"""The star of a model: facts, the tables they are looked at by, and the keys between them.

Every relationship goes from a fact to a table without relationships of its own, so there is one way
from any table to a fact and never an ambiguous one. A mart that is both (orders have measures, and
lines are looked at by the channel of their order) becomes two tables, of the same rows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from cadran.exports.powerbi import model as words
from cadran.exports.powerbi.dates import DATE, TABLE
from cadran.exports.powerbi.model import (
    Column,
    Kind,
    NotInDaxError,
    Relationship,
    Table,
    reference,
)

if TYPE_CHECKING:
    from collections.abc import Collection

    import pyarrow as pa

    from cadran.core.layer import Layer


KEYS = ("primary", "unique")


@dataclass(frozen=True, slots=True)
class Field:
    """A dimension as one mart sees it.

    `owner` is the semantic model that holds it, `foreign_key` what the mart joins by; None when the
    mart holds it itself. `key` is the owner's side of the join, None when it has no such column.
    """

    owner: str
    entity: str
    dimension: dict[str, Any]
    key: str | None
    foreign_key: str | None

    @property
    def sql(self) -> str:
        """What the owner's relation computes for it."""
        return expression(self.dimension)


class Fields:
    """Finds dimensions by the names that one groups by."""

    def __init__(self, manifest: dict[str, Any]) -> None:
        """Take a semantic manifest."""
        self.models: dict[str, dict[str, Any]] = {m["name"]: m for m in manifest["semantic_models"]}

    def find(self, fact: str, name: str) -> Field:
        """The dimension `entity__dimension` as the semantic model `fact` reaches it.

        Raises:
            NotInDaxError: it is no plain column of the mart itself or of one joined by one key.
        """
        entity, _, dimension = name.rpartition("__")
        if not entity or "__" in entity:
            raise NotInDaxError(f"{name} is more than one join away")
        model = self.models[fact]
        own = self._dimension(model, dimension)
        linked = _entity(model, entity)
        is_own = model.get("primary_entity") == entity or (linked and linked["type"] in KEYS)
        if own is not None and is_own:
            key = expression(linked) if linked else None
            return _plain(name, Field(fact, entity, own, key, None))
        if linked is None:
            raise NotInDaxError(f"{name} cannot be joined to {fact}")
        fields = []
        for other in self.models.values():
            joined = _entity(other, entity)
            column = self._dimension(other, dimension)
            if other is not model and joined and column and joined["type"] in KEYS:
                fields.append(
                    Field(
                        other["name"],
                        entity,
                        column,
                        expression(joined),
                        expression(linked),
                    )
                )
        if len(fields) != 1:
            raise NotInDaxError(
                f"{name} stands in {len(fields)} marts; a relationship leads to one"
            )
        return _plain(name, fields[0])

    def time(self, fact: str, name: str) -> dict[str, Any]:
        """A time dimension of a semantic model."""
        time = self._dimension(self.models[fact], name)
        if time is None or time["type"] != "time":
            raise NotInDaxError(f"{fact} has no time {name}")
        return time

    def is_daily(self, fact: str, name: str) -> bool:
        """Whether a time dimension holds days, and not instants."""
        params = self.time(fact, name).get("type_params") or {}
        return bool(params.get("time_granularity") == "day")

    def is_versioned(self, model: str) -> bool:
        """Whether its rows are valid for a time, so that a key stands in several of them."""
        return any(
            (dimension.get("type_params") or {}).get("validity_params")
            for dimension in self.models[model]["dimensions"]
        )

    def _dimension(self, model: dict[str, Any], name: str) -> dict[str, Any] | None:
        return next((d for d in model["dimensions"] if d["name"] == name), None)


def expression(element: dict[str, Any]) -> str:
    """The SQL of a dimension or an entity."""
    return str(element.get("expr") or element["name"])


def _entity(model: dict[str, Any], name: str) -> dict[str, Any] | None:
    return next((e for e in model["entities"] if e["name"] == name), None)


def _plain(name: str, field: Field) -> Field:
    if field.dimension["type"] != "categorical":
        raise NotInDaxError(f"{name} is a time; only metric_time has the date table")
    return field


MOST_DIGITS, MOST_DECIMALS = 18, 4  # of a fixed decimal number of Power BI


class Star:
    """Grows by what measures and cards ask of it."""

    def __init__(
        self,
        layer: Layer,
        *,
        apart: Collection[str] = (),
        merged: Collection[tuple[str, str]] = (),
        kinds: dict[tuple[str, str], tuple[Kind, bool]] | None = None,
    ) -> None:
        """Begin with nothing.

        Args:
            layer: the layer of a built project.
            apart: entities whose mart is a fact too, and is looked at from other facts.
            merged: relations and expressions of texts that Power BI would take for one another.
            kinds: what is known of the types of expressions; added to.
        """
        self.fields = Fields(layer.project.semantic_manifest)
        self.relationships: list[Relationship] = []
        self.dialect = layer.project.dialect
        self._layer = layer
        self._apart = frozenset(apart)
        self._merged = frozenset(merged)
        self._tables: dict[str, Table] = {}
        self._kinds = {} if kinds is None else kinds
        self._compared: dict[tuple[str, str], set[str]] = {}
        self._summed: dict[str, set[str]] = {}
        self._read: dict[str, set[str]] = {}
        self._row_by_row: set[str] = set()

    @property
    def tables(self) -> tuple[Table, ...]:
        """The tables as far as they are needed.

        A fact of which nothing but sums is taken has its rows added up by what it is looked at by,
        dated by days: what would be millions of minutes is thousands of rows.
        """
        return tuple(map(self._added_up, self._tables.values()))

    def _added_up(self, table: Table) -> Table:
        summed, read = self._summed.get(table.name, set()), self._read.get(table.name, set())
        if not summed or not read or summed & read or table.name in self._row_by_row:
            return table
        text = f"{table.description} Added up by day and by the other columns."
        return replace(table, summed=frozenset(summed), description=text.strip())

    def read_row_by_row(self, model: str) -> None:
        """Note that something counts or weighs the rows of a semantic model, one by one."""
        self._row_by_row.add(self.fact(model))

    @property
    def texts(self) -> dict[tuple[str, str], set[str]]:
        """Relations and expressions of all texts in the model, each with what it is compared to."""
        texts: dict[tuple[str, str], set[str]] = {}
        for table in self.tables:
            for column in table.columns:
                if column.kind == "string" and table.relation:
                    key = table.relation, column.sql
                    texts[key] = self._compared.get(key, set())
        return texts

    def compare(self, table: str, column: Column, literals: Collection[str]) -> None:
        """Note that a filter compares a column with these texts."""
        key = str(self._tables[table].relation), column.sql
        self._compared.setdefault(key, set()).update(literals)

    def fact(self, model: str) -> str:
        """The name of the table that holds the facts of a semantic model."""
        definition = self.fields.models[model]
        if self.fields.is_versioned(model):
            raise NotInDaxError(f"the rows of {model} are valid for a time only")
        keys = {e["name"] for e in definition["entities"] if e["type"] in {"primary", "unique"}}
        mart = definition["node_relation"]["alias"]
        name = words.table_name(mart) + (" facts" if keys & self._apart else "")
        return self._table(name, model, mart)

    def column(
        self,
        model: str,
        sql: str,
        name: str,
        *,
        kind: Kind | None = None,
        is_summed: bool = False,
    ) -> Column:
        """The hidden column of a fact that holds an expression over its mart.

        Args:
            model: the semantic model.
            sql: the expression.
            name: what to call it when the expression is more than a column.
            kind: the kind to cast it to; by default its own.
            is_summed: whether nothing but the sum of its values is taken.

        Raises:
            NotInDaxError: Power BI has no such type, or would take its texts for one another.
        """
        return self._column(self.fact(model), sql, name, kind=kind, is_summed=is_summed)

    def kind(self, model: str, sql: str) -> str:
        """What an expression over a mart is in the warehouse; a wide decimal is a decimal too."""
        kind, is_cast = self._kind(self.fields.models[model]["node_relation"]["relation_name"], sql)
        return "decimal" if is_cast else kind

    def dimension(
        self, fact: str, name: str, *, is_hidden: bool = False, own: bool = False
    ) -> tuple[str, Column]:
        """The table and column by which a fact is looked at by `entity__dimension`.

        Args:
            fact: the semantic model.
            name: the dimension.
            is_hidden: leave it hidden, unless it is shown already.
            own: take the fact's own column where it has one, even if others share it.

        Raises:
            NotInDaxError: there is no one way from the fact to it.
        """
        tables, relationships = dict(self._tables), list(self.relationships)
        try:
            return self._dimension(fact, self.fields.find(fact, name), is_hidden=is_hidden, own=own)
        except NotInDaxError:
            self._tables, self.relationships = tables, relationships
            raise

    def _dimension(
        self, fact: str, field: Field, *, is_hidden: bool, own: bool
    ) -> tuple[str, Column]:
        if field.foreign_key is None and (own or field.entity not in self._apart):
            table = self.fact(fact)
            return table, self._field_column(table, field, is_hidden=is_hidden)
        if self.fields.is_versioned(field.owner):
            raise NotInDaxError(f"the rows of {field.owner} are valid for a time only")
        mart = self.fields.models[field.owner]["node_relation"]["alias"]
        table = self._table(words.table_name(mart), field.owner, mart)
        if field.key is None:
            raise NotInDaxError(f"{field.owner} has no column that identifies a {field.entity}")
        key = self._column(table, field.key, f"{field.entity}__key", is_key=True)
        linked = field.foreign_key or field.key
        here = self._column(self.fact(fact), linked, f"{field.entity}__key")
        if here.kind != key.kind:
            raise NotInDaxError(f"{fact} is joined to {field.owner} by keys of two types")
        if any(c != here.name for c in self._keys_between(self.fact(fact), table)):
            raise NotInDaxError(f"{fact} is joined to {field.owner} in two ways")
        self._relate(Relationship(self.fact(fact), here.name, table, key.name))
        return table, self._field_column(table, field, is_hidden=is_hidden)

    def day(self, fact: str, time: str) -> tuple[str, bool]:
        """The date of a fact as DAX names it, and whether dates reach it without being told."""
        dimension = self.fields.time(fact, time)
        is_daily = self.fields.is_daily(fact, time)
        table = self.fact(fact)
        sql = f"cast({expression(dimension)} as date)"
        column = self._column(table, sql, time if is_daily else f"{time}__day")
        usual = (self.fields.models[fact].get("defaults") or {}).get("agg_time_dimension")
        others = self._keys_between(table, TABLE)
        is_active = usual == time if usual else all(key == column.name for key in others)
        self._relate(Relationship(table, column.name, TABLE, DATE, is_active))
        return reference(table, column.name), is_active

    def seen_by(self, model: str) -> list[str]:
        """What a fact is looked at by, apart from dates: columns of its own, and tables."""
        name = self.fact(model)
        own = [
            reference(name, column.name)
            for column in self._tables[name].columns
            if not column.is_hidden
        ]
        others = [r.to_table for r in self.relationships if r.table == name]
        joined = [", ".join(own)] if own else []
        shared = dict.fromkeys(other for other in others if other != TABLE)
        return [*joined, *(reference(other, "").removesuffix("[]") for other in shared)]

    def _table(self, name: str, model: str, mart: str) -> str:
        if name not in self._tables:
            definition = self.fields.models[model]
            text = " ".join((definition.get("description") or "").split())
            relation = definition["node_relation"]["relation_name"]
            stem = mart if not name.endswith(" facts") else f"{mart}__facts"
            self._tables[name] = Table(name, stem, (), relation, text)
        return name

    def _field_column(self, table: str, field: Field, *, is_hidden: bool) -> Column:
        dimension = field.dimension
        label = dimension.get("label") or words.in_words(dimension["name"])
        column = self._column(table, field.sql, dimension["name"], name=label)
        if column.is_hidden and not is_hidden:
            described = " ".join((dimension.get("description") or "").split())
            column = replace(
                column,
                is_hidden=False,
                description=described,
                layer=f"{field.entity}__{dimension['name']}",
            )
            self._put(table, column)
        return column

    def _column(  # noqa: PLR0913 - what a column is made of
        self,
        table: str,
        sql: str,
        source: str,
        *,
        name: str | None = None,
        kind: Kind | None = None,
        is_key: bool = False,
        is_summed: bool = False,
    ) -> Column:
        column = self._typed_column(table, sql, source, name=name, kind=kind, is_key=is_key)
        (self._summed if is_summed else self._read).setdefault(table, set()).add(column.name)
        return column

    def _typed_column(  # noqa: PLR0913 - what a column is made of
        self,
        table: str,
        sql: str,
        source: str,
        *,
        name: str | None,
        kind: Kind | None,
        is_key: bool,
    ) -> Column:
        item = self._tables[table]
        relation = str(item.relation)
        own, is_cast = self._kind(relation, sql)
        if kind is not None and kind != own:
            own, is_cast = kind, True
        if is_cast:
            sql = f"cast({sql} as {own})"
        if own == "string" and (relation, sql) in self._merged:
            raise NotInDaxError(
                f"{sql} of {item.file} holds texts that differ only by capitals or spaces at"
                " the end, which Power BI takes for one"
            )
        for column in item.columns:
            if column.sql == sql and column.kind == own:
                if is_key and not column.is_key:
                    self._put(table, replace(column, is_key=True))
                return column
        sources = {column.source.casefold() for column in item.columns}
        names = {column.name.casefold() for column in item.columns}
        source = sql if sql.isidentifier() else source
        source = words.unique(source, sources, str(len(sources)))
        title = words.unique(name or source, names, source)
        column = Column(title, source, own, sql, is_key=is_key)
        self._tables[table] = item.with_column(column)
        return column

    def _put(self, table: str, column: Column) -> None:
        definition = self._tables[table]
        columns = tuple(column if old.name == column.name else old for old in definition.columns)
        self._tables[table] = replace(definition, columns=columns)

    def _keys_between(self, table: str, other: str) -> list[str]:
        """The columns by which rows of the other table reach the fact without being told."""
        links = self.relationships
        return [r.column for r in links if (r.table, r.to_table) == (table, other) and r.is_active]

    def _relate(self, relationship: Relationship) -> None:
        if relationship not in self.relationships:
            self.relationships.append(relationship)

    def _kind(self, relation: str, sql: str) -> tuple[Kind, bool]:
        """The kind of an expression, and whether it must be cast to it."""
        if (relation, sql) not in self._kinds:
            import pyarrow as pa

            query = f"select {sql} as answer from {relation} limit 0"
            data_type = self._layer.warehouse.arrow(query).schema.field("answer").type
            kind = kind_of(data_type, sql)
            self._kinds[relation, sql] = kind, kind == "double" and pa.types.is_decimal(data_type)
        return self._kinds[relation, sql]


def kind_of(data_type: pa.DataType, sql: str) -> Kind:
    """The kind of column that holds an Arrow type.

    Raises:
        NotInDaxError: Power BI has no such type.
    """
    import pyarrow as pa

    for check, kind in (
        (pa.types.is_boolean, "boolean"),
        (pa.types.is_integer, "int64"),
        (pa.types.is_floating, "double"),
        (pa.types.is_date, "date"),
        (pa.types.is_timestamp, "dateTime"),
        (pa.types.is_string, "string"),
        (pa.types.is_large_string, "string"),
        (pa.types.is_dictionary, "string"),
    ):
        if check(data_type):
            return cast("Kind", kind)
    if not pa.types.is_decimal(data_type):
        raise NotInDaxError(f"{sql} is of the type {data_type}, which Power BI does not have")
    fits = data_type.precision <= MOST_DIGITS and data_type.scale <= MOST_DECIMALS
    return "decimal" if fits else "double"

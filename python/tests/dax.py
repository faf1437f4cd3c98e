"""Evaluates the DAX of an exported model by SQL over its files, knowing nothing of what wrote it.

Only what the model's TMDL says is used: measures as text, relationships, the marked date table,
types and files of the tables. A question is a list of columns to look by; its cells are all
combinations of their values, and each aggregation is one statement over cells, facts and dates.
Filter context, BLANK and fixed decimals follow Microsoft's description of the language; anything
else is an error.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

import duckdb
import tmdl
from dax_filters import Filters
from dax_text import parse
from dax_values import BLANK, common, function, operation, q

KINDS = {"int64": "int", "decimal": "fixed", "double": "float", "boolean": "bool",
         "string": "text", "dateTime": "date"}  # fmt: skip
AGGREGATES = {"SUM", "MIN", "MAX", "AVERAGE", "DISTINCTCOUNTNOBLANK", "SELECTEDVALUE"}


@dataclass(frozen=True)
class Context:
    """The filters in force: members by column, conditions on rows, dates of each cell."""

    members: tuple = ()  # (table, column, column of the cell)
    rows: tuple = ()  # (table, condition)
    dates: str | None = None  # a table of cell and date; None for all
    used: tuple = ()  # relationships that were switched on
    variables: tuple = field(default=(), compare=False)


class Model(Filters):
    """An exported model over its files."""

    def __init__(self, definition, data):
        tree = tmdl.folder(definition)
        self.db = duckdb.connect()
        self.tables = {table.name: table for table in tree.of("table")}
        self.columns, self.measures, self.key = {}, {}, None
        for name, table in self.tables.items():
            for column in table.of("column"):
                self.columns[name, column.name] = column
            for measure in table.of("measure"):
                self.measures[measure.name] = measure
            source = (table.of("partition")[0].properties["source"]).replace("\n", " ")
            file = re.search(r'DataFolder & "([^"]+)"', source)
            if file:
                self.db.execute(f"create view {q(name)} as from '{data / file[1]}'")
            if table.properties.get("dataCategory") == "Time":
                self.date = name
                self.day = next(c.name for c in table.of("column") if "isKey" in c.properties)
        self.joins = []
        for one in tree.of("relationship"):
            given = one.properties
            self.joins.append(
                (tmdl.column(given["fromColumn"]), tmdl.column(given["toColumn"]),
                 given.get("isActive") != "false")
            )  # fmt: skip
        self.parsed, self.known, self.count = {}, {}, 0

    def source(self, table, column):
        """The column of the file behind a column of the model, and its kind."""
        if (table, column) not in self.columns:
            raise ValueError(f"there is no column {table}[{column}]")
        given = self.columns[table, column].properties
        return q(given["sourceColumn"]), KINDS[given["dataType"]]

    def named(self, layer_name):
        """Table and column by what the layer calls them."""
        return next(k for k, c in self.columns.items() if c.annotation("cadran_name") == layer_name)

    def answer(self, measure, by):
        """The measure by columns: {values of the columns: value}, where it is not blank."""
        self.by = tuple(by)
        names = [f"g{number}" for number in range(len(self.by))]
        if self.by not in self.known:
            self.known[self.by] = f"cells{len(self.known)}", {}
            self.cells, self.memo = self.known[self.by]
            lists = [self.members(*one, name) for one, name in zip(self.by, names, strict=True)]
            every = f"row_number() over () as cell, * from {' cross join '.join(lists)}"
            self.execute(self.cells, f"select {every if lists else '1 as cell'}")
        self.cells, self.memo = self.known[self.by]
        members = [(t, c, n) for (t, c), n in zip(self.by, names, strict=True) if t != self.date]
        on_dates = [(c, n) for (t, c), n in zip(self.by, names, strict=True) if t == self.date]
        dates = None
        if on_dates:
            day, _ = self.source(self.date, self.day)
            same = " and ".join(f"d.{self.source(self.date, c)[0]} = c.{n}" for c, n in on_dates)
            days = f"select c.cell, d.{day} as day from {self.cells} c"
            dates = self.table(f"{days} join {q(self.date)} d on {same}")
        text, _ = self.measure(measure, Context(members=tuple(members), dates=dates))
        shown = "".join(f"c.{name}, " for name in names)
        asked = f"select {shown}{text} as v from {self.cells} c{self.joined(text)}"
        rows = self.db.execute(asked).fetchall()
        return {row[:-1]: row[-1] for row in rows if row[-1] is not None}

    def members(self, table, column, name):
        """All values of a column; of a table that others are related to, the blank one too."""
        source, _ = self.source(table, column)
        known = f"select distinct {source} as {name} from {q(table)} where {source} is not null"
        return f"({known}{'' if table == self.date else f' union all select null as {name}'})"

    # Statements ---------------------------------------------------------------------------------

    def execute(self, name, sql):
        self.db.execute(f"create or replace temp table {name} as {sql}")
        return name

    def table(self, sql):
        """A table with the rows of a statement; the same statement gives the same table."""
        if sql not in self.memo:
            self.count += 1
            self.memo[sql] = self.execute(f"t{self.count}", sql)
        return self.memo[sql]

    def joined(self, text):
        tables = sorted(set(re.findall(r"\b(t\d+)\.v\b", text)))
        return "".join(f" left join {name} on {name}.cell = c.cell" for name in tables)

    def kept(self, text):
        """A scalar by cell, as a table's column, so that other statements can read it."""
        name = self.table(f"select c.cell, {text} as v from {self.cells} c{self.joined(text)}")
        return f"{name}.v"

    # Expressions: SQL over the cells as c, and a kind -----------------------------------------

    def measure(self, name, context):
        if name not in self.measures:
            raise ValueError(f"there is no measure [{name}]")
        if name not in self.parsed:
            self.parsed[name] = parse(self.measures[name].value)
        key = "measure", name, context
        if key not in self.memo:
            text, kind = self.value(self.parsed[name], replace(context, variables=()))
            self.memo[key] = (self.kept(text), kind)
        return self.memo[key]

    def value(self, node, context):
        return getattr(self, f"_{node[0]}")(node, context)

    def _number(self, node, _):
        return (node[1], "float" if "." in node[1] else "int")

    def _text(self, node, _):
        return ("'" + node[1][1:-1].replace('""', '"').replace("'", "''") + "'", "text")

    def _measure(self, node, context):
        return self.measure(node[1], context)

    def _variable(self, node, context):
        known = dict(context.variables)
        if node[1] not in known:
            raise ValueError(f"there is no variable {node[1]}")
        return known[node[1]]

    def _let(self, node, context):
        for name, expression in node[1]:
            text, kind = self.value(expression, context)
            context = replace(
                context, variables=(*context.variables, (name, (self.kept(text), kind)))
            )
        return self.value(node[2], context)

    def _op(self, node, context):
        _, sign, left, right = node
        return operation(sign, self.value(left, context), self.value(right, context))

    def _call(self, node, context):
        _, name, arguments = node
        special = {
            "COUNTROWS": self.count_rows, "ISEMPTY": self.is_empty, "SWITCH": self.switch,
            "PERCENTILEX.INC": self.percentile, "CALCULATE": self.calculate,
            "ISFILTERED": self.is_filtered, "ISINSCOPE": self.is_in_scope, "CONVERT": self.convert,
        }  # fmt: skip
        if name in special:
            return special[name](arguments, context)
        if name in AGGREGATES and len(arguments) == 1 and arguments[0][0] == "column":
            return self.aggregate(name, arguments[0], context)
        return function(name, [self.value(one, context) for one in arguments])

    def count_rows(self, arguments, context):
        return (self.rows(arguments[0][1], "count(*)", context), "int")

    def is_empty(self, arguments, context):
        return (f"coalesce({self.count_rows(arguments, context)[0]}, 0) = 0", "bool")

    def calculate(self, arguments, context):
        return self.value(arguments[0], self.changed(context, arguments[1:]))

    def is_filtered(self, arguments, _):
        where = tuple(arguments[0][1:])
        return (str(any(one[: len(where)] == where for one in self.by)).lower(), "bool")

    def is_in_scope(self, arguments, _):
        return (str(tuple(arguments[0][1:]) in self.by).lower(), "bool")

    def convert(self, arguments, context):
        if arguments[1] != ("variable", "DOUBLE"):
            raise ValueError("CONVERT to something else than DOUBLE")
        return (f"cast({self.value(arguments[0], context)[0]} as double)", "float")

    def switch(self, arguments, context):
        if arguments[0] != ("call", "TRUE", []):
            raise ValueError("SWITCH over something else than TRUE()")
        rest = [self.value(one, context) for one in arguments[1:]]
        default = rest.pop() if len(rest) % 2 else BLANK
        results = [*rest[1::2], default]
        whens = " ".join(
            f"when {condition[0]} then {result[0]}"
            for condition, result in zip(rest[::2], rest[1::2], strict=True)
        )
        return (f"(case {whens} else {default[0]} end)", common(results))

    def aggregate(self, name, node, context):
        _, table, column = node
        source, kind = self.source(table, column)
        one = f"f.{source}"
        if name == "AVERAGE" and kind == "fixed":
            return (f"round({self.rows(table, f'avg({one})', context)}, 4)", "fixed")
        sql = {
            "SUM": f"sum({one})", "MIN": f"min({one})", "MAX": f"max({one})",
            "AVERAGE": f"avg({one})", "DISTINCTCOUNTNOBLANK": f"nullif(count(distinct {one}), 0)",
            "SELECTEDVALUE": f"case when count(distinct {one}) = 1 and count(*) = count({one})"
                             f" then max({one}) end",
        }[name]  # fmt: skip
        kind = {"AVERAGE": "float", "DISTINCTCOUNTNOBLANK": "int"}.get(name, kind)
        return (self.rows(table, sql, context), kind)

    def percentile(self, arguments, context):
        filtered, column, share = arguments
        if filtered[:2] != ("call", "FILTER") or column[0] != "column" or share[0] != "number":
            raise ValueError("a percentile over something else than filtered rows")
        table = filtered[2][0][1]
        condition = self.condition(filtered[2][1], table, context)
        inner = replace(context, rows=(*context.rows, (table, condition)))
        source, _ = self.source(*column[1:])
        return (self.rows(table, f"quantile_cont(f.{source}, {share[1]})", inner), "float")

    def rows(self, table, aggregate, context):
        """An aggregate over the rows of a table that the context leaves, by cell."""
        joins, same, where, aliases = [], [], [], {table: "f"}

        def alias(other):
            if other in aliases:
                return aliases[other]
            found = [j for j in self.joins if j[0][0] == table and j[1][0] == other and j[2]]
            if not found:
                return None  # filters of a table that is not related do not reach the rows
            aliases[other] = name = f"d{len(aliases)}"
            (_, own), (_, key), _ = found[0]
            joins.append(
                f" left join {q(other)} {name} on f.{self.source(table, own)[0]}"
                f" = {name}.{self.source(other, key)[0]}"
            )
            return name

        for other, column, cell in context.members:
            if name := alias(other):
                same.append(f"{name}.{self.source(other, column)[0]} is not distinct from c.{cell}")
        for other, condition in context.rows:
            if name := alias(other):
                where.append(condition.replace("{row}", name))
        cells = self.cells
        own = self.dated(table, context) if context.dates is not None else None
        if own:
            cells = f"(select c.*, p.day from {cells} c join {context.dates} p on p.cell = c.cell)"
            same.append(f"c.day = f.{own}")
        condition = " and ".join(where) or "true"
        sql = (
            f"select c.cell, {aggregate} as v from {q(table)} f{''.join(joins)}"
            f" join {cells} c on {' and '.join(same) or 'true'}{self.joined(condition)}"
            f" where {condition} group by c.cell"
        )
        return f"{self.table(sql)}.v"

    def dated(self, table, context):
        """The column by which the dates reach a table, in this context."""
        if table == self.date:
            return self.source(table, self.day)[0]
        mine = [j for j in self.joins if j[0][0] == table and j[1][0] == self.date]
        chosen = [j for j in mine if (j[0], j[1]) in context.used] or [j for j in mine if j[2]]
        return self.source(*chosen[0][0])[0] if chosen else None

"""What CALCULATE does to the filters in force, over the cells of a question."""

from __future__ import annotations

from dataclasses import replace

from dax_text import tables_in
from dax_values import function, operation, q

PREVIOUS = {"PREVIOUSDAY": "day", "PREVIOUSMONTH": "month", "PREVIOUSQUARTER": "quarter",
            "PREVIOUSYEAR": "year"}  # fmt: skip
TO_DATE = {"DATESMTD": "month", "DATESQTD": "quarter", "DATESYTD": "year"}


class Filters:
    """The part of a model that changes filter context."""

    def changed(self, context, arguments):
        """The context inside: what removes filters works first, then the filters."""
        new = context
        for argument in arguments:
            if argument[:2] == ("call", "REMOVEFILTERS"):
                for one in argument[2]:
                    new = self.removed(new, one)
            elif argument[:2] == ("call", "USERELATIONSHIP"):
                new = replace(new, used=(*new.used, tuple(one[1:] for one in argument[2])))
        for argument in arguments:
            if argument[:2] == ("call", "KEEPFILTERS"):
                new = self.narrowed(new, argument[2][0], context)
            elif argument[0] == "call" and argument[1] not in {"REMOVEFILTERS", "USERELATIONSHIP"}:
                new = replace(new, dates=self.shifted(argument, context.dates))
            elif argument[0] == "op":
                new = replace(new, dates=self.days(argument, context))
        return new

    def removed(self, context, node):
        if node == ("table", self.date):
            return replace(context, dates=None)
        where = node[1:]
        if where[0] == self.date:
            raise ValueError("only all filters of the dates are removed")
        return replace(
            context,
            members=tuple(m for m in context.members if m[: len(where)] != where),
        )

    def narrowed(self, new, node, context):
        tables = set(tables_in(node))
        if len(tables) != 1:
            raise ValueError(f"a filter over {tables}")
        table = tables.pop()
        if table != self.date:
            return replace(new, rows=(*new.rows, (table, self.condition(node, table, context))))
        within = self.days(node, context)
        if new.dates is None:
            return replace(new, dates=within)
        both = f"select a.cell, a.day from {new.dates} a semi join {within} b using (cell, day)"
        return replace(new, dates=self.table(both))

    def days(self, node, context):
        """The dates of each cell for which a condition over the date table holds."""
        if set(tables_in(node)) != {self.date}:
            raise ValueError("a filter that is neither kept nor one of dates")
        condition = self.condition(node, self.date, context).replace("{row}", "d")
        day, _ = self.source(self.date, self.day)
        return self.table(
            f"select c.cell, d.{day} as day from {self.cells} c{self.joined(condition)}"
            f" join {q(self.date)} d on {condition}"
        )

    def condition(self, node, table, context):
        """A condition over the rows of a table, which is written {row}, and values of the cell."""
        text, _ = RowValue(self, table, context).value(node)
        return text

    def shifted(self, node, dates):
        """What Microsoft's functions of time make of the dates of each cell."""
        _, name, arguments = node
        if dates is None:
            dates = self.table(
                f"select c.cell, d.{self.source(self.date, self.day)[0]} as day"
                f" from {self.cells} c, {q(self.date)} d"
            )
        if arguments[0] != ("column", self.date, self.day):
            raise ValueError(f"{name} over something else than the dates")
        day = self.source(self.date, self.day)[0]
        if name in TO_DATE:
            last = f"(select cell, max(day) as last from {dates} group by cell)"
            start = f"date_trunc('{TO_DATE[name]}', l.last)"
            return self.table(
                f"select l.cell, d.{day} as day from {last} l"
                f" join {q(self.date)} d on d.{day} between {start} and l.last"
            )
        if name in PREVIOUS:
            # The whole period before the one of the first date.
            first = f"(select cell, min(day) as first from {dates} group by cell)"
            start = f"date_trunc('{PREVIOUS[name]}', l.first)"
            return self.table(
                f"select l.cell, d.{day} as day from {first} l join {q(self.date)} d on"
                f" d.{day} >= {start} - interval 1 {PREVIOUS[name]} and d.{day} < {start}"
            )
        if name == "DATEADD" and arguments[2] == ("variable", "DAY"):
            moved = self.value(arguments[1], None)[0]
            return self.table(
                f"select s.cell, d.{day} as day from {dates} s join {q(self.date)} d"
                f" on d.{day} = s.day + cast({moved} as integer)"
            )
        if name != "SAMEPERIODLASTYEAR":
            raise ValueError(f"{name} is not known")
        # A month that is whole stays whole, whatever the length of the other one.
        whole = (
            f"(select cell, date_trunc('month', day) as month from {dates} group by all"
            " having count(*) = date_part('day', last_day(min(day))))"
        )
        year = "interval 1 year"
        return self.table(
            f"select distinct x.cell, d.{day} as day from (select cell, day - {year} as at,"
            f" day - {year} as until from {dates} union all select cell, month - {year},"
            f" last_day(month - {year}) from {whole}) x join {q(self.date)} d"
            f" on d.{day} between x.at and x.until"
        )


class RowValue:
    """Expressions over one row; what is not of the row is a value of the cell."""

    def __init__(self, model, table, context):
        self.model = model
        self.table = table
        self.context = context

    def value(self, node):
        if node[0] == "column":
            if node[1] != self.table:
                raise ValueError(f"{node[1]} is not the table of the row")
            source, kind = self.model.source(*node[1:])
            return (f"{{row}}.{source}", kind)
        if node[0] == "op":
            return operation(node[1], self.value(node[2]), self.value(node[3]))
        if node[0] == "call" and node[1] in {"NOT", "ISBLANK", "TRUE", "FALSE"}:
            return function(node[1], [self.value(one) for one in node[2]])
        return self.model.value(node, self.context)

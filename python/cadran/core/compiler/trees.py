"""Parts of a statement's tree, and the way of a column through it to its rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from sqlglot import exp

ROWS = ("expressions", "from", "from_", "joins", "where")  # parts of a SELECT of single rows


class Columns(Protocol):
    """What is known of the columns of a warehouse, by relation and name.

    Attributes:
        reads_few_rows: whether fewer steps are quicker than fewer rows in each.
    """

    reads_few_rows: bool

    def is_time(self, relation: str, column: str) -> bool:
        """Whether a column is a date or an instant."""

    def is_local_time(self, relation: str, column: str) -> bool:
        """Whether it is one without a time zone."""

    def has_few_values(self, relation: str, column: str) -> bool:
        """Whether it is known to have few distinct values."""


class Step(NamedTuple):
    """A SELECT, the column that it reads, and the source from which it comes."""

    select: exp.Select
    name: str
    source: exp.Expression


class Trace(NamedTuple):
    """The way of a column to its rows: through which SELECTs, and what computes it there.

    Attributes:
        steps: from the outermost SELECT inwards; none where a SELECT computes it itself.
        select: where it is computed.
        computed: by what; None where it is a column of a table, which the last step names.
    """

    steps: list[Step]
    select: exp.Select
    computed: exp.Expression | None


def traced(select: exp.Select, key: exp.Expression, ctes: dict[str, exp.Select]) -> Trace | None:
    """The way of what a SELECT reads to its rows; None where it cannot be told."""
    from sqlglot import exp

    steps: list[Step] = []
    while isinstance(key, exp.Column):
        source = _source(select, key)
        if source is None:
            return None
        steps.append(Step(select, key.name, source))
        inner = source.this if isinstance(source, exp.Subquery) else None
        if isinstance(source, exp.Table):
            inner = ctes.get(source.name) if not source.db else None
            if inner is None:
                return Trace(steps, select, None)
        if not isinstance(inner, exp.Select) or not has_only(inner, ROWS):
            return None
        read = [p for p in inner.selects if p.alias_or_name == key.name]
        if len(read) != 1 or inner.find(exp.Window, exp.AggFunc):
            return None
        select, key = inner, read[0].unalias()
    return Trace(steps, select, key)


def place(trace: Trace, dialect: str) -> tuple[str, str]:
    """The relation, as the statement names it, and the column."""
    table = trace.steps[-1].source.copy()
    table.set("alias", None)
    return table.sql(dialect=dialect), trace.steps[-1].name


def _source(select: exp.Select, column: exp.Column) -> exp.Expression | None:
    from_ = select.args.get("from_") or select.args.get("from")
    if from_ is None:
        return None
    sources = [from_.this, *(join.this for join in select.args.get("joins") or ())]
    if column.table:
        sources = [source for source in sources if source.alias_or_name == column.table]
    return sources[0] if len(sources) == 1 else None


def has_only(select: exp.Select, parts: tuple[str, ...]) -> bool:
    """Whether a SELECT has no parts but these."""
    return not any(value for name, value in select.args.items() if name not in parts)


def columns_of(select: exp.Select) -> list[exp.Column]:
    """The columns that a SELECT itself names, those of its subqueries left out."""
    from sqlglot import exp

    return [column for column in select.find_all(exp.Column) if column.parent_select is select]


def source_of(select: exp.Select) -> exp.Expression | None:
    """What a SELECT reads first."""
    source = select.args.get("from_") or select.args.get("from")
    return source.this if source is not None else None


def alias(name: str) -> exp.TableAlias:
    """The name of a subquery."""
    from sqlglot import exp

    return exp.TableAlias(this=exp.to_identifier(name))

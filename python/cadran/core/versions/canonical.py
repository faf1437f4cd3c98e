"""SQL in one form: two statements that mean the same look the same, as far as can be proved.

A statement is qualified, its steps merged, its unused columns dropped, its predicates simplified
and its inner names replaced by numbers. What remains is what decides the values: sources, filters,
expressions, joins and groups. Only rewrites that never change a result are used, so two meanings
are never taken for one; two forms of one meaning may now and then be taken for two.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from cadran.core.project.graph import checksum
from cadran.core.versions.equivalent import as_lists, close_facts, order_branches

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlglot import exp


def see_through_copies(tree: exp.Expr) -> None:
    """Take `select * from x` for x, where the columns of x are not known and cannot be listed."""
    from sqlglot import exp

    with_ = tree.args.get("with_")
    if with_ is None or with_.args.get("recursive"):
        return
    copies = {
        cte.alias: table for cte in with_.expressions if (table := _only_table(cte)) is not None
    }
    if not copies:
        return
    for table in list(tree.find_all(exp.Table)):
        source = table
        while not source.db and source.name in copies:
            source = copies[source.name]
        if source is not table:
            through = source.copy()
            through.set("alias", exp.TableAlias(this=exp.to_identifier(table.alias_or_name)))
            for key in ("joins", "laterals", "sample", "pivots"):
                if table.args.get(key):
                    return
            table.replace(through)


def _only_table(cte: exp.CTE) -> exp.Table | None:
    from sqlglot import exp

    select = cte.this
    if not isinstance(select, exp.Select) or cte.alias_column_names:
        return None
    clauses = {key for key, value in select.args.items() if value}
    if clauses - {"expressions", "from_", "kind"} or select.args.get("kind"):
        return None
    if len(select.expressions) != 1:
        return None
    star = select.expressions[0]
    is_star = isinstance(star, exp.Star) or (
        isinstance(star, exp.Column) and isinstance(star.this, exp.Star)
    )
    inner = star.this if isinstance(star, exp.Column) else star
    if not is_star or any(inner.args.get(key) for key in ("except_", "replace", "rename")):
        return None
    table = select.args["from_"].this
    if not isinstance(table, exp.Table) or any(
        table.args.get(key) for key in ("joins", "laterals", "sample", "pivots")
    ):
        return None
    return table


# The hash of each column of each seed by its dotted name; see `Definition.seeds`.
Seeds = dict[str, dict[str, str]]
_INTERNAL_NAME = re.compile(r'"_[tc]\d+"')


def number_outputs(tree: exp.Expr) -> None:
    """Drop the names of the columns that come out: they are no part of the meaning."""
    from sqlglot import exp

    if not isinstance(tree, exp.Select):
        return
    for number, projection in enumerate(tree.expressions):
        value = projection.unalias()
        if not isinstance(value, exp.Star):
            projection.replace(exp.alias_(value.copy(), f"out_{number}", quoted=True))


def order_ctes(tree: exp.Expr) -> None:
    """Put steps in the order in which they are first needed."""
    from sqlglot import exp

    with_ = tree.args.get("with_")
    if with_ is None or with_.args.get("recursive"):
        return
    steps = {cte.alias: cte for cte in with_.expressions}
    ordered: dict[str, exp.CTE] = {}

    def visit(tables: Iterable[exp.Table]) -> None:
        for table in tables:
            if not table.db and table.name in steps and table.name not in ordered:
                visit(steps[table.name].find_all(exp.Table, bfs=False))
                ordered[table.name] = steps[table.name]

    tree.set("with_", None)
    visit(list(tree.find_all(exp.Table, bfs=False)))
    if ordered:
        tree.set("with_", exp.With(expressions=list(ordered.values())))


def number_aliases(tree: exp.Expr) -> None:
    """Give every use of a table an alias of its own: the writer's choice leaves no trace."""
    from sqlglot import exp
    from sqlglot.optimizer.scope import traverse_scope

    number = 0
    for scope in traverse_scope(tree):
        renamed = {}
        for alias, (node, _) in scope.selected_sources.items():
            if isinstance(node, exp.Table | exp.Subquery):
                renamed[alias] = f"use_{number}"
                number += 1
                node.set("alias", exp.TableAlias(
                    this=exp.to_identifier(renamed[alias], quoted=True),
                    columns=getattr(node.args.get("alias"), "columns", None),
                ))  # fmt: skip
        for column in scope.columns:
            if column.table in renamed:
                column.set("table", exp.to_identifier(renamed[column.table], quoted=True))


def order_projections(tree: exp.Expr) -> None:
    """Put the columns of inner steps in one order; only set operations go by position.

    A column's place follows from what it says, down to the leaves: its name is no more than the
    place that it had before.
    """
    from sqlglot import exp

    with_ = tree.args.get("with_")
    hashes: dict[str, dict[str, str]] = {}
    for cte in with_.expressions if with_ else ():
        select = cte.this
        if not isinstance(select, exp.Select) or cte.alias_column_names:
            continue
        sources = {}
        for number, table in enumerate(_own_tables(select)):
            columns = hashes.get(table.name, {}) if not table.db else {}
            name = ".".join(part.name for part in table.parts) if table.db else ""
            sources[table.alias_or_name] = (str(number), columns, name)
        texts = {
            p.alias_or_name: _projection_text(p.unalias(), sources) for p in select.expressions
        }
        select.set("expressions", sorted(select.expressions, key=lambda p: texts[p.alias_or_name]))
        hashes[cte.alias] = {name: checksum(text) for name, text in texts.items()}


def _own_tables(select: exp.Select) -> list[exp.Table]:
    from sqlglot import exp

    places = [select.args.get("from_"), *(select.args.get("joins") or ())]
    return [place.this for place in places if place and isinstance(place.this, exp.Table)]


def _projection_text(value: exp.Expr, sources: dict[str, tuple[str, dict[str, str], str]]) -> str:
    """The text of a column in which each column that it reads says what it is."""
    from sqlglot import exp

    def renamed(node: exp.Expr) -> exp.Expr:
        if isinstance(node, exp.Column) and node.table in sources:
            number, columns, name = sources[node.table]
            inner = columns.get(node.name) or f"{name}.{'' if columns else node.name}"
            return exp.to_identifier(f"{number} {inner}", quoted=True)
        return node

    return _INTERNAL_NAME.sub("_", value.copy().transform(renamed, copy=False).sql())


def order_operands(tree: exp.Expr) -> None:
    """Put the operands of AND, OR and = and the groups in one order, inner ones first."""
    from sqlglot import exp

    connectors = [
        node for node in tree.find_all(exp.And, exp.Or) if type(node.parent) is not type(node)
    ]
    for node in reversed(connectors):
        operands = list(node.flatten(unnest=False))
        ordered = sorted(operands, key=_place)
        if [id(o) for o in ordered] != [id(o) for o in operands]:
            joined = ordered[0].copy()
            for operand in ordered[1:]:
                joined = type(node)(this=joined, expression=operand.copy())
            node.replace(joined)
    for node in tree.find_all(exp.EQ, exp.NEQ, exp.NullSafeEQ, exp.NullSafeNEQ):
        sides = sorted((node.this, node.expression), key=_place)
        node.set("this", sides[0])
        node.set("expression", sides[1])
    for group in tree.find_all(exp.Group):
        group.set("expressions", sorted(group.expressions, key=_place))


def _name_seeds(tree: exp.Expr, seeds: Seeds) -> None:
    """Name a seed by what it holds in the columns that are read, whatever else its file holds."""
    from sqlglot import exp

    for table in tree.find_all(exp.Table):
        hashes = seeds.get(f"seed.{table.db}.{table.name}") if table.catalog == "seed" else None
        if hashes is None:
            continue
        uses = [c for c in tree.find_all(exp.Column) if c.table == table.alias_or_name]
        names = sorted({column.name.lower() for column in uses})
        if all(name in hashes for name in names):
            text = " ".join(f"{name} {hashes[name]}" for name in ("", *names))
            table.set("db", exp.to_identifier(checksum(text)[:16], quoted=True))


def _place(operand: exp.Expr) -> str:
    text: str = operand.sql()
    return _INTERNAL_NAME.sub("_", text) + text


# An expression of so many nodes may stand twice when two steps become one: a column, a cast.
_SHORT = 8


class NotCanonical(ValueError):  # noqa: N818 - it is an answer, and every caller has another way
    """The statement cannot be brought into one form."""


def canonical(
    sql: str, dialect: str, columns: dict[str, list[str]] | None = None, seeds: Seeds | None = None
) -> str:
    """The one form of a statement, on many lines.

    Args:
        sql: a query, whose leaves are tables.
        dialect: sqlglot's name of its dialect.
        columns: known columns of leaf tables, by their dotted names; needed only where a column
            is written without its table beside several tables.
        seeds: the hashes of the columns of seeds; without them a seed stands for its whole file.

    Raises:
        NotCanonical: it cannot be parsed, or a column cannot be told to its table.
    """
    try:
        return _settled(_qualified(sql, dialect, columns or {}), dialect, seeds or {})
    except Exception as error:
        # Whatever sqlglot trips over, there is another way: the text itself.
        raise NotCanonical(_first_line(error)) from error


def qualified(sql: str, dialect: str, columns: dict[str, list[str]]) -> exp.Expr:
    """A statement as a tree in which each column names its table and each step stands once.

    Raises:
        NotCanonical: it cannot be parsed, or a column cannot be told to its table.
    """
    try:
        return _qualified(sql, dialect, columns)
    except Exception as error:
        raise NotCanonical(_first_line(error)) from error


def settled(tree: exp.Expr, dialect: str, seeds: Seeds) -> str:
    """The one form of a qualified tree, which is taken apart; on many lines.

    Args:
        tree: what `qualified` gave.
        dialect: sqlglot's name of its dialect.
        seeds: as `canonical` takes them.

    Raises:
        NotCanonical: a rewrite fails.
    """
    try:
        return _settled(tree, dialect, seeds)
    except Exception as error:
        raise NotCanonical(_first_line(error)) from error


def _qualified(sql: str, dialect: str, columns: dict[str, list[str]]) -> exp.Expr:
    import sqlglot
    from sqlglot import exp
    from sqlglot.optimizer.annotate_types import annotate_types
    from sqlglot.optimizer.eliminate_ctes import eliminate_ctes
    from sqlglot.optimizer.eliminate_subqueries import eliminate_subqueries
    from sqlglot.optimizer.normalize_identifiers import normalize_identifiers
    from sqlglot.optimizer.pushdown_projections import pushdown_projections
    from sqlglot.optimizer.qualify import qualify
    from sqlglot.optimizer.qualify_tables import qualify_tables
    from sqlglot.optimizer.simplify import simplify

    tree: Any = sqlglot.parse_one(sql, dialect=dialect)
    if tree.find(exp.Command):
        raise NotCanonical("it holds a statement that is not understood")
    if tree.find(exp.Columns, exp.Pivot) or any(map(_is_pattern, tree.find_all(exp.Star))):
        raise NotCanonical(
            "it takes columns by a pattern or a pivot, so which it reads is not told"
        )
    for node in tree.walk():
        node.comments = None
    _name_calls(tree, dialect)
    close_facts(tree)
    # The columns of a leaf are often not known: what merely copies one is seen through first.
    tree = normalize_identifiers(tree, dialect=dialect)
    tree = eliminate_subqueries(qualify_tables(tree, dialect=dialect))
    see_through_copies(tree)
    tree = eliminate_ctes(tree)
    schema = _schema(tree, columns)
    tree = qualify(tree, dialect=dialect, schema=schema)
    tree = pushdown_projections(tree)
    _merge(tree)
    tree = annotate_types(tree, schema=schema, dialect=dialect)
    return simplify(as_lists(tree), dialect=dialect)


def _is_pattern(star: exp.Star) -> bool:
    """Whether a star stands for some columns that are chosen when the statement runs."""
    from sqlglot import exp

    place = star.parent.parent if isinstance(star.parent, exp.Column) else star.parent
    return not isinstance(place, exp.Select | exp.Count | exp.Returning)


def _settled(tree: Any, dialect: str, seeds: Seeds) -> str:
    from sqlglot.optimizer.canonicalize_internal_names import canonicalize_internal_names
    from sqlglot.optimizer.pushdown_projections import pushdown_projections

    tree = pushdown_projections(tree)
    _merge(tree)
    as_lists(tree)
    number_outputs(tree)
    for _ in range(2):
        order_branches(tree)
        order_ctes(tree)
        number_aliases(tree)
        _name_seeds(tree, seeds)
        tree = canonicalize_internal_names(tree)
        order_operands(tree)
        order_projections(tree)
    order_ctes(tree)
    number_aliases(tree)
    tree = canonicalize_internal_names(tree)
    order_operands(tree)
    text: str = tree.sql(dialect=dialect, pretty=True, normalize_functions="upper", comments=False)
    return text


class _NoCopies:
    """Lets steps be merged unless that would write a long expression twice."""

    def consume(self, outer_scope: Any, inner_scope: Any, alias: str) -> bool:
        """Whether the inner step may be merged into the outer one."""
        uses = Counter(c.name for c in outer_scope.columns if c.table == alias)
        return not any(
            uses.get(projection.alias_or_name, 0) > 1
            and sum(1 for _ in projection.unalias().walk()) > _SHORT
            for projection in inner_scope.expression.expressions
        )


def _merge(tree: exp.Expr) -> None:
    from sqlglot.optimizer.eliminate_ctes import eliminate_ctes
    from sqlglot.optimizer.eliminate_subqueries import eliminate_subqueries
    from sqlglot.optimizer.merge_subqueries import merge_ctes, merge_derived_tables

    budget: Any = _NoCopies()
    for _ in range(12):
        steps = _size(tree)
        eliminate_subqueries(tree)
        see_through_copies(tree)
        merge_ctes(tree, False, copy_budget=budget)  # noqa: FBT003 - sqlglot's own signature
        merge_derived_tables(tree, False, copy_budget=budget)  # noqa: FBT003
        eliminate_ctes(tree)
        if _size(tree) == steps:
            break


def _size(tree: exp.Expr) -> tuple[int, int]:
    from sqlglot import exp

    with_ = tree.args.get("with_")
    return len(with_.expressions) if with_ else 0, sum(1 for _ in tree.find_all(exp.Select))


def _schema(tree: exp.Expr, columns: dict[str, list[str]]) -> dict[str, Any]:
    """The columns of the leaves: those known, and those that the statement asks of them."""
    from sqlglot import exp
    from sqlglot.optimizer.scope import traverse_scope

    nested: dict[str, Any] = {}

    def add(table: exp.Table, names: Iterable[str]) -> None:
        for name in names:
            tables = nested.setdefault(table.catalog, {}).setdefault(table.db, {})
            tables.setdefault(table.name, {})[name] = "unknown"

    for table in tree.find_all(exp.Table):
        if table.db:
            add(table, columns.get(f"{table.catalog}.{table.db}.{table.name}", ()))
    for scope in traverse_scope(tree):
        leaves = {n: s for n, s in scope.sources.items() if isinstance(s, exp.Table) and s.db}
        aliases = _aliases(scope.expression)
        for column in scope.columns:
            if column.table in leaves:
                add(leaves[column.table], [column.name])
            elif (
                not column.table
                and len(scope.selected_sources) == 1
                and leaves
                and column.name not in aliases
                and not _may_be_outer(scope, column.name)
            ):
                add(next(iter(leaves.values())), [column.name])
    return nested


def _may_be_outer(scope: Any, name: str) -> bool:
    """Whether a column without a table, in a subquery, may be one of the query around it."""
    while scope.can_be_correlated and scope.parent:
        scope = scope.parent
        for _, source in scope.selected_sources.values():
            if getattr(source, "db", None) or name in getattr(
                getattr(source, "expression", None), "named_selects", ()
            ):
                return True
    return False


def _aliases(select: exp.Expr) -> set[str]:
    """Names given in a SELECT that are not also, by their own expression, names of columns."""
    from sqlglot import exp

    if not isinstance(select, exp.Select):
        return set()
    return {
        projection.alias
        for projection in select.expressions
        if isinstance(projection, exp.Alias)
        and all(column.name != projection.alias for column in projection.find_all(exp.Column))
    }


def _name_calls(tree: exp.Expr, dialect: str) -> None:
    """Take a table function of constants, such as a reader of a file, for a table of its text."""
    from sqlglot import exp

    for table in list(tree.find_all(exp.Table)):
        call = table.this
        if isinstance(call, exp.Func) and not _depends_on_rows(call):
            table.set("this", exp.to_identifier(call.sql(dialect=dialect), quoted=True))
            table.set("db", exp.to_identifier("call", quoted=True))
            if not table.alias:
                table.set("alias", exp.TableAlias(this=exp.to_identifier("rows_read")))
        if isinstance(table.this, exp.Identifier) and table.db and not table.catalog:
            table.set("catalog", exp.to_identifier("here", quoted=True))


def _depends_on_rows(call: exp.Func) -> bool:
    from sqlglot import exp

    columns = [
        column
        for column in call.find_all(exp.Column)
        # In `union_by_name = true` the name is that of an argument.
        if not (isinstance(column.parent, exp.EQ) and column.arg_key == "this")
    ]
    return bool(columns) or call.find(exp.Query) is not None


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines()
    return re.sub(r"\x1b\[[0-9;]*m", "", lines[0]) if lines else type(error).__name__

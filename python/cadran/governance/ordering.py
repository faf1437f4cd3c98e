"""One order and one naming for what may stand in any: steps, columns, operands, groups, aliases."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cadran.governance.checksums import checksum

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlglot import exp

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
    told: dict[str, dict[str, str]] = {}
    for cte in with_.expressions if with_ else ():
        select = cte.this
        if not isinstance(select, exp.Select) or cte.alias_column_names:
            continue
        sources = {}
        for number, table in enumerate(_own_tables(select)):
            known = told.get(table.name, {}) if not table.db else {}
            name = ".".join(part.name for part in table.parts) if table.db else ""
            sources[table.alias_or_name] = (str(number), known, name)
        said = {p.alias_or_name: _said(p.unalias(), sources) for p in select.expressions}
        select.set("expressions", sorted(select.expressions, key=lambda p: said[p.alias_or_name]))
        told[cte.alias] = {name: checksum(text) for name, text in said.items()}


def _own_tables(select: exp.Select) -> list[exp.Table]:
    from sqlglot import exp

    places = [select.args.get("from_"), *(select.args.get("joins") or ())]
    return [place.this for place in places if place and isinstance(place.this, exp.Table)]


def _said(value: exp.Expr, sources: dict[str, tuple[str, dict[str, str], str]]) -> str:
    """The text of a column in which each column that it reads says what it is."""
    from sqlglot import exp

    def told(node: exp.Expr) -> exp.Expr:
        if isinstance(node, exp.Column) and node.table in sources:
            number, known, name = sources[node.table]
            inner = known.get(node.name) or f"{name}.{'' if known else node.name}"
            return exp.to_identifier(f"{number} {inner}", quoted=True)
        return node

    return _INTERNAL_NAME.sub("_", value.copy().transform(told, copy=False).sql())


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


def _place(operand: exp.Expr) -> str:
    text: str = operand.sql()
    return _INTERNAL_NAME.sub("_", text) + text

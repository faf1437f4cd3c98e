"""What means the same in SQL and is written in several ways, brought into one.

`x in (a)` and `x = a`; alternatives in any order, as a list or joined by OR; the branches of a
union in any order; the facts that a time spine asks how far it reaches.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from cadran.core.project.graph import checksum

if TYPE_CHECKING:
    from sqlglot import exp

_NAME = re.compile(r'"(?:_[tc]|use_)\d+"')


def as_lists(tree: exp.Expr) -> exp.Expr:
    """Write `x in (a, b)` and `x = b or x = a` alike, and what denies them, in one order."""
    from sqlglot import exp

    for node in list(tree.find_all(exp.In)):
        outer = node.parent
        while isinstance(outer, exp.Paren):
            outer = outer.parent
        is_denied = isinstance(outer, exp.Not)
        values = _constants(node)
        if values is not None:
            _exchange(outer if is_denied else node, _list(node.this, values, is_denied=is_denied))
    for kind, is_denied in ((exp.Or, False), (exp.And, True)):
        tops = [node for node in tree.find_all(kind) if not isinstance(node.parent, kind)]
        for top in reversed(tops):
            _gather(top, kind, is_denied=is_denied)
    return tree


def _gather(top: exp.Expr, kind: type[exp.Connector], *, is_denied: bool) -> None:
    """Make one list of the comparisons of a column that OR joins, or AND where they are denied."""
    lists: dict[tuple[str, bool], list[exp.Expr]] = {}
    subjects, operands = {}, []
    for operand in list(top.flatten(unnest=False)):
        subject, values = _compared(operand, is_denied=is_denied)
        if subject is None:
            operands.append(operand.copy())
            continue
        key = subject.sql(), _is_text(values[0])
        subjects[key] = subject
        lists.setdefault(key, []).extend(values)
    if len(lists) + len(operands) == sum(1 for _ in top.flatten()):
        return
    operands += [_list(subjects[key], values, is_denied=is_denied) for key, values in lists.items()]
    whole = operands[0]
    for operand in operands[1:]:
        whole = kind(this=whole, expression=operand)
    _exchange(top, whole)


def _exchange(node: Any, new: exp.Expr) -> None:
    """Put something in the place of a node, and of parentheses that nothing needs any more."""
    from sqlglot import exp

    while isinstance(node.parent, exp.Paren) and not isinstance(new, exp.Connector):
        node = node.parent
    node.replace(new)


def _compared(operand: exp.Expr, *, is_denied: bool) -> tuple[exp.Expr | None, list[exp.Expr]]:
    """The column that a condition compares with constants, and them; nothing of any other."""
    from sqlglot import exp

    node = operand.unnest()
    if isinstance(node, exp.NEQ if is_denied else exp.EQ):
        for subject, value in ((node.this, node.expression), (node.expression, node.this)):
            if isinstance(subject, exp.Column) and _is_constant(value):
                return subject, [value]
    if is_denied and isinstance(node, exp.Not):
        node = node.this.unnest()
    elif is_denied:
        return None, []
    values = _constants(node)
    if values is None or not isinstance(node.this, exp.Column):
        return None, []
    return node.this, values


def _constants(node: exp.Expr) -> list[exp.Expr] | None:
    """What IN lists, where these are constants of one kind."""
    from sqlglot import exp

    values = node.expressions if isinstance(node, exp.In) else []
    if not values or not all(map(_is_constant, values)) or len({*map(_is_text, values)}) > 1:
        return None
    return list(values)


def _is_constant(value: exp.Expr) -> bool:
    from sqlglot import exp

    return isinstance(value.this if isinstance(value, exp.Neg) else value, exp.Literal)


def _is_text(value: exp.Expr) -> bool:
    return bool(value.is_string)


def _list(subject: exp.Expr, values: list[exp.Expr], *, is_denied: bool) -> exp.Expr:
    from sqlglot import exp

    distinct = {value.sql(): value.copy() for value in values}
    ordered = [distinct[text] for text in sorted(distinct)]
    if len(ordered) == 1:
        kind = exp.NEQ if is_denied else exp.EQ
        return kind(this=subject.copy(), expression=ordered[0])
    listed = exp.In(this=subject.copy(), expressions=ordered)
    return exp.Not(this=listed) if is_denied else listed


def order_branches(tree: exp.Expr) -> None:
    """Put what UNION puts together in one order: rows have none, and columns go by position."""
    from sqlglot import exp

    with_ = tree.args.get("with_")
    steps = {cte.alias: cte.this for cte in with_.expressions} if with_ else {}
    texts: dict[str, str] = {}
    for top in [u for u in tree.find_all(exp.Union) if not isinstance(u.parent, exp.Union)]:
        branches = _branches(top, is_distinct=bool(top.args.get("distinct")))
        names = branches[0].named_selects if branches else []
        if "*" in names or any(len(b.expressions) != len(names) for b in branches):
            continue
        for branch in branches:  # the first one names the columns
            for projection, name in zip(branch.expressions, names, strict=True):
                value = projection.unalias().copy()
                projection.replace(exp.alias_(value, name, quoted=True))
        ordered = sorted(branches, key=lambda branch: _opened(branch, steps, texts))
        if [id(b) for b in ordered] != [id(b) for b in branches]:
            whole: exp.Query = ordered[0].copy()
            for branch in ordered[1:-1]:
                distinct = top.args.get("distinct")
                whole = exp.Union(this=whole, expression=branch.copy(), distinct=distinct)
            last = ordered[-1].copy()
            top.set("this", whole)
            top.set("expression", last)


def _branches(node: exp.Expr, *, is_distinct: bool) -> list[exp.Select]:
    """What a union puts together; nothing where order or limits within it count."""
    from sqlglot import exp

    if isinstance(node, exp.Select):
        return [node]
    known = {"this", "expression", "distinct", "with_"}
    if (
        not isinstance(node, exp.Union)
        or bool(node.args.get("distinct")) != is_distinct
        or {key for key, value in node.args.items() if value} - known
    ):
        return []
    sides = [_branches(side, is_distinct=is_distinct) for side in (node.this, node.expression)]
    return [*sides[0], *sides[1]] if all(sides) else []


def _opened(query: exp.Expr, steps: dict[str, exp.Expr], texts: dict[str, str]) -> str:
    """The text of a query without the names in it, and a mark of each step which it reads."""
    from sqlglot import exp

    text = _NAME.sub("_", query.sql())
    for table in query.find_all(exp.Table, bfs=False):
        if not table.db and table.name in steps:
            if table.name not in texts:
                texts[table.name] = ""  # a step that reads itself ends here
                texts[table.name] = checksum(_opened(steps[table.name], steps, texts))
            text += f" {texts[table.name]}"
    return text


def close_facts(tree: exp.Expr) -> None:
    """Drop what tells apart the facts from which a time spine takes its ends.

    How far a spine reaches follows the data: a fact may be renamed, and more or fewer be asked.
    """
    from sqlglot import exp

    for table in list(tree.find_all(exp.Table)):
        if table.catalog != "model":
            continue
        table.set("db", exp.to_identifier("any", quoted=True))
        table.set("this", exp.to_identifier("fact", quoted=True))
        select = table.find_ancestor(exp.Select)
        if select is None or select.args.get("joins") or select.args["from_"].this is not table:
            continue
        table.set("alias", exp.TableAlias(this=exp.to_identifier("fact", quoted=True)))
        for column in list(select.find_all(exp.Column)):
            if column.find_ancestor(exp.Select) is select:
                column.replace(exp.column(exp.to_identifier("reach", quoted=True)))
    for union in [u for u in tree.find_all(exp.Union) if not isinstance(u.parent, exp.Union)]:
        branches = _branches(union, is_distinct=bool(union.args.get("distinct")))
        closed = [b for b in branches if [t.catalog for t in b.find_all(exp.Table)] == ["model"]]
        distinct = list({branch.sql(): branch.copy() for branch in closed}.values())
        if branches and len(closed) == len(branches) and len(distinct) < len(branches):
            whole: exp.Query = distinct[0]
            for branch in distinct[1:]:
                whole = exp.Union(this=whole, expression=branch, distinct=False)
            whole.set("with_", union.args.get("with_"))
            union.replace(whole)

"""The KPI tree: what each KPI is made of exactly, and what its owner holds to move it.

Exact relations are read from the metric's own definition, or declared on the card as `relation`;
drivers are declared on the card as `drivers`. Nothing here is a number: see `tree_check`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cadran.errors import CardError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlglot import Expression

    from cadran.core.semantics.metrics import Input, MetricGraph
    from cadran.core.semantics.model import SemanticModel

KINDS = ("same", "sum", "product", "ratio", "formula", "cumulative", "conversion")


@dataclass(frozen=True, slots=True)
class Component:
    """An input of a relation: the metric, how the expression calls it, and its sign in it."""

    metric: str
    alias: str
    sign: str = ""
    offset: tuple[int, str] | None = None


@dataclass(frozen=True, slots=True)
class Relation:
    """How a KPI follows exactly from its parts.

    `expression` is SQL over the parts' aliases; None where the value is not a function of the
    parts at one period (cumulative, conversion). `window` is that of a cumulative KPI: a count and
    a grain, or (0, grain) for "to date".
    """

    kpi: str
    kind: str
    components: tuple[Component, ...]
    expression: str | None
    is_declared: bool = False
    window: tuple[int, str] | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """One KPI contributes to another: exactly (as a part, with its sign) or as a driver."""

    tail: str
    head: str
    is_exact: bool
    kind: str
    sign: str = ""


@dataclass(frozen=True, slots=True)
class Tree:
    """All relations, and the links between KPIs that follow from them."""

    relations: tuple[Relation, ...]
    links: tuple[Link, ...]
    names: dict[str, str] = field(default_factory=dict)

    def of(self, kpi: str) -> list[Relation]:
        """The exact relations of one KPI."""
        return [relation for relation in self.relations if relation.kpi == kpi]

    def into(self, kpi: str) -> list[Link]:
        """What contributes to a KPI directly."""
        return [link for link in self.links if link.head == kpi]

    def out_of(self, kpi: str) -> list[Link]:
        """What a KPI contributes to directly."""
        return [link for link in self.links if link.tail == kpi]

    def ways_up(self, kpi: str, goals: Iterable[str]) -> dict[str, list[Link]]:
        """For each goal, the shortest way there that passes through no other goal."""
        goals = set(goals)
        paths: dict[str, list[Link]] = {}
        ways: list[list[Link]] = [[link] for link in self.out_of(kpi)]
        visited = {kpi}
        while ways:
            way = ways.pop(0)
            node = way[-1].head
            if node in visited:
                continue
            visited.add(node)
            if node in goals:
                paths[node] = way
                continue
            ways += [[*way, link] for link in self.out_of(node)]
        return paths


def read(model: SemanticModel) -> Tree:
    """The tree of all KPIs.

    Raises:
        CardError: a driver or a relation names what is no KPI, or drivers go round in a circle.
    """
    cards = model.kpis()
    names = {card.name for card in cards}
    known = names | model.broken_cards.keys()
    relations = [own_relation(model.metric_graph, card.name) for card in cards]
    for card in cards:
        for name in card.drivers:
            if name not in known or name == card.name:
                _wrong(model, card.name, "drivers", f"names '{name}', which is no other KPI")
        if card.relation is not None:
            relations.append(declared_relation(model, card.name, card.relation, known))
    kpis = {
        r.components[0].metric: r.kpi for r in relations if r.kind == "same" and not r.is_declared
    }
    links: dict[tuple[str, str], Link] = {}
    for relation in relations:
        for part in relation.components:
            tail = kpis.get(part.metric, part.metric)
            if tail in names and tail != relation.kpi:
                link = Link(tail, relation.kpi, True, relation.kind, part.sign)  # noqa: FBT003
                links.setdefault((tail, relation.kpi), link)
    for card in cards:
        for name in (driver for driver in card.drivers if driver in names):
            link = Link(name, card.name, False, "driver")  # noqa: FBT003
            links.setdefault((name, card.name), link)
    _refuse_circles(model, list(links.values()))
    return Tree(tuple(relations), tuple(links.values()), kpis)


def own_relation(graph: MetricGraph, name: str) -> Relation:
    """What a metric's definition says of its parts."""
    kind, params = graph.metrics[name]["type"], graph.metrics[name]["type_params"]
    components = tuple(map(_part, graph.inputs(name)))
    if kind == "ratio":
        return Relation(
            name, "ratio", components, "cast(numerator as double) / nullif(denominator, 0)"
        )
    if kind == "cumulative":
        span = params["cumulative_type_params"]
        window, to_date = span.get("window"), span.get("grain_to_date")
        length = (window["count"], window["granularity"]) if window else (0, to_date or "")
        return Relation(name, "cumulative", components, None, window=length)
    if kind == "conversion":
        return Relation(name, "conversion", tuple(reversed(components)), None)
    if kind == "simple":  # it aggregates rows: there is no metric behind it but itself
        return Relation(name, "same", (Component(name, name),), name)
    return _parsed(name, params["expr"], components, graph.dialect)


def _part(component: Input) -> Component:
    offset = component.offset_window
    return Component(
        component.name,
        component.role if component.role in {"numerator", "denominator"} else component.alias,
        "÷" if component.role in {"denominator", "base"} else "",
        (offset["count"], offset["granularity"]) if offset else None,
    )


def declared_relation(model: SemanticModel, kpi: str, text: str, kpis: set[str]) -> Relation:
    """What the card of a KPI says of its parts.

    Args:
        model: the definitions.
        kpi: its name.
        text: the relation on its card.
        kpis: the names of all KPIs.

    Raises:
        CardError: it names what is no other KPI.
    """
    from sqlglot import exp, parse_one
    from sqlglot.errors import SqlglotError

    dialect = model.metric_graph.dialect
    try:
        names = [column.name for column in parse_one(text, read=dialect).find_all(exp.Column)]
    except SqlglotError:
        names = []
    unknown = [name for name in names if name not in kpis or name == kpi]
    if unknown or not names:
        fault = f"names '{unknown[0]}', which is no other KPI" if unknown else "names no KPI"
        _wrong(model, kpi, "relation", fault)
    components = tuple(Component(name, name) for name in dict.fromkeys(names))
    relation = _parsed(kpi, text, components, dialect)
    return Relation(kpi, relation.kind, relation.components, text, is_declared=True)


def _parsed(kpi: str, text: str, components: tuple[Component, ...], dialect: str) -> Relation:
    """The relation of an expression: its kind, and the sign that each part has in it."""
    from sqlglot import exp, parse_one

    bare = _bare(parse_one(text, read=dialect))
    kind, signs = "formula", dict[str, str]()
    if isinstance(bare, exp.Column):
        kind = "same"
    elif isinstance(bare, (exp.Add, exp.Sub)):
        kind, signs = _terms(bare)
    elif isinstance(bare, exp.Mul) and _all_columns(bare.flatten()):
        kind = "product"
        signs = {side.name: "×" for side in map(_bare, bare.flatten())}  # noqa: RUF001 - times
    elif isinstance(bare, exp.Div) and _all_columns([bare.left, bare.right]):
        kind, signs = "ratio", {_bare(bare.right).name: "÷"}
    signed = (Component(p.metric, p.alias, signs.get(p.alias, ""), p.offset) for p in components)
    return Relation(kpi, kind, tuple(signed), text)


def _terms(bare: Expression) -> tuple[str, dict[str, str]]:
    from sqlglot import exp

    signs: dict[str, str] = {}
    pending: list[tuple[Expression, str]] = [(bare, "+")]
    while pending:
        term, sign = pending.pop()
        inner = _bare(term)
        if isinstance(inner, (exp.Add, exp.Sub)):
            opposite = sign if isinstance(inner, exp.Add) else {"+": "−", "−": "+"}[sign]  # noqa: RUF001 - minus
            pending += [(inner.left, sign), (inner.right, opposite)]
        elif isinstance(inner, exp.Column):
            signs[inner.name] = sign
        elif not isinstance(inner, exp.Literal):
            return "formula", {}
    return "sum", signs


def _all_columns(sides: Iterable[Expression]) -> bool:
    from sqlglot import exp

    return all(isinstance(_bare(side), exp.Column) for side in sides)


def _bare(node: Expression) -> Expression:
    """The expression without brackets, casts, defaults for NULL, and a constant before it."""
    from sqlglot import exp

    while True:
        if isinstance(node, (exp.Paren, exp.Cast, exp.Coalesce, exp.Nullif)):
            node = node.this
        elif isinstance(node, exp.Mul) and isinstance(node.left, exp.Literal):
            node = node.right
        elif isinstance(node, exp.Mul) and isinstance(node.right, exp.Literal):
            node = node.left
        elif isinstance(node, exp.Div) and isinstance(node.left, exp.Mul):
            left = _bare(node.left)
            if left is node.left:
                return node
            node = exp.Div(this=left.copy(), expression=node.right.copy())
        else:
            return node


def _refuse_circles(model: SemanticModel, links: list[Link]) -> None:
    after: dict[str, list[str]] = {}
    for link in links:
        after.setdefault(link.tail, []).append(link.head)
    checked: set[str] = set()

    def walk(name: str, way: tuple[str, ...]) -> None:
        if name in way:
            circle = " > ".join((*way[way.index(name) :], name))
            _wrong(model, name, "drivers", f"goes round in a circle: {circle}")
        if name not in checked:
            for head in after.get(name, ()):
                walk(head, (*way, name))
            checked.add(name)

    for name in list(after):
        walk(name, ())


def _wrong(model: SemanticModel, kpi: str, key: str, sentence: str) -> None:
    raise CardError(f"{model.project.file_of(kpi)}: KPI '{kpi}', key '{key}': {sentence}.")

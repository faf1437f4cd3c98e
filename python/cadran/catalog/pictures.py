"""The catalogue's pictures: values over time, lineage, and the KPI tree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from cadran.charts import rows
from cadran.charts.graph import Edge, Node, tree
from cadran.charts.page import page, spark
from cadran.charts.plots import sparkline
from cadran.insight.breaks import marks

if TYPE_CHECKING:
    from cadran.catalog.facts import Facts, KpiFacts
    from cadran.catalog.texts import Words
    from cadran.charts.picture import Style
    from cadran.core.project import lineage

THROUGH = {"semantic_model"}


def over_time(kpi: KpiFacts, w: Words) -> Markup:
    """The line, with what was published and what was aimed at, and the table of its figures."""
    if not kpi.series:
        return Markup()
    # The months shown are of one version; only what was published may be of several.
    published = [
        {"metric_time__month": month, kpi.card.name: value}
        for month, value in sorted(kpi.published.items())
    ]
    picture = rows.line(
        kpi.series, kpi.card, lang=w.lang, breaks=marks(kpi.breaks, kpi.card.name, w.lang),
        goals={goal.start: goal.target for goal in kpi.targets if goal.grain == "month"},
        published=published, head=w("month"),
    )  # fmt: skip
    return page(picture, more=w("figures"))


def breakdown(kpi: KpiFacts, w: Words, title: str) -> Markup:
    """The latest month by the card's first dimension."""
    if len(kpi.breakdown) < 2:  # noqa: PLR2004 - one bar compares nothing
        return Markup()
    return page(rows.ranked(kpi.breakdown, kpi.card, title=title, lang=w.lang, called=w.member))


def course(values: tuple[Any, ...]) -> Markup:
    """The sparkline of a row; its figures stand beside it."""
    return spark(sparkline(values))


def lineage_of(kpi: KpiFacts, w: Words) -> Markup:
    """The lineage, from the sources to the KPI."""
    if kpi.origin is None:
        return Markup()
    nodes: dict[str, Node] = {}
    edges: dict[tuple[str, str], Edge] = {}
    label = kpi.card.localized(w.lang).label
    _walk(kpi.origin, None, nodes, edges, label)
    title = w("picture_lineage", label=label)
    return page(tree(list(nodes.values()), list(edges.values()), title=title))


def _walk(
    node: lineage.Node,
    head: str | None,
    nodes: dict[str, Node],
    edges: dict[tuple[str, str], Edge],
    label: str,
) -> None:
    key = f"{node.kind}.{node.name}"
    if node.kind in THROUGH:
        if node.is_repeated:
            return
        for parent in node.parents:
            _walk(parent, head, nodes, edges, label)
        return
    if key not in nodes:
        is_kpi, is_raw = head is None, node.kind in {"source", "seed"}
        style: Style = "strong" if is_kpi else "soft" if is_raw else "plain"
        nodes[key] = Node(key, label if is_kpi else node.name, _note(node), style)
    if head is not None:
        edges[key, head] = Edge(key, head)
    for parent in node.parents:
        _walk(parent, key, nodes, edges, label)


def _note(node: lineage.Node) -> str:
    parts = node.file.split("/")
    return parts[1] if node.kind == "model" and len(parts) > 2 else node.kind  # noqa: PLR2004 - models/<folder>/...


def tree_around(kpi: KpiFacts, facts: Facts, w: Words) -> Markup:
    """The KPI between what it is made of or moved by, and what it moves."""
    name = kpi.card.name
    nodes = {name: Node(name, kpi.card.localized(w.lang).label, "", "strong")}
    edges = []
    for relation in facts.tree.of(name):
        for part in relation.components:
            key = facts.tree.names.get(part.metric, part.metric)
            if key == name:
                key = part.metric
            nodes.setdefault(key, _box(key, facts, w))
            edges.append(Edge(key, name, part.sign))
    exact = {edge.tail for edge in edges}
    for link in facts.tree.into(name):
        if link.tail not in exact:
            nodes.setdefault(link.tail, _box(link.tail, facts, w))
            edges.append(Edge(link.tail, name, "", not link.is_exact))
    for link in facts.tree.out_of(name):
        nodes.setdefault(link.head, _box(link.head, facts, w))
        edges.append(Edge(name, link.head, link.sign, not link.is_exact))
    title = w("picture_tree", label=kpi.card.localized(w.lang).label)
    return page(tree(list(nodes.values()), edges, title=title))


def tree_of_all(facts: Facts, w: Words) -> Markup:
    """All KPIs that hang together, and how."""
    links = facts.tree.links
    names = dict.fromkeys(name for link in links for name in (link.tail, link.head))
    edges = [Edge(link.tail, link.head, link.sign, not link.is_exact) for link in links]
    return page(tree([_box(name, facts, w) for name in names], edges, title=w("tree")))


def _box(name: str, facts: Facts, w: Words) -> Node:
    kpi = facts.kpis.get(name)
    if kpi is None:
        return Node(name, name, w("part"), "soft")
    card = kpi.card
    style: Style = "strong" if card.tier == "strategic" else "plain"
    return Node(name, card.localized(w.lang).label, w(card.scope), style)

"""Lists of KPIs: all of them, those of a team, and what a search finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cadran.charts import graph
from cadran.core.semantics import tree
from cadran.errors import CadranError, UnknownNameError
from cadran.formats.numbers import folded
from cadran.insight import service_levels
from cadran.web.parts import controls, tile_plot

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    from cadran.charts.picture import Graph
    from cadran.core.project.cards import Card
    from cadran.insight.readings import Reader
    from cadran.insight.wording import Words

_MOST_HITS = 50


@dataclass(frozen=True, slots=True)
class Hit:
    """Something that a search found: where it is, what it is called, and what it is."""

    path: str
    label: str
    text: str


def kpis(reader: Reader, w: Words) -> dict[str, Any]:
    """Every KPI, strategic ones first, then by team."""
    cards = reader.cards()
    groups = [(w("strategic"), [card for card in cards if card.tier == "strategic"])]
    scopes = sorted({card.scope for card in cards if card.tier != "strategic"})
    groups += [
        (w.name(scope), [c for c in cards if c.scope == scope and c.tier != "strategic"])
        for scope in scopes
    ]
    return _listed(reader, w, groups, w("kpis"), "/board/kpis")


def team(reader: Reader, name: str, w: Words) -> dict[str, Any]:
    """The KPIs of each team, or of one, with the strategic ones that these move.

    Raises:
        UnknownNameError: there is no such team, or none of its KPIs may be seen.
    """
    scopes = sorted({card.scope for card in reader.source.kpis if card.tier != "strategic"})
    if name and name not in scopes:
        raise UnknownNameError("team", name, scopes)
    chosen = [name] if name else scopes
    groups = [
        (w.name(scope), [c for c in reader.cards() if c.scope == scope and c.tier != "strategic"])
        for scope in chosen
    ]
    title = w.name(name) if name else w("teams")
    content = _listed(reader, w, groups, title, f"/board/teams/{name}".rstrip("/"))
    names = [card.name for _, cards in groups for card in cards]
    goals = _moved(reader, names)
    picture = _tree(reader, w, names, goals) if name and goals else None
    return {**content, "goals": goals, "lead": w("team_moves") if goals else "", "tree": picture}


def _tree(reader: Reader, w: Words, names: Sequence[str], goals: Sequence[Card]) -> Graph:
    """The ways from the KPIs of a team to the strategic ones, each box with its value."""
    links = reader.cached("tree", lambda: tree.read(reader.source.layer))
    cards = {card.name: card for card in reader.source.kpis}
    ways = [way for name in names for way in links.ways_up(name, [c.name for c in goals]).values()]
    steps = {(link.tail, link.head): link for way in ways for link in way}
    used = dict.fromkeys(name for pair in steps for name in pair if name in cards)
    values = {one.card.name: one for one in reader.readings([cards[name] for name in used])}
    boxes = [
        graph.Node(
            name, w.label(cards[name]),
            "" if values[name].value is None else w.value(values[name].value, cards[name]),
            "strong" if cards[name].tier == "strategic" else "plain",
        )
        for name in used
    ]  # fmt: skip
    edges = [graph.Edge(*pair, link.sign, not link.is_exact) for pair, link in steps.items()]
    return graph.tree(boxes, edges, title=w("team_moves"))


def _listed(
    reader: Reader, w: Words, groups: Sequence[tuple[str, list[Card]]], title: str, path: str
) -> dict[str, Any]:
    cards = [card for _, of_group in groups for card in of_group]
    readings = {one.card.name: one for one in reader.readings(cards)}
    until: dt.date | None = max(
        filter(None, (reader.through(card.name) for card in cards)), default=None
    )
    return {
        "title": title,
        "window": reader.window(cards),
        "until": until,
        "page": controls(reader, w, path, until),
        "groups": [
            (name, [(readings[card.name], tile_plot(readings[card.name])) for card in of_group])
            for name, of_group in groups
            if of_group
        ],
        "goals": [],
        "tree": None,
        "lead": "",
    }


def _moved(reader: Reader, names: Sequence[str]) -> list[Card]:
    """The strategic KPIs that others lead to in the KPI tree."""
    try:
        every = reader.cached("tree", lambda: tree.read(reader.source.layer))
    except CadranError:
        return []
    goals = {card.name: card for card in reader.source.kpis if card.tier == "strategic"}
    moved = {goal for name in names for goal in every.ways_up(name, goals) if goal not in names}
    return [goals[name] for name in sorted(moved)]


def search(reader: Reader, question: str, w: Words) -> dict[str, Any]:
    """KPIs, teams, service levels and incidents that a text names, the best first."""
    words = folded(question.strip()[:200]).split()
    scored: list[tuple[int, str, Hit]] = []
    for hit, names, text in _places(reader, w) if words else ():
        title, body = folded(names), folded(f"{names} {text}")
        if not all(word in body for word in words):
            continue
        score = sum(2 if word in title else 1 for word in words)
        score += 3 * title.startswith(words[0])
        scored.append((-score, hit.label, hit))
    scored.sort(key=lambda entry: entry[:2])
    return {
        "title": w("search"),
        "until": None,
        "question": question.strip()[:200],
        "hits": [hit for _, _, hit in scored[:_MOST_HITS]],
    }


def _places(reader: Reader, w: Words) -> list[tuple[Hit, str, str]]:
    """Every place there is: where, by what names, and what else is said of it."""
    places: list[tuple[Hit, str, str]] = []
    for card in reader.source.kpis:
        text = card.localized(w.lang)
        other = card.localized("fr" if w.lang == "en" else "en")
        hit = Hit(f"/board/kpis/{card.name}", text.label, text.description)
        said = f"{text.description} {w.name(card.scope)} {card.objective}"
        places.append((hit, f"{text.label} {card.name} {other.label}", said))
    places += [
        (Hit(f"/board/teams/{scope}", w.name(scope), w("team")), scope, w("team"))
        for scope in sorted({c.scope for c in reader.source.kpis if c.tier != "strategic"})
    ]
    for level in service_levels.levels(reader, w):
        hit = Hit(f"/board/levels/{level.id}", f"{level.service} · {level.label}", level.target)
        places.append((hit, f"{level.service} {level.label} {level.id}", w("levels")))
    for row in service_levels.incidents(reader):
        name = f"{row['incident_id']} · {w.name(row['service'])}"
        said = f"{w.name(str(row['cause']))}, {w.day(row['started_at'].date())}"
        places.append((Hit(f"/board/incidents/{row['incident_id']}", name, said), name, said))
    return places

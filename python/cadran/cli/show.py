"""`cadran show KPI`: the card as a page."""

from __future__ import annotations

import contextlib
import textwrap
from typing import TYPE_CHECKING, Any

from cadran.cli.common import describe, open_layer, write_rows
from cadran.core.project import lineage
from cadran.core.query.request import ask
from cadran.core.targets import targets
from cadran.errors import CadranError, ProjectError
from cadran.formats import numbers, periods
from cadran.formats import words as texts
from cadran.governance.approval import approval_of
from cadran.insight.breaks import sentence
from cadran.insight.scorecard import SHOWN

if TYPE_CHECKING:
    import argparse
    import datetime as dt

    from cadran.core.layer import Layer
    from cadran.core.project.cards import Card
    from cadran.core.versions.evidence import Approval

WIDTH = 96


def add(parser: argparse.ArgumentParser, _name: str) -> None:
    """Describe the command's arguments."""
    usage = """
        kpi KPI   such as net_revenue
        --format  a page, or an array with the card as an object (default: %(default)s)
        --no-sql  leave the SQL out of the page
    """
    forms = {"choices": ("text", "json"), "default": "text"}
    shown = ("cadran show net_revenue", "cadran show net_revenue --lang fr --format json")
    describe(parser, _show, usage, language=True, shown=shown, format=forms)


def _show(parsed: argparse.Namespace) -> int:
    layer = open_layer(parsed)
    card = layer.card(parsed.kpi)
    approval = approval_of(layer, card.name, card.version)
    if parsed.format == "json":
        state = {name: getattr(approval, name, None) for name in ("approver", "state", "evidence")}
        write_rows([card.to_dict(parsed.lang) | {"approval": state if approval else None}], "json")
        return 0
    words = texts.words("show", parsed.lang)
    print("\n".join(_card(card.localized(parsed.lang), words, approval)))
    for title, make in (("targets", _targets), ("values", _values), ("lineage", _lineage)):
        print(f"\n{words[title]}")
        print(textwrap.indent("\n".join(make(layer, card, parsed.lang)), "  "))
    if not parsed.no_sql:
        print(f"\n{words['sql']}")
        print(
            textwrap.indent(layer.plan(ask([card.name], f"metric_time__{_grain(card)}"))[0], "  ")
        )
    return 0


def _card(card: Card, words: dict[str, str], approval: Approval | None) -> list[str]:
    head = f"{card.label}  ({card.name}, {words['version']} {card.version})"
    refresh = f"{card.refresh.every} (max. {card.refresh.late_after})"
    pairs = [
        ("definition", card.description),
        ("formula", card.formula),
        ("unit", card.unit),
        ("direction", words[card.direction]),
        ("objective", f"{card.objective} ({card.tier})"),
        ("scope", card.scope),
        ("owners", f"{card.owner.business}, {card.owner.technical}"),
        ("status", card.status),
        ("approved", f"{approval.approver} ({words[approval.state]})" if approval else ""),
        ("refresh", refresh),
        ("additivity", words[card.additivity]),
        ("grains", ", ".join(card.grains)),
        ("dimensions", ", ".join(card.dimensions) or words["none"]),
        ("not_for", ", ".join(card.not_for)),
        ("review", card.review_by.isoformat()),
    ]
    width = max(len(words[key]) for key, _ in pairs) + 2
    lines = [head, "=" * len(head)]
    for key, value in pairs:
        if value:
            lines += textwrap.wrap(
                f"{words[key]:<{width}}{value}", WIDTH, subsequent_indent=" " * width
            )
    return lines


def _grain(card: Card) -> str:
    return "month" if "month" in card.grains else card.grains[-1]


def _until(layer: Layer, card: Card) -> dt.date:
    """The last day that is whole in the data of a KPI, which may be before that of others."""
    with contextlib.suppress(CadranError):  # what cannot be asked is told with its values
        return layer.complete_through(card.name) or layer.last_day()
    return layer.last_day()


def _targets(layer: Layer, card: Card, lang: str) -> list[str]:
    words = texts.words("show", lang)
    own = [target for target in targets(layer) if target.kpi == card.name]
    today = _until(layer, card)
    current = [
        target
        for target in own
        if target.grain in periods.GRAINS and periods.start_of(today, target.grain) == target.start
    ]

    def formatted(value: Any) -> str:
        return numbers.measure(value, card.unit, decimals=card.decimals, lang=lang)

    return [
        f"{periods.label(target.start, target.grain, lang):<16}{formatted(target.target)}"
        f"  ({words['warning']} {formatted(target.warning)},"
        f" {words['critical']} {formatted(target.critical)})"
        for target in current
    ] or [words["none"]]


def _values(layer: Layer, card: Card, lang: str) -> list[str]:
    grain = _grain(card)
    if grain not in periods.GRAINS:
        return [texts.words("show", lang)["none"]]
    latest = periods.last_complete(_until(layer, card), grain)
    starts = [periods.shifted(latest, grain, back) for back in range(1 - SHOWN, 1)]
    name = f"metric_time__{grain}"
    try:
        result = layer.query([card.name], name, start=starts[0], end=periods.last_of(latest, grain))
        breaks = [
            f"* {sentence(version_break, card, grain, lang)}" for version_break in result.breaks
        ]
    except CadranError as problem:
        return [str(problem)]
    value_of = {row[name]: row[card.name] for row in result.to_arrow().to_pylist()}
    values = [value_of.get(start) for start in starts]
    first, last = (periods.label(start, grain, lang) for start in (starts[0], latest))
    span = f"{first} {numbers.DASH} {last}"
    cells = [
        f"{periods.label(start, grain, lang):<16}"
        + numbers.measure(value_of.get(start), card.unit, decimals=card.decimals, lang=lang)
        for start in starts[-3:]
    ]
    return [f"{numbers.sparkline(values)}  {span}", *cells, *breaks]


def _lineage(layer: Layer, card: Card, _lang: str) -> list[str]:
    try:
        return lineage.lines(lineage.of_metric(layer.project.dbt_manifest, card.name))
    except ProjectError as problem:
        return [str(problem)]

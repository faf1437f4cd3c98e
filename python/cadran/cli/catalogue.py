"""`cadran list`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cadran.cli.common import add_language, add_project, examples, open_layer
from cadran.cli.output import add_format, write_rows

if TYPE_CHECKING:
    import argparse

    from cadran.cards import Card


def add(parser: argparse.ArgumentParser, _name: str) -> None:
    """Describe the command's arguments."""
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--metrics", action="store_true", help="all metrics, KPIs among them")
    what.add_argument("--saved-queries", action="store_true", help="the saved queries")
    what.add_argument(
        "--dimensions",
        nargs="+",
        metavar="METRIC",
        help="what these metrics can be grouped by together",
    )
    parser.add_argument("--tier", choices=("strategic", "operational"), help="KPIs of one tier")
    add_format(parser)
    add_language(parser)
    add_project(parser)
    examples(
        parser,
        "cadran list --tier strategic --lang fr",
        "cadran list --format json",
        "cadran list --dimensions net_revenue",
    )
    parser.set_defaults(run=_list)


def _list(parsed: argparse.Namespace) -> int:
    layer = open_layer(parsed)
    rows: list[dict[str, Any]]
    if parsed.metrics:
        rows = layer.metrics()
    elif parsed.saved_queries:
        rows = [*layer.saved_queries()]
    elif parsed.dimensions:
        rows = [*layer.dimensions(parsed.dimensions)]
    else:
        cards = [card for card in layer.kpis() if parsed.tier in {None, card.tier}]
        if parsed.format in {"table", "csv"}:
            rows = [_line(card, parsed.lang) for card in cards]
        else:
            rows = [card.to_dict(parsed.lang) for card in cards]
    write_rows(rows, parsed.format, parsed.output)
    return 0


def _line(card: Card, lang: str) -> dict[str, Any]:
    shown = card.localized(lang)
    return {
        "name": card.name,
        "label": shown.label,
        "tier": card.tier,
        "scope": card.scope,
        "unit": card.unit,
        "direction": card.direction,
        "status": card.status,
        "owner": card.owner.business,
    }

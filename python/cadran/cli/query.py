"""`cadran query`, `cadran sql` and `cadran values`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cadran.cli.common import (
    EXCEL_FR,
    FORMATS,
    add_format,
    add_language,
    add_live,
    add_project,
    examples,
    open_layer,
    write,
    write_rows,
)
from cadran.cli.language import said, tell, warn
from cadran.cli.watch import add_watch, watched
from cadran.core.days import COMPARISONS
from cadran.core.query.request import ask
from cadran.core.result import with_complete

if TYPE_CHECKING:
    import argparse

    from cadran.core.project.cards import Card


def add(parser: argparse.ArgumentParser, name: str) -> None:
    """Describe the command's arguments."""
    if name == "values":
        _add_values(parser)
        return
    parser.add_argument("metrics", nargs="*", metavar="METRIC", help="KPIs or metrics")
    parser.add_argument(
        "--group-by",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME",
        help="dimensions, times with a grain: metric_time__month customer__country",
    )
    parser.add_argument(
        "--where",
        action="append",
        default=[],
        metavar="FILTER",
        help="\"{{ Dimension('order_id__channel') }} = 'web'\"; several must all hold",
    )
    parser.add_argument(
        "--start",
        metavar="TIME",
        help="first day or instant, included; widened to the whole period asked",
    )
    parser.add_argument(
        "--end",
        metavar="TIME",
        help="last day or instant, included; widened to the whole period asked",
    )
    parser.add_argument(
        "--order-by",
        action="append",
        default=[],
        metavar="NAME",
        help="columns, with a - before the descending ones (default: time, then dimensions)",
    )
    parser.add_argument("--limit", type=int, metavar="N", help="at most so many rows")
    parser.add_argument("--saved-query", metavar="NAME", help="start from a saved query")
    parser.add_argument(
        "--ungoverned",
        action="store_true",
        help="ask the metric behind a KPI, outside its card: the answer is not the KPI",
    )
    parser.add_argument(
        "--complete",
        action="store_true",
        help="only periods that are whole in the data: the running one is left out",
    )
    if name == "query":
        parser.add_argument(
            "--known-at", metavar="TIME", help="what the ledger held then: 2026-09-30T18:00Z"
        )
        parser.add_argument(
            "--view",
            choices=("published", "restated", "both", "spliced"),
            help="as published, as now, both, or each period by the version it began with",
        )
        parser.add_argument(
            "--version",
            type=int,
            metavar="N",
            help="by this version of the one KPI asked, from its frozen SQL",
        )
        parser.add_argument(
            "--compare",
            choices=COMPARISONS,
            help="beside the period before, the same one a year before, or as many days before",
        )
        add_live(parser)
        add_watch(parser)
        add_format(parser, formats=(*FORMATS, EXCEL_FR))
        examples(
            parser,
            "cadran query net_revenue average_order_value --group-by metric_time__month",
            "cadran query net_revenue --group-by customer__country --start 2026-01-01 "
            "--order-by -net_revenue --limit 5",
            "cadran query net_revenue --group-by metric_time__month --complete",
            "cadran query net_revenue --group-by metric_time__month --version 1",
            "cadran query net_revenue --group-by metric_time__month --compare year",
            "cadran query platform_availability --group-by metric_time__minute --live",
            "cadran query --saved-query kpi_daily_commerce --format parquet --output daily.parquet",
        )
    else:
        parser.add_argument(
            "--explain",
            action="store_true",
            help="say what is read, facts or pre-aggregates, and why; not the statement",
        )
        examples(
            parser,
            "cadran sql net_revenue --group-by metric_time__month",
            "cadran sql net_revenue --group-by customer__country --explain",
        )
    add_project(parser)
    parser.set_defaults(run=watched(_query) if name == "query" else _sql)


def _add_values(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dimension", metavar="DIMENSION", help="such as customer__country")
    parser.add_argument(
        "--metrics",
        nargs="+",
        action="extend",
        default=[],
        metavar="METRIC",
        help="only the values that these metrics have",
    )
    add_format(parser)
    add_project(parser)
    examples(parser, "cadran values customer__country --metrics net_revenue")
    parser.set_defaults(run=_values)


def _question(parsed: argparse.Namespace) -> dict[str, Any]:
    return {
        "metrics": _names(parsed.metrics),
        "group_by": _names(parsed.group_by),
        "where": parsed.where,
        "order_by": _names(parsed.order_by),
        "limit": parsed.limit,
        "start": parsed.start,
        "end": parsed.end,
        "saved_query": parsed.saved_query,
        "governed": not parsed.ungoverned,
        "complete": parsed.complete,
    }


def _names(words: list[str]) -> list[str]:
    """Names given apart or with commas between them, as `mf` takes them."""
    return [name.strip() for word in words for name in word.split(",") if name.strip()]


def _query(parsed: argparse.Namespace) -> int:
    result = open_layer(parsed).query(
        **_question(parsed),
        known_at=parsed.known_at,
        view=parsed.view,
        version=parsed.version,
        compare=parsed.compare,
    )
    table = result.to_arrow()
    if parsed.format == EXCEL_FR:
        table = with_complete(table, result.query, result.complete_through)
    write(table, parsed.format, parsed.output)
    for note in filter(None, (result.note, result.running_note)):
        warn(note)
    if result.watermark:
        warn(f"what landed up to {result.watermark:%H:%M:%S} UTC")
    for broken in result.breaks:
        warn(str(broken))
    if not result.governed:
        warn("asked outside its card: this is not the KPI")
    return 0


def _sql(parsed: argparse.Namespace) -> int:
    layer = open_layer(parsed)
    if not parsed.explain:
        print(layer.sql(**_question(parsed)))
        return 0
    route = layer.route(ask(**_question(parsed)))
    tell(f"Reads {route.source or 'no fact'}.")
    for reason in route.reasons or ("No pre-aggregate sums what it asks.",):
        print(f"- {said(reason)}")
    return 0


def _values(parsed: argparse.Namespace) -> int:
    import pyarrow as pa

    values = open_layer(parsed).dimension_values(parsed.dimension, _names(parsed.metrics))
    write(pa.table({parsed.dimension: values}), parsed.format, parsed.output)
    return 0


def add_list(parser: argparse.ArgumentParser, _name: str) -> None:
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
        if not cards and layer.without_kpis:
            warn(layer.without_kpis)
            if parsed.format == "table":
                return 0
    write_rows(rows, parsed.format, parsed.output)
    return 0


def _line(card: Card, lang: str) -> dict[str, Any]:
    localized = card.localized(lang)
    return {
        "name": card.name,
        "label": localized.label,
        "tier": card.tier,
        "scope": card.scope,
        "unit": card.unit,
        "direction": card.direction,
        "status": card.status,
        "owner": card.owner.business,
    }

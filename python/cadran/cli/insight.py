"""`cadran drivers`, `cadran forecast` and `cadran anomalies`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cadran.cli.common import TEXTS, describe, open_layer, write_rows
from cadran.core.days import COMPARISONS
from cadran.formats import files, numbers, periods
from cadran.formats.periods import read as read_period
from cadran.formats.words import words
from cadran.insight import anomalies, drivers, forecast
from cadran.insight.evidence import compared
from cadran.insight.source import Source

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from cadran.core.project.cards import Card
    from cadran.insight.anomalies import Anomalies
    from cadran.insight.drivers import Drivers
    from cadran.insight.forecast import Forecast

_DRIVERS = """\
Exact contributions to a change: with --by those of the members of a dimension, of a rate as rate
and mix effect; without it those of the factors by which the KPI is defined. They add up to the
change, and are no causes. A running period is compared with the same days of the other one.
"""

_FORECAST = """\
The value at the end of the running period: what its whole days gave, and for those left the same
weekday of the last eight weeks at the recent level. The interval comes from what such forecasts
missed in the past at the same horizon, and its coverage is tried on the past too.
"""

_ANOMALIES = """\
Days unlike the same weekday of the eight weeks before: further from its median than 3.5 scaled
median distances (MAD), and by a tenth at least. Days that are not whole are not judged, nor those
just after a change of the definition.
"""


def add_drivers(parser: argparse.ArgumentParser, _name: str) -> None:
    """Describe the command's arguments."""
    parser.description = f"{parser.description}\n\n{_DRIVERS}"
    usage = """
        kpi KPI                the KPI whose change is split
        --by DIMENSION         by the members of a dimension on its card
        --period PERIOD        the period now: 2026, 2026-Q4, 2026-10, 2026-W44 or 2026-10-31
                               (default: the month of the last whole day)
        --start DATE           the first day now, instead of a period
        --end DATE             the last day now
        --compare              with the period before, the same one a year before, or as many days
                               before on the same weekdays (default: %(default)s)
        --where CONDITION...   only these rows: "order_id__channel = 'web'"
        --top N                show at most so many members (default: %(default)s)
    """
    shown = (
        "cadran drivers net_revenue --by product__category",
        "cadran drivers average_order_value --period 2026-10 --compare year --lang fr",
    )
    describe(
        parser, _drivers, usage, formats=TEXTS, language=True, shown=shown,
        compare={"choices": COMPARISONS, "default": "previous"}, top={"default": drivers.SHOWN},
    )  # fmt: skip


def _drivers(parsed: argparse.Namespace) -> int:
    source = Source.of(open_layer(parsed))
    current, base = compared(
        source, parsed.kpi, start=parsed.start, end=parsed.end, comparison=parsed.compare,
        period=read_period(parsed.period)[:2] if parsed.period else None,
    )  # fmt: skip
    where = parsed.where or ()
    if parsed.by:
        result = drivers.by_member(
            source, parsed.kpi, parsed.by, current, base, where=where, shown=parsed.top
        )
    else:
        result = drivers.by_factor(source, parsed.kpi, current, base, where=where)
    return _write(result, drivers_text(result, parsed.lang), parsed)


def add_forecast(parser: argparse.ArgumentParser, _name: str) -> None:
    """Describe the command's arguments."""
    parser.description = f"{parser.description}\n\n{_FORECAST}"
    usage = """
        kpi KPI                the KPI that is forecast
        --grain                length of the period (default: %(default)s)
        --where CONDITION...   only these rows: "order_id__channel = 'web'"
    """
    shown = ("cadran forecast net_revenue", "cadran forecast refund_rate --grain week --lang fr")
    describe(
        parser, _forecast, usage, formats=TEXTS, language=True, shown=shown,
        grain={"choices": forecast.PERIODS, "default": "month"},
    )  # fmt: skip


def _forecast(parsed: argparse.Namespace) -> int:
    source = Source.of(open_layer(parsed))
    result = forecast.to_end(source, parsed.kpi, parsed.grain, where=parsed.where or ())
    return _write(result, forecast_text(result, parsed.lang), parsed)


def add_anomalies(parser: argparse.ArgumentParser, _name: str) -> None:
    """Describe the command's arguments."""
    parser.description = f"{parser.description}\n\n{_ANOMALIES}"
    usage = """
        kpi KPI                the KPI whose days are judged
        --days N               how many of its last whole days (default: %(default)s)
        --where CONDITION...   only these rows: "order_id__channel = 'web'"
        --threshold SCORE      from which score on a day is an anomaly (default: %(default)s)
        --minimum SHARE        and from which relative effect on (default: %(default)s)
    """
    shown = ("cadran anomalies net_revenue", "cadran anomalies refund_rate --days 120 --lang fr")
    describe(
        parser, _anomalies, usage, formats=TEXTS, language=True, shown=shown,
        days={"default": anomalies.SHOWN},
        threshold={"type": float, "default": anomalies.THRESHOLD},
        minimum={"type": float, "default": anomalies.MINIMUM},
    )  # fmt: skip


def _anomalies(parsed: argparse.Namespace) -> int:
    result = anomalies.find(
        Source.of(open_layer(parsed)), parsed.kpi, days=parsed.days, where=parsed.where or (),
        threshold=parsed.threshold, minimum=parsed.minimum,
    )  # fmt: skip
    return _write(result, anomalies_text(result, parsed.lang), parsed)


def _write(result: Drivers | Forecast | Anomalies, page: str, parsed: argparse.Namespace) -> int:
    if parsed.format != "table":
        write_rows(result.to_rows(parsed.lang), parsed.format, parsed.output)
    elif parsed.output:
        files.write(parsed.output, f"{page}\n")
    else:
        print(page)
    return 0


def drivers_text(result: Drivers, lang: str = "en") -> str:
    """The contributions as a page of text."""
    from tabulate import tabulate

    w, card = words("drivers", lang), result.card

    def amount(value: Any) -> str:
        if value is None:
            return ""
        text = numbers.change_of(value, card.unit, decimals=_decimals(card), lang=lang)
        return text if any(sign in text for sign in "123456789") else text.lstrip("+-")

    def measure(value: Any) -> str:
        if value is None:
            return ""
        return numbers.measure(value, card.unit, decimals=card.decimals, lang=lang)

    def share(value: Any) -> str:
        return "" if value is None else numbers.measure(value, "%", decimals=1, lang=lang)

    # A factor has a unit of its own.
    own = measure if result.by else lambda value: "" if value is None else _plain(value, lang)
    shown = {
        "base": own, "value": own, "contribution": amount, "of_change": share,
        "rate_effect": amount, "mix_effect": amount, "base_share": share, "share": share,
    }  # fmt: skip
    rows = result.to_rows(lang)
    columns = [name for name in rows[0] if name != "name"]
    table = [[row["name"], *(shown[name](row[name]) for name in columns)] for row in rows]
    if not result.by:
        table[-1][1:3] = [measure(result.base), measure(result.value)]
    heading = w["heading"].format(
        label=card.localized(lang).label, days=result.days.label(lang),
        base=result.base_days.label(lang), change=amount(result.change),
        before=measure(result.base), now=measure(result.value),
    )  # fmt: skip
    by = w["by"] if result.by else w["by_factor"]
    heads = [w["member" if result.by else "factor"], *(w[name] for name in columns)]
    sides = ("left", *("right" for _ in columns))
    lines = [
        heading, by.format(dimension=result.by, method=result.method), "",
        str(tabulate(table, heads, tablefmt="simple", disable_numparse=True, colalign=sides)), "",
        *result.notes(lang),
    ]  # fmt: skip
    return "\n".join(lines)


def forecast_text(result: Forecast, lang: str = "en") -> str:
    """The forecast as lines of text."""
    w, card, through = words("forecast", lang), result.card, result.evidence.complete_through

    def measure(value: Any) -> str:
        return numbers.measure(value, card.unit, decimals=card.decimals, lang=lang)

    def percent(value: Any, decimals: int = 0) -> str:
        return numbers.measure(value, "%", decimals=decimals, lang=lang)

    heading = w["heading"].format(
        label=card.localized(lang).label, days=result.period.label(lang), low=measure(result.low),
        value=measure(result.value), high=measure(result.high), level=percent(result.level),
    )  # fmt: skip
    left = len(result.path)
    if result.so_far is None or through is None:
        lines = [heading, w["none_so_far"].format(left=left)]
    else:
        day = periods.label(through, "day", lang)
        lines = [heading, w["so_far"].format(value=measure(result.so_far), day=day, left=left)]
    lines += result.notes(lang)
    if result.coverage is not None:
        lines.insert(3, w["coverage"].format(
            coverage=percent(result.coverage), count=result.coverage_count,
            error=percent(result.error, 1),
        ))  # fmt: skip
    return "\n".join(lines)


def anomalies_text(result: Anomalies, lang: str = "en") -> str:
    """The unusual days as a page of text."""
    from tabulate import tabulate

    w, card, count = words("anomalies", lang), result.card, len(result.found)

    def measure(value: Any) -> str:
        return numbers.measure(value, card.unit, decimals=card.decimals, lang=lang)

    shown: dict[str, Callable[[Any], str]] = {
        "day": lambda value: periods.label(value, "day", lang), "value": measure,
        "expected": measure, "low": measure, "high": measure,
        "score": lambda value: numbers.number(value, decimals=1, lang=lang, sign=True),
        "effect": lambda value: numbers.measure(value, "%", lang=lang), "verdict": str,
    }  # fmt: skip
    heading = w[{0: "none", 1: "one"}.get(count, "heading")]
    lines = [
        heading.format(label=card.localized(lang).label, count=count, judged=result.judged), ""
    ]  # fmt: skip
    if count:
        table = [[shown[name](row[name]) for name in shown] for row in result.to_rows(lang)]
        sides = ("left", *("right" for _ in range(6)), "left")
        heads = [w[name] for name in shown]
        lines += [
            str(tabulate(table, heads, "simple", disable_numparse=True, colalign=sides)), ""
        ]  # fmt: skip
    return "\n".join([*lines, *result.notes(lang)])


def _decimals(card: Card) -> int:
    return card.decimals + 1 if card.unit == "%" else card.decimals


def _plain(value: Any, lang: str) -> str:
    whole = isinstance(value, int) or value == int(value)
    return numbers.number(value, decimals=0 if whole else 2, lang=lang)

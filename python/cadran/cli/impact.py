"""`cadran impact`: what incidents cost the business, with the bounds of each estimate."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from cadran.cli.common import FORMATS, describe, open_layer, write_rows
from cadran.cli.language import warn
from cadran.core.project import contracts
from cadran.errors import QueryError
from cadran.formats import numbers, periods
from cadran.formats.words import words
from cadran.insight import dose, impact
from cadran.insight.harm import OUTCOMES
from cadran.insight.source import Source

if TYPE_CHECKING:
    import argparse

    from cadran.insight.harm import Effect
    from cadran.insight.impact import Impact, Impacts, Total

NOTES = """\
The same hours of the quiet weeks around, at the level of the quiet hours near the incident, say
what was to be expected; the bounds of 90 % are how far the same estimate errs in quiet weeks.
Where they hold zero, no loss can be measured. Other incidents, and the promotions and holidays of
cadran_calendar.yml, are left out of what is compared. Money is an estimate, and is never added to
the credits of a contract.
"""
SOURCE, TABLE = "impact", "incident_impacts"  # of the dbt project, which reads what is published
_DECIMALS = {"orders": 1, "net_revenue": 0, "conversion": 2, "satisfaction": 1, "tickets": 1}


def add(parser: argparse.ArgumentParser, _name: str) -> None:
    """Describe the command's arguments."""
    parser.description = f"{parser.description}\n\n{NOTES}"
    usage = """
        incident        one incident, such as i0025; without it, every one
        --by            sums with bounds of their own
        --start DATE    only incidents that began on this day (UTC) or later
        --end DATE      only those that began on this day or before
        --dose KPI      instead: conversion by buckets of a KPI by the hour, such as error_rate
        --service NAME  of the dose: only of one service, such as Checkout
        --publish       add what every incident cost, as estimated now, to the source `impact`,
                        which the model fct_incident_impacts reads
    """
    shown = (
        "cadran impact i0025 --lang fr",
        "cadran impact --by cause --start 2026-01-01",
        "cadran impact --dose response_ms_p95 --service Checkout",
        "cadran impact --publish",
    )
    describe(
        parser, _impact, usage, formats=FORMATS, language=True, shown=shown,
        incident={"nargs": "?", "metavar": "INCIDENT"}, by={"choices": impact.BYS},
    )  # fmt: skip


def _impact(parsed: argparse.Namespace) -> int:
    if parsed.publish:
        return _publish(parsed)
    layer = open_layer(parsed)
    if "incident_count" not in layer.metric_graph.metrics and not parsed.dose:
        raise QueryError(
            "What incidents cost is estimated from `incident_count`, `order_count` and other"
            " metrics of the demo's domains (docs/impact.md), and this project has no"
            " `incident_count`."
        )
    source = Source.of(layer)
    if parsed.dose:
        return _dose(dose.response(source, parsed.dose, parsed.service), parsed)
    if parsed.service:
        raise QueryError("--service is of a dose: name its KPI with --dose.")
    if parsed.incident:
        one = impact.of_incident(source, parsed.incident)
        if parsed.format != "table":
            write_rows(one.to_rows(), parsed.format, parsed.output)
            return 0
        print(_about(one, parsed.lang))
        write_rows(_outcomes(one, parsed.lang), "table", parsed.output)
        return 0
    every = impact.of_all(source, parsed.start, parsed.end)
    rows = every.to_rows(parsed.by)
    if parsed.format == "table":
        rows = _sums(every, parsed.by, parsed.lang) if parsed.by else _listed(every, parsed.lang)
    write_rows(rows, parsed.format, parsed.output)
    return 0


def _publish(parsed: argparse.Namespace) -> int:
    """Write the estimates of every incident where the source `impact` has its files.

    Raises:
        QueryError: a part is asked for, or the source is tables of the warehouse.
    """
    chosen = [
        f"--{name}"
        for name in ("incident", "by", "start", "end", "dose", "service")
        if getattr(parsed, name)
    ]
    if chosen or parsed.output:
        raise QueryError(
            f"A publication has every incident and a place of its own: leave out"
            f" {' and '.join(chosen) or '--output'}."
        )
    loaded = contracts.load(parsed.project_dir)
    place = loaded.place(SOURCE)
    if place is None or place.startswith("schema:"):
        raise QueryError(
            f"cadran_sources names no folder for the source {SOURCE}: write the estimates with"
            " --format parquet --output, and load them into its table incident_impacts."
        )
    now = dt.datetime.now(dt.UTC).replace(tzinfo=None, microsecond=0)
    file = parsed.project_dir / place / SOURCE / TABLE / f"{now:%Y%m%dT%H%M%SZ}.parquet"
    if file.exists():
        raise QueryError(f"{file} was published within this second: publish again.")
    every = impact.of_all(Source.of(open_layer(parsed)))
    rows = [{"published_at": now, **row} for row in every.to_rows()]
    if not rows:
        raise QueryError("No incident is known, so there is nothing to publish.")
    file.parent.mkdir(parents=True, exist_ok=True)
    write_rows(rows, "parquet", file)
    print(file)
    if str(loaded.variables.get("cadran_impacts", "")).lower() != "true":
        warn("models read it once vars.yml says cadran_impacts: true")
    return 0


def _dose(found: dose.Dose, parsed: argparse.Namespace) -> int:
    """Write the buckets of a dose, and for people what they do not prove."""
    if parsed.format != "table":
        write_rows(found.to_rows(), parsed.format, parsed.output)
        return 0
    w, lang = words("impact", parsed.lang), parsed.lang
    rows = [
        {
            found.kpi: w["between"].format(
                lower=numbers.measure(bucket.least, found.unit, decimals=2, lang=lang),
                upper=numbers.measure(bucket.most, found.unit, decimals=2, lang=lang),
            ),
            w["hours"]: numbers.number(bucket.hours, lang=lang),
            w["sessions"]: numbers.number(bucket.sessions, lang=lang),
            w["conversion_rate"]: numbers.measure(bucket.conversion, "%", decimals=2, lang=lang),
            w["response"]: numbers.number(bucket.response, decimals=2, lang=lang),
            w["bounds"]: w["between"].format(
                lower=numbers.number(bucket.lower, decimals=2, lang=lang),
                upper=numbers.number(bucket.upper, decimals=2, lang=lang),
            ),
        }
        for bucket in found.buckets
    ]
    write_rows(rows, "table", parsed.output)
    print(w["limits"].format(weeks=found.weeks, masked=found.masked_hours))
    return 0


def _text(value: float | None, of: Effect | Total, lang: str) -> str:
    return numbers.measure(value, of.unit, decimals=_DECIMALS[of.outcome], lang=lang)


def _bounds(of: Effect | Total, lang: str) -> str:
    """An estimate with its bounds: `17.3 (8.6 to 28.8)`; a rate is lost in points."""
    values = of.interval.estimate, of.interval.lower, of.interval.upper
    if of.unit == "%":
        decimals = _DECIMALS[of.outcome]
        texts = [numbers.number(value * 100, decimals=decimals, lang=lang) for value in values]
        texts[0] += f"{numbers.WIDE}{'pt' if lang == 'fr' else 'pp'}"
    else:
        texts = [_text(value, of, lang) for value in values]
    between = words("impact", lang)["between"].format(lower=texts[1], upper=texts[2])
    return f"{texts[0]} ({between})"


def _cell(effect: Effect | None, lang: str) -> str:
    if effect is None:
        return numbers.DASH
    if not effect.is_measurable:
        return words("impact", lang)["none"]
    return _bounds(effect, lang)


def _about(one: Impact, lang: str) -> str:
    """What happened, in lines of name and value."""
    w, row = words("impact", lang), one.incident
    lines = [
        (w["incident"], one.incident_id), (w["service"], row["service"]),
        (w["severity"], row["severity"]), (w["cause"], row["cause"]),
        (w["started"], row["started_at"]), (w["restored"], row["restored_at"]),
        (w["shared"], ", ".join(one.shared_with)),
    ]  # fmt: skip
    width = max(len(name) for name, _ in lines) + 2
    return "\n".join([*(f"{name:{width}}{value}" for name, value in lines if value), ""])


def _outcomes(one: Impact, lang: str) -> list[dict[str, Any]]:
    """One row an outcome: expected, actual, harm, and what it rests on."""
    w = words("impact", lang)
    rows = []
    for outcome in OUTCOMES:
        effect = one.effects.get(outcome)
        row = {w["outcome"]: w[outcome]}
        if effect is None:
            row |= {w["harm"]: one.absent[outcome]}
        else:
            row |= {
                w["expected"]: _text(effect.expected, effect, lang),
                w["actual"]: _text(effect.actual, effect, lang),
                w["harm"]: _bounds(effect, lang),
                w["verdict"]: w["measurable" if effect.is_measurable else "none"],
                w["weeks"]: str(effect.evidence.baseline_weeks),
                w["placebos"]: str(effect.evidence.placebos),
            }
        rows.append(row)
    names = [w[key] for key in ("outcome", "expected", "actual", "harm", "verdict", "weeks",
                                "placebos")]  # fmt: skip
    return [{name: row.get(name, "") for name in names} for row in rows]


def _listed(every: Impacts, lang: str) -> list[dict[str, Any]]:
    """One row an incident, and the sum below."""
    w = words("impact", lang)
    rows = [
        {
            w["incident"]: one.incident_id,
            w["service"]: one.incident["service"],
            w["severity"]: one.incident["severity"],
            w["cause"]: one.incident["cause"],
            w["started"]: f"{one.incident['started_at']:%Y-%m-%d %H:%M}",
            **{w[name]: _cell(one.effects.get(name), lang) for name in impact.ADDITIVE},
        }
        for one in every.impacts
    ]
    return [*rows, *_sums(every, None, lang, among=rows[0] if rows else None)]


def _sums(
    every: Impacts, by: impact.By | None, lang: str, among: dict[str, Any] | None = None
) -> list[dict[str, Any]]:
    """One row a group; or the sum of all among the columns of other rows."""
    w = words("impact", lang)
    rows: dict[str, dict[str, Any]] = {}
    for total in every.totals(by):
        name = total.name
        if by == "month":
            name = periods.label(dt.date.fromisoformat(name), "month", lang)
        row = rows.setdefault(
            name,
            dict.fromkeys(among, "") | {w["incident"]: w["all"]}
            if among
            else {w[by or "all"]: name, w["incidents"]: str(total.incidents)}
            | dict.fromkeys((w[outcome] for outcome in impact.ADDITIVE), numbers.DASH),
        )
        row[w[total.outcome]] = _bounds(total, lang)
    return list(rows.values())

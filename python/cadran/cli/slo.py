"""`cadran slo` and `cadran sla`: objectives, error budgets, contracts."""

from __future__ import annotations

import argparse
import os
import sys
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cadran.cli.common import (
    add_action,
    add_format,
    add_language,
    add_live,
    add_project,
    examples,
    open_layer,
    write_rows,
)
from cadran.cli.language import said, tell, warn
from cadran.cli.sla import add_actions
from cadran.errors import QueryError
from cadran.formats import numbers, periods
from cadran.formats.words import words as words_of
from cadran.reliability import status
from cadran.reliability.lint import lint
from cadran.reliability.simulate import simulate

if TYPE_CHECKING:
    from cadran.reliability.status import Status

# Sign and colour; a word goes with them, never the colour alone.
STATES = {
    "in budget": ("●", "32"),
    "burning": ("▲", "33"),
    "overspent": ("■", "31"),
    "no data": ("·", "2"),
}


def add(parser: argparse.ArgumentParser, name: str) -> None:
    """Describe the command's arguments."""
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    if name == "sla":
        add_actions(actions)
        examples(
            parser,
            "cadran sla status",
            "cadran sla statement partners_api 2026-10 --lang fr",
            "cadran sla settle partners_api 2026-10",
            "cadran sla history",
        )
        return
    status = _action(actions, "status", "where each SLO stands: SLI, target, budget, burn")
    status.add_argument("slos", nargs="*", metavar="SLO", help="only these")
    add_format(status, formats=("table", "csv", "json", "jsonl"))
    add_language(status)
    add_live(status)
    status.set_defaults(run=_status)

    show = _action(
        actions, "show", "one SLO: definition, budget net and gross, burn of all windows"
    )
    show.add_argument("slo", metavar="SLO", help="such as availability_28d:checkout")
    add_language(show)
    add_live(show)
    show.set_defaults(run=_show)

    lint = _action(actions, "lint", "what is wrong with the SLOs; exit code 1 when something is")
    add_format(lint, formats=("table", "csv", "json", "jsonl"))
    lint.set_defaults(run=_lint)

    simulate = _action(actions, "simulate", "replay the past under another objective or policy")
    simulate.add_argument("slo", metavar="SLO")
    simulate.add_argument("--target", type=_decimal, metavar="SHARE", help="such as 0.9995")
    simulate.add_argument("--policy", help="a policy of the seed alert_tiers")
    simulate.add_argument("--days", type=int, default=90, help="how far back (default: 90)")
    add_format(simulate, formats=("table", "csv", "json", "jsonl"))
    simulate.set_defaults(run=_simulate)

    history = _action(actions, "history", "months or quarters in the SLO's zone, net and gross")
    history.add_argument("slos", nargs="*", metavar="SLO", help="only these")
    history.add_argument("--grain", choices=("month", "quarter", "year"), default="month")
    add_format(history, formats=("table", "csv", "json", "jsonl"))
    add_language(history)
    history.set_defaults(run=_history)

    importer = _action(
        actions, "import", "OpenSLO documents as the `slos` of cards, to paste there"
    )
    importer.add_argument("file", type=Path, metavar="FILE")
    importer.add_argument("--kpi", help="the KPI of indicators that name none")
    importer.set_defaults(run=_import)

    exporter = _action(actions, "export", "the SLOs as OpenSLO documents or Prometheus rules")
    exporter.add_argument("slos", nargs="*", metavar="SLO", help="only these")
    exporter.add_argument("--as", dest="form", choices=("openslo", "prometheus"), default="openslo")
    exporter.add_argument(
        "--series", type=Path, metavar="FILE", help="YAML: the good and total series of each KPI"
    )
    exporter.add_argument("--output", type=Path, metavar="FILE", help="write to a file")
    exporter.set_defaults(run=_export)
    examples(
        parser,
        "cadran slo status",
        "cadran slo status --live",
        "cadran slo show availability_28d:checkout",
        "cadran slo simulate availability_28d:checkout --target 0.9995 --policy sloth",
        "cadran slo history --grain quarter --lang fr",
        "cadran slo export --as prometheus --output slo_rules.yml",
    )


def _action(actions: Any, name: str, summary: str) -> argparse.ArgumentParser:
    parser = add_action(actions, name, summary)
    add_project(parser)
    return parser


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise argparse.ArgumentTypeError(f"'{text}' is no number") from None


def _status(parsed: argparse.Namespace) -> int:
    slos = status.statuses(open_layer(parsed), parsed.slos)
    if parsed.format != "table":
        write_rows([_row(slo) for slo in slos], parsed.format, parsed.output)
        return 0
    page = text(slos, parsed.lang, is_coloured=_is_coloured(parsed))
    if parsed.output:
        parsed.output.write_text(page + "\n", encoding="utf-8")
    else:
        print(page)
    return 0


def _is_coloured(parsed: argparse.Namespace) -> bool:
    return parsed.output is None and sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def _row(slo: Status) -> dict[str, Any]:
    names = (name for name in slo.__slots__ if name != "subject_labels")
    return {name: getattr(slo, name) for name in names} | {"state": slo.state}


def text(slos: list[Status], lang: str = "en", *, is_coloured: bool = False) -> str:
    """The statuses as a page of text."""
    from tabulate import tabulate

    words = words_of("slo", lang)
    until = max((slo.as_of for slo in slos if slo.as_of), default=None)
    title = words["title"].format(until=f"{until:%Y-%m-%d %H:%M}" if until else "-")
    heads = [
        words[k]
        for k in ("slo", "window", "target", "sli", "remaining", "burn", "exhausted", "state")
    ]
    sides = ("left", "left", "right", "right", "right", "right", "right", "left")
    cells = [_cells(slo, lang, is_coloured=is_coloured) for slo in slos]
    table = tabulate(cells, headers=heads, tablefmt="simple", colalign=sides, disable_numparse=True)
    return f"{title}\n\n{table}" if cells else title


def _cells(slo: Status, lang: str, *, is_coloured: bool) -> list[str]:
    words = words_of("slo", lang)
    sign, colour = STATES[slo.state]
    state = f"{sign} {words[slo.state.replace(' ', '_')]}"
    # As many decimals as the target has: 99.95 % must not read 100.0 %.
    places = 3 if slo.target is None else max(2, -_exponent(slo.target * 100) + 1)
    return [
        slo.label(lang),
        window(slo, lang),
        words[slo.budgeting] if slo.is_composite else _percent(slo.target, places - 1, lang),
        _percent(slo.compliance_rate, places, lang),
        _percent(slo.remaining_rate, 1, lang),
        "" if slo.burn_rate_1h is None else numbers.number(slo.burn_rate_1h, decimals=1, lang=lang),
        _duration(slo.hours_to_exhaustion, lang),
        f"\x1b[{colour}m{state}\x1b[0m" if is_coloured else state,
    ]


def _exponent(value: Decimal) -> int:
    return int(value.normalize().as_tuple().exponent)


def window(slo: Status, lang: str = "en") -> str:
    """Its window in words."""
    words = words_of("slo", lang)
    if slo.window_kind == "calendar":
        return words[str(slo.calendar_grain)]
    minutes = slo.window_minutes or 0
    return words["rolling"].format(days=numbers.number(minutes / 1_440, lang=lang))


def _percent(value: Any, decimals: int, lang: str) -> str:
    return "" if value is None else numbers.measure(value, "%", decimals=decimals, lang=lang)


def _duration(hours: float | None, lang: str) -> str:
    if hours is None:
        return ""
    if hours >= 48:  # noqa: PLR2004 - two days
        return f"{numbers.number(hours / 24, lang=lang)} {'j' if lang == 'fr' else 'd'}"
    return f"{numbers.number(hours, decimals=1, lang=lang)} h"


def _show(parsed: argparse.Namespace) -> int:
    layer = open_layer(parsed)
    slos = status.statuses(layer, [parsed.slo])
    if len(slos) > 1:
        raise QueryError(
            f"SLO '{parsed.slo}' has several subjects: {', '.join(slo.slo_id for slo in slos)}."
        )
    (slo,) = slos
    print(text(slos, parsed.lang))
    words = words_of("slo", parsed.lang)
    print(f"\nKPI {slo.kpi}, {slo.budgeting}, {slo.time_zone}, {slo.owner}")
    print(
        f"{words['remaining']}, {words['gross']}: "
        f"{_percent(slo.gross_remaining_rate, 1, parsed.lang) or '-'}"
    )
    if slo.is_composite:
        print()
        write_rows(
            [
                {
                    words["slo"]: row["slo_id"],
                    words["weight"]: row["weight"].normalize(),
                    words["consumed"]: _percent(row["consumed_rate"], 1, parsed.lang),
                }
                for row in status.members(layer, slo.slo_id)
            ],
            "table",
        )
        return 0
    rows = [
        {
            "minutes": row["window_minutes"],
            "units": row["units"],
            "bad": row["bad_units"],
            "burn": None if row["burn_rate"] is None else round(row["burn_rate"], 3),
        }
        for row in status.burn_rates(layer, slo.slo_id)
    ]
    print()
    write_rows(rows, "table")
    tiers = status.tiers(layer).get(slo.slo_id, [])
    print()
    write_rows(
        [
            {
                "policy": tier.policy, "tier": tier.tier, "severity": tier.severity,
                "long": tier.long_minutes, "short": tier.short_minutes,
                "factor": round(tier.factor, 4),
            }
            for tier in tiers
        ],
        "table",
    )  # fmt: skip
    return 0


def _lint(parsed: argparse.Namespace) -> int:
    findings = lint(open_layer(parsed))
    # A program reads the same words everywhere.
    say = said if parsed.format == "table" else str
    rows = [
        {"code": f.code, "severity": f.severity, "slo": f.slo, "message": say(f.message)}
        for f in findings
    ]
    if rows or parsed.format != "table":
        write_rows(rows, parsed.format, parsed.output)
    else:
        tell("Nothing is wrong with the SLOs.")
    return 1 if findings else 0


def _simulate(parsed: argparse.Namespace) -> int:
    replay = simulate(
        open_layer(parsed), parsed.slo, target=parsed.target, policy=parsed.policy, days=parsed.days
    )
    rows = [
        {
            "tier": f.tier, "severity": f.severity, "fired_at": f.fired_at, "ended_at": f.ended_at,
            "long_burn": round(f.long_burn_rate, 2), "short_burn": round(f.short_burn_rate, 2),
        }
        for f in replay.firings
    ]  # fmt: skip
    write_rows(rows, parsed.format, parsed.output)
    if parsed.format == "table":
        print(
            f"\n{replay.slo_id} at {replay.target.normalize()} under {replay.policy},"
            f" {replay.starts_at:%Y-%m-%d} to {replay.ends_at:%Y-%m-%d}: {len(replay.firings)}"
            f" firings, {replay.caught} of {len(replay.incidents)} known incidents caught,"
            f" {replay.false_alarms} firings outside of any."
        )
        for incident in replay.incidents:
            summary = (
                f"{incident.caught_by} after {incident.minutes_to_alert:.0f} min"
                if incident.caught_by and incident.minutes_to_alert is not None
                else "not caught"
            )
            print(
                f"  {incident.incident_id} {incident.severity}"
                f" {incident.started_at:%Y-%m-%d %H:%M}: {summary}"
            )
    return 0


def _history(parsed: argparse.Namespace) -> int:
    layer = open_layer(parsed)
    slo_ids = [slo.slo_id for slo in status.statuses(layer, parsed.slos)]
    rows = status.history(layer, slo_ids, parsed.grain)
    if parsed.format != "table":
        write_rows(rows, parsed.format, parsed.output)
        return 0
    table = [
        {
            "slo": row["slo_id"],
            parsed.grain: periods.label(row["period_start"], parsed.grain, parsed.lang),
            "target": _percent(row["target"], 2, parsed.lang),
            "net": _percent(row["compliance_rate"], 3, parsed.lang),
            "budget left": _percent(row["remaining_rate"], 1, parsed.lang),
            "gross": _percent(row["gross_compliance_rate"], 3, parsed.lang),
            "budget left, gross": _percent(row["gross_remaining_rate"], 1, parsed.lang),
        }
        for row in rows
    ]
    write_rows(table, "table", parsed.output)
    return 0


def _import(parsed: argparse.Namespace) -> int:
    from cadran.reliability import openslo

    print(openslo.cards_text(openslo.read(parsed.file.read_text("utf-8"), kpi=parsed.kpi)), end="")
    return 0


def _export(parsed: argparse.Namespace) -> int:
    layer = open_layer(parsed)
    if parsed.form == "openslo":
        from cadran.reliability import openslo

        written, refused = openslo.write(layer, parsed.slos)
    else:
        from cadran.reliability import prometheus_rules

        written, refused = prometheus_rules.write(layer, parsed.slos, parsed.series)
    if parsed.output:
        parsed.output.write_text(written, encoding="utf-8")
    else:
        print(written, end="")
    for sentence in refused:
        warn(sentence)
    return 0

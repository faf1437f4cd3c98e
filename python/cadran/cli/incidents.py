"""`cadran incidents`: what happened, and what it took of the error budgets."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cadran.cli.common import add_action, add_format, add_project, examples, open_layer, write_rows
from cadran.cli.language import tell
from cadran.errors import QueryError
from cadran.reliability import incidents

if TYPE_CHECKING:
    import argparse

_FORMATS = ("table", "csv", "json", "jsonl")


def add(parser: argparse.ArgumentParser, _name: str) -> None:
    """Describe the command's arguments."""
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    listed = _action(actions, "list", "every incident, reported or derived from burn")
    listed.add_argument("--service", help="only those of a service")
    listed.add_argument("--since", metavar="DAY", help="only those from a day on (UTC)")
    add_format(listed, formats=_FORMATS)
    listed.set_defaults(run=_list)

    show = _action(actions, "show", "one incident, and what it took of each SLO's budget")
    show.add_argument("incident", metavar="INCIDENT", help="such as i0046")
    add_format(show, formats=_FORMATS)
    show.set_defaults(run=_show)

    causes = _action(
        actions, "causes", "what each cause took of each SLO in a month, unattributed burn too"
    )
    causes.add_argument("month", metavar="MONTH", help="such as 2026-10")
    causes.add_argument("--slo", help="only an SLO, such as availability_28d:checkout")
    add_format(causes, formats=_FORMATS)
    causes.set_defaults(run=_causes)

    importer = _action(
        actions, "import", "incidents of other tools, CSV or JSON, into the data", built=False
    )
    importer.add_argument("files", nargs="+", type=Path, metavar="FILE", help=".csv or .json")
    importer.set_defaults(run=_import)
    examples(
        parser,
        "cadran incidents list --service checkout --since 2026-10-01",
        "cadran incidents show i0046",
        "cadran incidents causes 2026-10 --slo availability_28d",
        "cadran incidents import oncall.csv",
    )


def _action(
    actions: Any, name: str, summary: str, *, built: bool = True
) -> argparse.ArgumentParser:
    parser = add_action(actions, name, summary)
    add_project(parser, built=built)
    return parser


def _rounded(row: dict[str, Any]) -> dict[str, Any]:
    """A row for people: hours to a hundredth, shares in percent."""
    shown: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, float) and name.endswith("_rate"):
            shown[name] = f"{value:.2%}"
        else:
            shown[name] = round(value, 2) if isinstance(value, float) else value
    return shown


def _write(rows: list[dict[str, Any]], parsed: argparse.Namespace) -> None:
    shown = [_rounded(row) for row in rows] if parsed.format == "table" else rows
    write_rows(shown, parsed.format, parsed.output)


def _list(parsed: argparse.Namespace) -> int:
    try:
        since = dt.date.fromisoformat(parsed.since) if parsed.since else None
    except ValueError:
        raise QueryError(
            f"--since is '{parsed.since}'; it takes a day such as 2026-10-01."
        ) from None
    layer = open_layer(parsed)
    _write(incidents.incidents(layer, service=parsed.service, since=since), parsed)
    return 0


def _show(parsed: argparse.Namespace) -> int:
    layer = open_layer(parsed)
    row = incidents.incident(layer, parsed.incident)
    budgets = incidents.budgets(layer, parsed.incident)
    if parsed.format == "table":
        for name, value in _rounded(row).items():
            if value is not None:
                print(f"{name:22}{value}")
        print()
    _write(budgets, parsed)
    return 0


def _causes(parsed: argparse.Namespace) -> int:
    try:
        month = dt.date.fromisoformat(f"{parsed.month}-01")
    except ValueError:
        raise QueryError(f"'{parsed.month}' is no month; write one such as 2026-10.") from None
    _write(incidents.causes(open_layer(parsed), month, parsed.slo), parsed)
    return 0


def _import(parsed: argparse.Namespace) -> int:
    from cadran.telemetry import incident_files

    rows = [row for file in parsed.files for row in incident_files.load(file)]
    target, new = incident_files.store(rows, parsed.project_dir)
    again = len({row["incident_id"] for row in rows}) - new
    tell(f"{target}: {new} new incidents, {again} that were known; `dbt build` takes them in")
    return 0

"""`cadran sla status` and `cadran sla statement`."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cadran.cli.common import add_format, add_language, add_project, open_layer, write_rows
from cadran.errors import QueryError
from cadran.reliability import status
from cadran.reliability.sla_statement import amount, csv_text, html, percent

if TYPE_CHECKING:
    import argparse

    from cadran.core.layer import Layer
    from cadran.reliability.sla import Contract


def add_actions(actions: Any) -> None:
    """Describe the actions and their arguments."""
    status = actions.add_parser("status", help="the running month of each contract")
    status.add_argument("contracts", nargs="*", metavar="CONTRACT", help="only these")
    add_format(status, formats=("table", "csv", "json", "jsonl"))
    status.set_defaults(run=_status)
    statement = actions.add_parser("statement", help="the statement of a month, HTML and CSV")
    statement.add_argument("contract", metavar="CONTRACT")
    statement.add_argument("month", metavar="MONTH", help="such as 2026-10")
    statement.add_argument(
        "--output", type=Path, metavar="FOLDER", default=Path(), help="default: this folder"
    )
    statement.set_defaults(run=_statement)
    for parser in (status, statement):
        parser.add_argument(
            "--contracts-dir", type=Path, metavar="FOLDER",
            help="where the contracts are (default: contracts in the project)",
        )  # fmt: skip
        add_language(parser)
        add_project(parser)
        parser.add_argument("--debug", action="store_true", help="show the traceback of an error")


def _contracts(parsed: argparse.Namespace) -> dict[str, Contract]:
    from cadran.reliability.sla import read_contracts

    folder = parsed.contracts_dir or parsed.project_dir / "contracts"
    contracts = read_contracts(folder)
    if not contracts:
        raise QueryError(
            f"There is no contract in {folder}: a contract is a file <name>.yml there."
        )
    return contracts


def running_month(layer: Layer, contract: Contract) -> dt.date:
    """The month of the last minute that there is, in the contract's zone."""
    reached = status.watermark(layer, contract.kpi)
    if reached is None:
        raise QueryError(f"There is no data of KPI '{contract.kpi}' yet.")
    last = (reached - dt.timedelta(minutes=1)).replace(tzinfo=dt.UTC)
    return last.astimezone(contract.zone).date().replace(day=1)


def _status(parsed: argparse.Namespace) -> int:
    from cadran.reliability.sla import contract_of, settle

    layer, contracts = open_layer(parsed), _contracts(parsed)
    rows = []
    for name in parsed.contracts or contracts:
        contract = contract_of(contracts, name)
        month = running_month(layer, contract)
        now = settle(layer, contract, month)
        rows.append(
            {
                "contract": name, "customer": contract.customer, "month": f"{month:%Y-%m}",
                "promised": percent(contract.promise, parsed.lang, 3),
                "net": percent(now.net, parsed.lang), "gross": percent(now.gross, parsed.lang),
                "minutes_left": now.minutes_left, "credit": amount(now, parsed.lang),
            }
        )  # fmt: skip
    write_rows(rows, parsed.format, parsed.output)
    return 0


def _statement(parsed: argparse.Namespace) -> int:
    from cadran.reliability.sla import contract_of, settle

    try:
        month = dt.date.fromisoformat(f"{parsed.month}-01")
    except ValueError:
        raise QueryError(f"'{parsed.month}' is no month; write one such as 2026-10.") from None
    contract = contract_of(_contracts(parsed), parsed.contract)
    settlement = settle(open_layer(parsed), contract, month)
    parsed.output.mkdir(parents=True, exist_ok=True)
    stem = f"{contract.contract}_{month:%Y-%m}_{parsed.lang}"
    for suffix, written in (("html", html), ("csv", csv_text)):
        file = parsed.output / f"{stem}.{suffix}"
        file.write_text(written(settlement, parsed.lang), encoding="utf-8")
        print(file)
    return 0

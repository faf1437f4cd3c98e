"""`cadran sla`: the running month, statements, and months that are settled."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cadran.cli.common import (
    add_format,
    add_language,
    add_project,
    examples,
    open_layer,
    write_rows,
)
from cadran.cli.language import warn
from cadran.errors import QueryError
from cadran.formats.periods import shifted
from cadran.reliability import status
from cadran.reliability.sla_statement import Entry, amount, csv_text, html, percent

if TYPE_CHECKING:
    import argparse

    from cadran.core.layer import Layer
    from cadran.governance.settlement import Settled
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
    settle = actions.add_parser(
        "settle",
        help="make a month final: append it to the ledger",
        description="Make a month final: append it to the ledger. Exit code 1: it was settled"
        " before and is computed otherwise now, which takes a restatement (--kind --reason"
        " --approver).",
    )
    settle.add_argument("contract", metavar="CONTRACT")
    settle.add_argument("month", metavar="MONTH", help="such as 2026-10")
    settle.add_argument("--kind", help="of a restatement: policy, estimate, error or source")
    settle.add_argument("--reason", help="of a restatement: why, in words for the customer")
    settle.add_argument("--ticket", help="of a restatement: where it was discussed")
    settle.add_argument("--approver", metavar="EMAIL", help="who agreed: the owner or a delegate")
    settle.add_argument("--author", metavar="EMAIL", help="who does it (default: git's user)")
    settle.add_argument(
        "--lock", type=Path, metavar="FILE", help="the file with the ledger's head (kpi.lock)"
    )
    examples(
        settle,
        "cadran sla settle partners_api 2026-10",
        "cadran sla settle partners_api 2026-10 --kind error "
        '--reason "Ten minutes were counted twice." --approver platform.lead@example.com',
    )
    settle.set_defaults(run=_settle)
    history = actions.add_parser("history", help="every settlement, restatements too")
    history.add_argument("contracts", nargs="*", metavar="CONTRACT", help="only these")
    add_format(history, formats=("table", "csv", "json", "jsonl"))
    history.set_defaults(run=_history)
    for parser in (status, statement, settle, history):
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
    from cadran.governance.settlement import settled_months
    from cadran.reliability.sla import contract_of, settle

    layer, contracts = open_layer(parsed), _contracts(parsed)
    rows = []
    for name in parsed.contracts or contracts:
        contract = contract_of(contracts, name)
        month = running_month(layer, contract)
        now = settle(layer, contract, month)
        settled = settled_months(layer, contract.contract, newest=True)
        rows.append(
            {
                "contract": name, "customer": contract.customer, "month": f"{month:%Y-%m}",
                "promised": percent(contract.promise, parsed.lang, 3),
                "net": percent(now.net, parsed.lang), "gross": percent(now.gross, parsed.lang),
                "minutes_left": now.minutes_left,
                "credit": None if now.is_running else amount(now, parsed.lang),
                "settled_until": f"{settled[-1].settlement.month:%Y-%m}" if settled else None,
            }
        )  # fmt: skip
    write_rows(rows, parsed.format, parsed.output)
    return 0


def _month(text: str) -> dt.date:
    try:
        return dt.date.fromisoformat(f"{text}-01")
    except ValueError:
        raise QueryError(f"'{text}' is no month; write one such as 2026-10.") from None


def _statement(parsed: argparse.Namespace) -> int:
    """Of a settled month from the ledger, of another one from the minutes."""
    from cadran.governance.settlement import settled_months
    from cadran.reliability.sla import contract_of, settle

    month = _month(parsed.month)
    contract, layer = contract_of(_contracts(parsed), parsed.contract), open_layer(parsed)
    settled = settled_months(layer, contract.contract, month, newest=True)
    entry = _entry(settled[0]) if settled else None
    settlement = settled[0].settlement if settled else settle(layer, contract, month)
    parsed.output.mkdir(parents=True, exist_ok=True)
    stem = f"{contract.contract}_{month:%Y-%m}_{parsed.lang}"
    for suffix, written in (("html", html), ("csv", csv_text)):
        file = parsed.output / f"{stem}.{suffix}"
        file.write_text(written(settlement, parsed.lang, entry), encoding="utf-8")
        print(file)
    return 0


def _entry(settled: Settled) -> Entry:
    return Entry(
        settled.batch, settled.revision, settled.settled_at, settled.details.get("reason", "")
    )


def _settle(parsed: argparse.Namespace) -> int:
    from cadran.governance.approval import Restatement
    from cadran.governance.settlement import settle
    from cadran.reliability.sla import contract_of

    month = _month(parsed.month)
    contract = contract_of(_contracts(parsed), parsed.contract)
    restatement = None
    if parsed.kind or parsed.reason:
        restatement = Restatement(
            month, shifted(month, "month", 1), parsed.kind or "", parsed.reason or "",
            parsed.approver or "", parsed.ticket,
        )  # fmt: skip
    outcome = settle(
        open_layer(parsed), contract, month,
        author=parsed.author, approver=parsed.approver, restatement=restatement, lock=parsed.lock,
    )  # fmt: skip
    settled = outcome.settled
    summary = (
        f"{contract.contract} {month:%Y-%m}: net {percent(settled.settlement.net, parsed.lang)},"
        f" credit {amount(settled.settlement, parsed.lang)}, batch {settled.batch}"
    )
    if outcome.is_new:
        print(f"{summary}, settled")
        return 0
    print(f"{summary}, settled before on {settled.settled_at:%Y-%m-%d}")
    for difference in outcome.differences:
        warn(difference)
    if outcome.differences:
        warn(
            "a settled month changes by a restatement: --kind --reason --approver"
            f" (ask {contract.owner})"
        )
    return 1 if outcome.differences else 0


def _history(parsed: argparse.Namespace) -> int:
    from cadran.governance.settlement import settled_months
    from cadran.reliability.sla import contract_of

    layer, contracts = open_layer(parsed), _contracts(parsed)
    rows = [
        {
            "contract": name, "month": f"{settled.settlement.month:%Y-%m}",
            "revision": settled.revision, "batch": settled.batch,
            "settled_at": settled.settled_at, "author": settled.author,
            "approver": settled.details.get("approver"),
            "net": percent(settled.settlement.net, parsed.lang),
            "gross": percent(settled.settlement.gross, parsed.lang),
            "credit": settled.settlement.credit, "currency": settled.settlement.contract.currency,
            "reason": settled.details.get("reason"),
        }
        for name in parsed.contracts or contracts
        for settled in settled_months(layer, contract_of(contracts, name).contract)
    ]  # fmt: skip
    write_rows(rows, parsed.format, parsed.output)
    return 0

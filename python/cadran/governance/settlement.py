"""Settled months of contracts: in the ledger, final, changed by a restatement only.

A settlement is a batch of `sla:<contract>`: a row for each figure of the month (availabilities
with their exact numerator and denominator), one for each bad minute, and the terms of the contract
in its details. So the statement of a settled month is told from the ledger alone, whatever became
of the data or of the contract's file since.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from dataclasses import dataclass, replace
from decimal import ROUND_DOWN, Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from cadran.core.ledger import settings as ledger_settings
from cadran.core.ledger.reader import has_ledger
from cadran.core.ledger.verify import batch_hashes, read_external_heads
from cadran.core.ledger.witness import hand_over
from cadran.core.ledger.writer import LedgerWriter, refuse, refuse_second_target
from cadran.core.project import lock as anchor
from cadran.core.warehouse import ledger_sql as sql
from cadran.core.warehouse.dialects import literal
from cadran.errors import QueryError
from cadran.governance.approval import approvers, current_author, revision
from cadran.governance.comparison import COLUMNS
from cadran.governance.publish import WAIT
from cadran.governance.values import Measurer
from cadran.governance.wholeness import Wholeness
from cadran.reliability import sla, status

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

    from cadran.core.layer import Layer
    from cadran.governance.approval import Restatement
    from cadran.reliability.sla import Contract, Settlement

KIND = "settlement"
_PLACES = Decimal("1e-12")


@dataclass(frozen=True, slots=True)
class Settled:
    """A month as the ledger has it.

    Attributes:
        settlement: its figures, under the terms that held when it was settled.
        batch: the batch of the ledger.
        revision: 1 for the first settlement of the month, then one more for each restatement.
        settled_at: when, UTC.
        author: who settled it.
        details: approver and, of a restatement, its kind, reason and ticket.
    """

    settlement: Settlement
    batch: int
    revision: int
    settled_at: dt.datetime
    author: str
    details: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a wish to settle a month.

    Attributes:
        settled: the month as the ledger has it now.
        is_new: whether it was written by this.
        differences: what is computed otherwise now and waits for a restatement, in words.
    """

    settled: Settled
    is_new: bool
    differences: tuple[str, ...] = ()


def settled_months(
    layer: Layer, contract: str, month: dt.date | None = None, *, newest: bool = False
) -> list[Settled]:
    """The settlements of a contract in the ledger, by month and revision.

    Args:
        layer: the layer of a built project.
        contract: its name.
        month: the first day of the only month that is meant.
        newest: of each month the last one alone, which is the one that holds.
    """
    if not has_ledger(layer.warehouse):
        return []
    of_month = f" and details->>'month' = {literal(f'{month:%Y-%m}')}" if month else ""
    batches = layer.warehouse.ledger.arrow(
        f"select batch, published_at, author, version, details from {sql.BATCHES}"
        f" where kind = {literal(KIND)} and kpi = {literal(_subject(contract))}{of_month}"
        " order by details->>'month', batch"
    ).to_pylist()
    if newest:
        batches = list({json.loads(row["details"])["month"]: row for row in batches}.values())
    if not batches:
        return []
    numbers = ", ".join(str(row["batch"]) for row in batches)
    rows: dict[int, list[dict[str, Any]]] = {}
    for row in layer.warehouse.ledger.arrow(
        f"select batch, grain, period, dimensions, value, numerator, denominator from {sql.ROWS}"
        f" where batch in ({numbers}) order by batch, period"
    ).to_pylist():
        rows.setdefault(row["batch"], []).append(row)
    return [_settled(row, rows[row["batch"]]) for row in batches]


def settle(  # noqa: PLR0913 - each is one decision of who settles
    layer: Layer,
    contract: Contract,
    month: dt.date,
    *,
    author: str | None = None,
    approver: str | None = None,
    restatement: Restatement | None = None,
    lock: Path | None = None,
    wait: float = WAIT,
) -> Outcome:
    """Append a month of a contract to the ledger; from then on it is final.

    A month that was settled before is left as it is: what is computed otherwise now is told, and
    replaces it only by a restatement, which is a settlement of its own after the first one.

    Args:
        layer: the layer of a built project.
        contract: the contract as it stands now.
        month: the month's first day.
        author: who settles; by default git's user.
        approver: who agreed to a first settlement, where somebody has to.
        restatement: agreement that a settled month changes.
        lock: the file that keeps the ledger's head; by default `kpi.lock` of the project.
        wait: for how many seconds to try again while another process holds the warehouse.

    Raises:
        QueryError: the month is not over in the data, the data is not whole, there is nothing to
            restate, or the approver may not approve.
        WarehouseError: another process holds the warehouse, the ledger lost its end, or a witness
            did not take the new head: what was settled is.
        ProjectError: a witness cannot be asked.
    """
    author = author or current_author(layer)
    if restatement is not None:
        restatement.check()
        approver = restatement.approver
    if approver is not None:
        _check_approver(layer, contract, approver, author)
    before = settled_months(layer, contract.contract, month, newest=True)
    if restatement is not None and not before:
        raise QueryError(
            f"{month:%Y-%m} of contract '{contract.contract}' was not settled, so there is nothing"
            " to restate: leave --kind and --reason out."
        )
    now = _whole_month(layer, contract, month)
    differences = _differences(before[0].settlement, now) if before else ()
    if before and (not differences or restatement is None):
        return Outcome(before[0], is_new=False, differences=differences)
    lock = lock or anchor.path_of(layer.project.root)
    settings = ledger_settings.read(layer.project.root)
    witnesses = ledger_settings.witnesses(settings, layer.project.root)
    outside = read_external_heads(lock, witnesses, settings.abandoned)
    refuse_second_target(layer.warehouse, layer.project.marks_schema)
    refuse(batch_hashes(layer.warehouse), outside)
    number = before[0].revision + 1 if before else 1
    terms = _terms(contract)
    details = {"month": f"{month:%Y-%m}", "terms": terms, "approver": approver}
    header: dict[str, Any] = {
        "kind": KIND,
        "kpi": _subject(contract.contract),
        "computed_at": dt.datetime.now(dt.UTC).replace(tzinfo=None),
        "data_as_of": status.watermark(layer, contract.kpi),
        "value_type": "decimal128(38, 12)",
        "version": number,
        "definition_hash": hashlib.sha256(json.dumps(terms, sort_keys=True).encode()).hexdigest(),
        "git_revision": revision(layer),
        "author": author,
        "details": details | (restatement.details() if restatement else {}),
    }
    last = sql.last_of(header["kpi"])
    ledger = layer.warehouse.ledger
    seen = ledger.arrow(last).to_pylist() if has_ledger(layer.warehouse) else []
    with layer.warehouse.ledger.writing(wait) as connection:
        writer = LedgerWriter(connection)
        writer.check(replace(outside, anchor=anchor.anchored(lock)))
        if writer.rows(last) != seen:
            connection.rollback()
            raise QueryError(
                f"Somebody else settled contract '{contract.contract}' meanwhile: look at"
                " `cadran sla history`, then do it again."
            )
        with connection.table("settlement_rows", _table(now)):
            writer.append(
                f"{COLUMNS}, '{'restated' if number > 1 else 'final'}' as status,"
                f" {number}::integer as version,"
                f" {literal(header['definition_hash'])} as definition_hash",
                "settlement_rows",
                header,
            )
        hashes = writer.commit(lock)
    hand_over(witnesses, hashes)
    (written,) = settled_months(layer, contract.contract, month, newest=True)
    return Outcome(written, is_new=True, differences=differences)


def _subject(contract: str) -> str:
    """What the ledger calls a contract: no KPI can be named so."""
    return f"sla:{contract}"


def _check_approver(layer: Layer, contract: Contract, approver: str, author: str) -> None:
    if approver.casefold() == author.casefold():
        raise QueryError(f"{author} is at work here, so somebody else must approve it.")
    allowed = (
        approvers(layer.project.root, contract.owner) if layer.project.root else [contract.owner]
    )
    if approver.casefold() not in {name.casefold() for name in allowed}:
        others = f", or {' or '.join(allowed[1:])} in the owner's place" if allowed[1:] else ""
        raise QueryError(
            f"{approver} may not approve a settlement of contract '{contract.contract}': ask"
            f" {contract.owner}, who owns it{others}."
        )


def _whole_month(layer: Layer, contract: Contract, month: dt.date) -> Settlement:
    """The month from the warehouse, all of it.

    Raises:
        QueryError: it is not over in the data, or the data is not whole.
    """
    now = sla.settle(layer, contract, month)
    if now.is_running:
        raise QueryError(
            f"{month:%Y-%m} of contract '{contract.contract}' is not over: it ends on"
            f" {now.ends_at:%Y-%m-%d %H:%M} UTC, and the data reach"
            f" {now.last_instant:%Y-%m-%d %H:%M}."
        )
    refusal = Wholeness(layer, Measurer(layer)).refusal(contract.kpi, now.ends_at)
    if refusal:
        raise QueryError(refusal)
    return now


def _terms(contract: Contract) -> dict[str, Any]:
    return contract.model_dump(mode="json", by_alias=True)


def _figures(settlement: Settlement) -> dict[str, tuple[str | None, str | None, str | None]]:
    """Value, numerator and denominator of each figure of a month, as text."""
    figures: dict[str, tuple[str | None, str | None, str | None]] = {}
    for name, exact in (("net", settlement.net), ("gross", settlement.gross)):
        figures[name] = (None, None, None) if exact is None else _exact(exact)
    for name, number in (
        ("agreed_minutes", settlement.agreed_minutes),
        ("excluded_minutes", settlement.excluded_minutes),
        ("credit", settlement.credit),
    ):
        figures[name] = (str(number), None, None)
    return figures


def _exact(share: Fraction) -> tuple[str, str, str]:
    """A fraction as a decimal that is cut, and whole."""
    text = (Decimal(share.numerator) / Decimal(share.denominator)).quantize(_PLACES, ROUND_DOWN)
    return f"{text:f}", str(share.numerator), str(share.denominator)


def _table(settlement: Settlement) -> pa.Table:
    """The rows of a month in the ledger's form."""
    import pyarrow as pa

    month = dt.datetime.combine(settlement.month, dt.time())
    rows: list[dict[str, Any]] = [
        {
            "grain": "month", "period": month, "dimension_set": "figure",
            "dimensions": json.dumps({"figure": name}), "value": value, "numerator": numerator,
            "denominator": denominator, "observations": None,
        }
        for name, (value, numerator, denominator) in _figures(settlement).items()
    ]  # fmt: skip
    rows += [
        {
            "grain": "minute", "period": minute.minute_at, "dimension_set": "counts,is_excluded",
            "dimensions": json.dumps(
                {"counts": minute.counts, "is_excluded": minute.is_excluded}
            ),
            "value": _exact(Fraction(minute.good, minute.total))[0] if minute.total else None,
            "numerator": str(minute.good), "denominator": str(minute.total),
            "observations": minute.total,
        }
        for minute in settlement.bad_minutes
    ]  # fmt: skip
    texts = ("grain", "dimension_set", "dimensions", "value", "numerator", "denominator")
    schema = {name: pa.string() for name in texts}
    schema |= {"period": pa.timestamp("us"), "observations": pa.int64()}
    return pa.Table.from_pylist(rows, pa.schema(list(schema.items())))


def _settled(batch: dict[str, Any], rows: list[dict[str, Any]]) -> Settled:
    details = json.loads(batch["details"])
    contract = sla.Contract.model_validate(details.pop("terms"))
    month = dt.date.fromisoformat(f"{details.pop('month')}-01")
    figures = {
        json.loads(row["dimensions"])["figure"]: row for row in rows if row["grain"] == "month"
    }
    minutes = tuple(
        sla.bad_minute(
            contract,
            row["period"],
            (int(row["numerator"]), int(row["denominator"])),
            **json.loads(row["dimensions"]),
        )
        for row in rows
        if row["grain"] == "minute"
    )
    starts_at, ends_at = contract.month(month)

    def share(name: str) -> Fraction | None:
        row = figures[name]
        return Fraction(int(row["numerator"]), int(row["denominator"])) if row["value"] else None

    net = share("net")
    settlement = sla.Settlement(
        contract=contract,
        month=month,
        starts_at=starts_at,
        ends_at=ends_at,
        last_instant=ends_at,
        agreed_minutes=int(figures["agreed_minutes"]["value"]),
        excluded_minutes=int(figures["excluded_minutes"]["value"]),
        gross=share("gross"),
        net=net,
        tier=sla.tier_of(contract, net),
        credit=Decimal(figures["credit"]["value"]),
        minutes_left=None,
        bad_minutes=minutes,
    )
    return Settled(
        settlement,
        batch["batch"],
        batch["version"],
        batch["published_at"],
        batch["author"],
        details,
    )


def _differences(before: Settlement, now: Settlement) -> tuple[str, ...]:
    """What of a settled month is otherwise now, in words."""
    old, new = _figures(before), _figures(now)
    differences = [
        f"{name} {old[name][0]} was settled, {figure[0]} is computed now"
        for name, figure in new.items()
        if old[name] != figure
    ]
    minutes = {m.minute_at for m in {*now.bad_minutes} ^ {*before.bad_minutes}}
    if minutes:
        differences.append(
            f"{len(minutes)} bad minutes differ, the first at {min(minutes):%Y-%m-%d %H:%M} UTC"
        )
    if _terms(before.contract) != _terms(now.contract):
        differences.append("the contract's terms changed")
    return tuple(differences)

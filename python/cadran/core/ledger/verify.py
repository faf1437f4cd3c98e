"""`cadran verify`: whether the ledger is what was written, from first row to anchored end.

Nothing of the file that is judged is run: its tables have to be plain ones, and they are read and
hashed in the namespace of another database. Which batch was changed follows from what is known
outside: a batch that is anchored vouches for the one before it, and so on.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cadran.core.ledger.heads import ExternalHeads, WitnessedHead, external_heads, missing
from cadran.core.ledger.witness import behind, heads_by_witness
from cadran.core.ledger.writer import HEADER
from cadran.core.project.lock import FILE, ORIGIN, Anchor, Head, sealed
from cadran.core.warehouse import ledger_sql as sql
from cadran.core.warehouse.dialects import literal, quoted
from cadran.errors import ProjectError, WarehouseError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from cadran.core.ledger.witness import Witness
    from cadran.core.warehouse import Warehouse


@dataclass(frozen=True, slots=True)
class Damage:
    """One place where the ledger is not what was written.

    Attributes:
        batch: the batch; 0 for the ledger as a whole.
        row: the row in it, or None where the batch's own record is wrong.
        what: what was done to it, as far as one can tell: a reordered row looks edited.
        entry: the row as it stands now, where there is one.
    """

    batch: int
    row: int | None
    what: str
    entry: dict[str, Any] | None = None

    def __str__(self) -> str:
        """One sentence that names the place."""
        place = f"batch {self.batch}" + (f", row {self.row}" if self.row is not None else "")
        label = ""
        if self.entry:
            period = str(self.entry["period"]).removesuffix(" 00:00:00")
            label = (
                f" ({self.entry['kpi']}, {self.entry['grain']} {period},"
                f" {self.entry['dimensions']}: {self.entry['value']})"
            )
        return f"{place}{label}: {self.what}" if self.batch else self.what


@dataclass(frozen=True, slots=True)
class Verification:
    """What was looked at, and what was found; the first damage is the earliest.

    Attributes:
        head: the last batch of the ledger.
        rows: how many rows it has.
        anchor: what the lock file says; None without a head.
        damages: what was found.
        hashes: that of each batch.
        outside: what is known outside the warehouse.
    """

    head: Head
    rows: int
    anchor: Anchor | None
    damages: tuple[Damage, ...]
    hashes: dict[int, str]
    outside: ExternalHeads

    @property
    def holds(self) -> bool:
        """Whether nothing was found."""
        return not self.damages


def verify(
    warehouse: Warehouse,
    lock: Path | None,
    witnesses: Sequence[Witness] = (),
    abandoned: Collection[str] = (),
) -> Verification:
    """Every row and batch of the ledger, computed again and compared.

    Args:
        warehouse: the warehouse with the ledger.
        lock: the file with the anchored head, or one that an earlier verification exported.
            Without a head outside of it, no ledger holds.
        witnesses: who else knows heads of it.
        abandoned: ledgers that were given up, whose heads are not missed.

    Raises:
        ProjectError: the lock file is none.
    """
    by_witness: dict[str, list[WitnessedHead]] = {}
    unasked = []
    for witness in witnesses:
        try:
            by_witness |= heads_by_witness([witness])
        except ProjectError as problem:
            unasked.append(Damage(0, None, str(problem)))
    places = [item for heads in by_witness.values() for item in heads]
    external = external_heads(lock, places, abandoned)
    is_export = external.anchor is not None and external.anchor.is_export
    if lock is not None and lock.name == FILE and is_export:
        unasked.append(Damage(0, None, f"{lock} is an exported head, no lock of a project"))
    ledger = warehouse.ledger
    faults = ledger.catalog_faults() or sql.faults(ledger.catalog, ledger.apart)
    damages = [Damage(0, None, fault.what) for fault in faults]
    if any(fault.is_table for fault in faults):
        return Verification(Head(), 0, external.anchor, tuple(damages + unasked), {}, external)
    if not is_there(warehouse):
        damages += [
            Damage(0, None, f"The ledger is gone: {text}") for _, text in missing({}, external)
        ]
        return Verification(Head(), 0, external.anchor, tuple(damages + unasked), {}, external)
    tables = _Tables(warehouse)
    batches = tables.batches()
    hashes = {batch["batch"]: batch["hash"] for batch in batches}
    ends = [Damage(batch, None, text) for batch, text in missing(hashes, external)]
    late = [Damage(0, None, text) for text in behind(by_witness, max(hashes, default=0))]
    inside = [*_chain(batches, external), *tables.content(batches), *tables.waiting(batches)]
    inside.sort(key=lambda damage: (damage.batch, damage.row or 0))
    head = Head(batches[-1]["batch"], batches[-1]["hash"]) if batches else Head()
    everything = (*damages, *inside, *ends, *unasked, *late)
    return Verification(head, tables.rows(), external.anchor, everything, hashes, external)


def is_there(warehouse: Warehouse) -> bool:
    """Whether the warehouse has a ledger."""
    names = "('kpi_ledger_rows', 'kpi_ledger_batches')"
    ledger = warehouse.ledger
    tables = ledger.apart(
        "select table_name from duckdb_tables()"
        f" where database_name = {literal(ledger.catalog)}"
        f" and schema_name = '{sql.SCHEMA}' and table_name in {names}"
    )
    return len(tables) == 2  # noqa: PLR2004 - both of them


def batch_hashes(warehouse: Warehouse) -> dict[int, str]:
    """The hash of each batch of a ledger that is to be added to; none where there is no ledger.

    Raises:
        WarehouseError: its tables are not what was made, or something stands in their way.
    """
    ledger = warehouse.ledger
    faults = ledger.catalog_faults() or sql.faults(ledger.catalog, ledger.apart)
    if faults:
        what = "; ".join(fault.what for fault in faults)
        raise WarehouseError(f"Nothing is published into a ledger that somebody changed: {what}.")
    if not is_there(warehouse):
        return {}
    tables = _Tables(warehouse)
    return {row["batch"]: row["hash"] for row in tables.ask("select batch, hash from {batches}")}


def read_external_heads(
    lock: Path | None, witnesses: Sequence[Witness], abandoned: Collection[str]
) -> ExternalHeads:
    """What lock, git and witnesses know of a ledger that is to be added to.

    Raises:
        ProjectError: the lock file is none, or a witness cannot be asked.
    """
    if lock is None:
        raise ProjectError(
            "A ledger needs a lock file that keeps its head, and a manifest alone has no project to"
            " keep it in: name a file with --lock."
        )
    by_witness = heads_by_witness(witnesses)
    places = [head for heads in by_witness.values() for head in heads]
    return external_heads(lock, places, abandoned)


class _Tables:
    """The tables of the ledger, read from outside."""

    def __init__(self, warehouse: Warehouse) -> None:
        catalog = quoted(warehouse.ledger.catalog)
        self._run = warehouse.ledger.apart
        self._names = {
            "batches": f"{catalog}.{sql.BATCHES}", "rows": f"{catalog}.{sql.ROWS}",
            "waiting": f"{catalog}.{sql.WAITING}",
        }  # fmt: skip

    def ask(self, statement: str, **parts: Any) -> list[dict[str, Any]]:
        """The rows of a statement that says {batches}, {rows} and {waiting} for the tables."""
        return self._run(statement.format(**self._names, **parts))

    def batches(self) -> list[dict[str, Any]]:
        """All batches in order, with the scheme of their rows' hashes."""
        columns = ", ".join((*HEADER, "hash"))
        rows = self.ask("select {columns} from {batches} order by batch, hash", columns=columns)
        return [batch | {"scheme": _scheme(batch["details"])} for batch in rows]

    def rows(self) -> int:
        """How many rows there are."""
        return int(self.ask("select count(*) as rows from {rows}")[0]["rows"])

    def content(self, batches: list[dict[str, Any]]) -> list[Damage]:
        """Rows whose hashes are not those that their batch was sealed with."""
        older = max((b["batch"] for b in batches if b["scheme"] < sql.SCHEME), default=0)
        newer = min((b["batch"] for b in batches if b["scheme"] >= sql.SCHEME), default=older + 1)
        damages = []
        if newer < older:
            damages.append(
                Damage(older, None, "its rows are hashed by an older scheme than before")
            )
        if older:
            damages += [
                Damage(row["batch"], row["row"], "the row holds what no published row does", row)
                for row in self.ask(
                    "select * from {rows} where batch <= {older} and ({odd}) order by all limit 1",
                    older=older, odd=sql.AMBIGUOUS,
                )
            ]  # fmt: skip
        present = sql.hashed(self._names["rows"], older)
        different = self.ask(
            """
            select coalesce(batch.batch, present.batch) as batch
            from {batches} as batch
            full outer join ({present}) as present using (batch)
            where batch.batch is null
                or coalesce(present.row_count, 0) <> batch.row_count
                or (batch.row_count > 0 and present.rows_hash is distinct from batch.rows_hash)
                or coalesce(present.row_marks, []::ubigint[]) <> batch.row_marks
            order by 1
            """,
            present=present,
        )
        return damages + [self._damaged(differing["batch"], older) for differing in different]

    def _damaged(self, batch: int, older: int) -> Damage:
        rows = self.ask(
            """
            with sealed as (
                select generate_subscripts(row_marks, 1) as row, unnest(row_marks) as mark
                from {batches} where batch = {batch}
            ), present as (
                select row, {mark} as mark, count(*) over (partition by row) as times
                from (
                    select row, {row_hash} as row_hash from {rows} where batch = {batch}
                ) as each_row
            )
            select
                row, sealed.mark is null or coalesce(present.times > 1, false) as is_more,
                present.mark is null as is_less
            from sealed full outer join present using (row)
            where sealed.mark is distinct from present.mark or present.times > 1
            order by row limit 1
            """,
            batch=batch, mark=sql.MARK, row_hash=sql.row_hash(older),
        )  # fmt: skip
        if not rows:
            return Damage(batch, None, "its rows' hash was edited")
        row = rows[0]
        text = "the row was edited"
        if row["is_less"]:
            text = "the row was deleted"
        elif row["is_more"]:
            text = "the row was inserted"
        entries = self.ask(
            "select * from {rows} where batch = {batch} and row = {row}",
            batch=batch,
            row=row["row"],
        )
        return Damage(batch, row["row"], text, entries[-1] if entries else None)

    def waiting(self, batches: list[dict[str, Any]]) -> list[Damage]:
        """Lists of values that wait for approval which are not those that a batch sealed."""
        sealed = {row["kpi"]: row for row in self.ask(sql.waiting_seals(batches="{batches}"))}
        present = {row["kpi"]: row for row in self.ask(sql.waiting_hashes("{waiting}"))}
        # Before scheme 2 no batch sealed them.
        judged = {batch["kpi"] for batch in batches if batch["scheme"] >= sql.SCHEME}
        damages = []
        for kpi in sorted(judged & (sealed.keys() | present.keys())):
            seal, now = sealed.get(kpi), present.get(kpi)
            expected = (seal["waiting"], seal["waiting_hash"]) if seal else (0, None)
            if expected != ((now["waiting"], now["waiting_hash"]) if now else (0, None)):
                text = f"what waits for approval of {kpi} was changed"
                damages.append(Damage(seal["batch"] if seal else 0, None, text))
        return damages


def _scheme(details: str) -> int:
    try:
        return int(json.loads(details).get("scheme", 1))
    except (ValueError, TypeError, AttributeError):
        return sql.SCHEME


def _chain(batches: list[dict[str, Any]], external: ExternalHeads) -> list[Damage]:
    """Batches whose record is wrong, from the end: what follows vouches for what is before it."""
    marks: dict[int, list[str]] = {}
    for head in external.heads:
        marks.setdefault(head.batch, []).append(head.mark)
    damages = []
    after: dict[str, Any] | None = None
    for batch in reversed(batches):
        number, own = batch["batch"], batch["hash"]
        if after is not None and number < after["batch"] - 1:
            gone = f"its record was deleted (the next is of batch {after['batch']})"
            damages.append(Damage(number + 1, None, gone))
        elif after is not None and number == after["batch"]:
            damages.append(Damage(number, None, "it is there twice"))
        elif after is not None and own != after["previous_hash"]:
            # A batch that is known outside is what it was: then the one after it was replaced.
            vouched = any(own.startswith(mark) for mark in marks.get(number, []))
            wrong = after["batch"] if vouched else number
            damages.append(
                Damage(wrong, None, "it was replaced: its hash is not the one in the chain")
            )
        if sealed({name: batch[name] for name in HEADER}) != own:
            damages.append(Damage(number, None, "its record was edited"))
        if after is not None and batch["published_at"] >= after["published_at"]:
            damages.append(Damage(after["batch"], None, "it is dated before the batch before it"))
        after = batch
    if after is not None and after["batch"] > 1:
        gone = f"its record was deleted (the next is of batch {after['batch']})"
        damages.append(Damage(1, None, gone))
    elif after is not None and after["previous_hash"] != ORIGIN:
        damages.append(Damage(1, None, "it does not begin the ledger"))
    return damages

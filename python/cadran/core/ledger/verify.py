"""`cadran verify`: whether the ledger is what was written, from first row to anchored end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cadran.core.ledger.reader import has_ledger
from cadran.core.ledger.writer import HEADER
from cadran.core.project.lock import ORIGIN, Head, anchored, sealed
from cadran.core.warehouse import ledger_sql as sql

if TYPE_CHECKING:
    from pathlib import Path

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
        named = ""
        if self.entry:
            period = str(self.entry["period"]).removesuffix(" 00:00:00")
            named = (
                f" ({self.entry['kpi']}, {self.entry['grain']} {period},"
                f" {self.entry['dimensions']}: {self.entry['value']})"
            )
        return f"{place}{named}: {self.what}" if self.batch else self.what


@dataclass(frozen=True, slots=True)
class Verification:
    """What was looked at, and what was found; the first damage is the earliest."""

    head: Head
    rows: int
    anchor: Head | None
    damages: tuple[Damage, ...]

    @property
    def holds(self) -> bool:
        """Whether nothing was found."""
        return not self.damages


def verify(warehouse: Warehouse, lock: Path | None) -> Verification:
    """Every row and batch of the ledger, computed again and compared.

    Args:
        warehouse: the warehouse with the ledger.
        lock: the file with the anchored head. Without one, a ledger that lost its end
            cannot be told from a shorter one.
    """
    expected = anchored(lock)
    if not has_ledger(warehouse):
        damages = []
        if expected is not None and expected.batch:
            damages = [Damage(0, None, f"The ledger is gone; batch {expected.batch} was anchored.")]
        return Verification(Head(), 0, expected, tuple(damages))
    ask = warehouse.arrow
    columns = ", ".join((*HEADER, "hash"))
    batches = ask(f"select {columns} from {sql.BATCHES} order by batch").to_pylist()
    rows = ask(f"select count(*) as rows from {sql.ROWS}").to_pylist()[0]["rows"]
    damages = [*_chain(batches), *_content(warehouse)]
    damages.sort(key=lambda damage: (damage.batch, damage.row or 0))
    damages += _end(batches, expected)
    head = Head(batches[-1]["batch"], batches[-1]["hash"]) if batches else Head()
    return Verification(head, rows, expected, tuple(damages))


def _chain(batches: list[dict[str, Any]]) -> list[Damage]:
    found = []
    before, number = ORIGIN, 0
    for batch in batches:
        number += 1
        if batch["batch"] != number:
            missing = f"its record was deleted (the next is of batch {batch['batch']})"
            found.append(Damage(number, None, missing))
            number = batch["batch"]
        elif batch["previous_hash"] != before:
            found.append(Damage(number, None, "it does not follow the batch before it"))
        if sealed({name: batch[name] for name in HEADER}) != batch["hash"]:
            found.append(Damage(number, None, "its record was edited"))
        before = batch["hash"]
    return found


def _content(warehouse: Warehouse) -> list[Damage]:
    """Rows whose hashes are not those that their batch was sealed with."""
    ask = warehouse.arrow
    different = ask(
        f"""
        select coalesce(batch.batch, present.batch) as batch, batch.batch is null as is_foreign
        from {sql.BATCHES} as batch
        full outer join ({sql.hashed(sql.ROWS)}) as present using (batch)
        where batch.batch is null
            or coalesce(present.row_count, 0) <> batch.row_count
            or (batch.row_count > 0 and present.rows_hash is distinct from batch.rows_hash)
        order by 1
        """
    ).to_pylist()
    found = []
    for one in different:
        batch = one["batch"]
        rows = ask(
            f"""
            with kept as (
                select generate_subscripts(row_marks, 1) as row, unnest(row_marks) as mark
                from {sql.BATCHES} where batch = {batch}
            ), present as (
                select row, {sql.MARK} as mark, count(*) over (partition by row) as times
                from (
                    select row, {sql.ROW_HASH} as row_hash from {sql.ROWS} where batch = {batch}
                ) as each_row
            )
            select
                row, kept.mark is null or coalesce(present.times > 1, false) as is_more,
                present.mark is null as is_less
            from kept full outer join present using (row)
            where kept.mark is distinct from present.mark or present.times > 1
            order by row limit 1
            """
        ).to_pylist()
        if not rows:
            found.append(Damage(batch, None, "its rows' hash was edited"))
            continue
        row = rows[0]
        what = "the row was edited"
        if row["is_less"]:
            what = "the row was deleted"
        elif row["is_more"]:
            what = "the row was inserted"
        entries = ask(
            f"select * from {sql.ROWS} where batch = {batch} and row = {row['row']}"
        ).to_pylist()
        found.append(Damage(batch, row["row"], what, entries[-1] if entries else None))
    return found


def _end(batches: list[dict[str, Any]], expected: Head | None) -> list[Damage]:
    if expected is None or not expected.batch:
        return []
    hashes = {batch["batch"]: batch["hash"] for batch in batches}
    last = max(hashes, default=0)
    if expected.batch > last:
        cut = f"the end was cut off: batch {expected.batch} was anchored, batch {last} is the last"
        return [Damage(last + 1, 1, cut)]
    if hashes.get(expected.batch) != expected.hash:
        return [Damage(expected.batch, None, "it is another batch than the one that was anchored")]
    return []

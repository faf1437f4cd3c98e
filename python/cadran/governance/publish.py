"""`cadran publish`: append what differs from what was last published, KPI by KPI.

One KPI is one transaction. Whatever stops a publication, the ledger holds the batches before it
whole, and the next publication appends what is missing: it compares, it does not remember.
"""

from __future__ import annotations

import datetime as dt
import getpass
import os
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cadran.governance import anchor, ledger_settings
from cadran.governance.definition import definition_hash, scope
from cadran.governance.ledger_writer import LedgerWriter
from cadran.governance.measure import Measured, Measurer
from cadran.warehouse import duckdb_ledger as sql

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from cadran.governance.restatement import Restatement
    from cadran.layer import Layer

WAIT = 60.0
COLUMNS = "grain, period, dimension_set, dimensions, value, numerator, denominator, observations"


@dataclass(slots=True)
class Published:
    """What became of one KPI: rows written by kind, and what waits for approval."""

    kpi: str
    rows: int = 0
    restated: int = 0
    waiting: list[dict[str, Any]] = field(default_factory=list)


def publish(  # noqa: PLR0913 - each is one decision of who publishes
    layer: Layer,
    kpis: Iterable[str] = (),
    *,
    restatement: Restatement | None = None,
    author: str | None = None,
    lock: Path | None = None,
    wait: float = WAIT,
    progress: Callable[[Published], None] = lambda _: None,
) -> list[Published]:
    """Publish the values of KPIs as they are now; returns what became of each.

    Args:
        layer: the layer of a built project.
        kpis: names; every KPI that is not a draft when empty.
        restatement: agreement that final values change.
        author: who publishes; by default git's user.
        lock: the file that keeps the ledger's head; by default `kpi.lock` of the project.
        wait: for how many seconds to try again while another process holds the warehouse.
        progress: is told of each KPI when it is done.

    Raises:
        UnknownNameError: a KPI does not exist.
        QueryError: the restatement lacks something, or is approved by its author.
        WarehouseError: another process still holds the warehouse.
    """
    names = list(kpis) or [card.name for card in layer.kpis() if card.status != "draft"]
    cards = [layer.card(name) for name in names]
    author = author or who(layer)
    if restatement is not None:
        restatement.check(author)
    run = _Run(layer, author, lock or anchor.path_of(layer.project.root), wait, restatement)
    done = []
    before, layer.warehouse.wait = layer.warehouse.wait, wait
    try:
        for card in cards:
            done.append(run.one(card.name))
            progress(done[-1])
    finally:
        layer.warehouse.wait = before
    return done


def who(layer: Layer) -> str:
    """Who is at work: CADRAN_AUTHOR, git's user, or the user of this machine."""
    named = os.environ.get("CADRAN_AUTHOR")
    return named or _git(layer, "config", "user.email") or getpass.getuser()


def revision(layer: Layer) -> str | None:
    """The revision of the project in git, with `+` when there are changes beside it."""
    found = _git(layer, "rev-parse", "HEAD")
    changed = _git(layer, "status", "--porcelain", "--untracked-files=no") if found else ""
    return f"{found}+" if found and changed else found


def _git(layer: Layer, *words: str) -> str | None:
    root = layer.project.root or layer.project.semantic_manifest_path.parent
    try:
        told = subprocess.run(
            ["git", *words],  # noqa: S607 - the git of whoever publishes
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return told.stdout.strip() or None


class _Run:
    """One run of `publish`."""

    def __init__(
        self, layer: Layer, author: str, lock: Path | None, wait: float,
        restatement: Restatement | None,
    ) -> None:  # fmt: skip
        self.layer, self.author, self.lock, self.wait = layer, author, lock, wait
        self.restatement = restatement
        self.settings = ledger_settings.read(layer.project.root)
        self.measurer = Measurer(layer)
        self.revision = revision(layer)

    def one(self, kpi: str) -> Published:
        """Publish one KPI; measure again when somebody published it meanwhile."""
        while True:
            computed_at = dt.datetime.now(dt.UTC).replace(tzinfo=None)
            measured = list(self.measurer.measure(kpi, self.settings.of(self.layer.card(kpi))))
            header = {
                "kpi": kpi,
                "computed_at": computed_at,
                "data_as_of": self.measurer.data_as_of(kpi),
                "value_type": str(measured[0].table.schema.field(kpi).type) if measured else "",
                "version": self.layer.card(kpi).version,
                "definition_hash": definition_hash(self.layer, kpi),
                "git_revision": self.revision,
                "author": self.author,
            }
            first, last = self.measurer.bounds()
            with self.layer.warehouse.writing(self.wait) as connection:
                writer = LedgerWriter(connection)
                newest = writer.rows(
                    f"select max(computed_at) as at from {sql.BATCHES} where kpi = '{kpi}'"
                )[0]["at"]
                if newest is not None and newest > computed_at:
                    connection.rollback()
                    continue
                self._compare(writer, measured, header, (first, last))
                done = self._append(writer, kpi, header)
                head = writer.commit()
                if anchor.anchored(self.lock) != head:
                    anchor.anchor(self.lock, head)
                return done

    def _compare(
        self, writer: LedgerWriter, measured: list[Measured], header: dict[str, Any],
        bounds: tuple[dt.datetime, dt.datetime],
    ) -> None:  # fmt: skip
        kpi, publication = header["kpi"], self.settings.of(self.layer.card(header["kpi"]))
        writer.connection.execute(sql.STAGED)
        inexact = dict.fromkeys(("value", "numerator", "denominator"), False)
        for one in measured:
            kinds = {item.name: str(item.type) for item in one.table.schema}
            columns = {
                "value": kpi, "numerator": one.parts.numerator,
                "denominator": one.parts.denominator,
            }  # fmt: skip
            inexact = {n: bool(c) and sql.is_inexact(kinds[c or kpi]) for n, c in columns.items()}
            texts = {
                n: sql.canonical(f'"{c}"', kinds[c]) if c else None for n, c in columns.items()
            }
            observed = one.parts.observations
            texts["observations"] = f'cast("{observed}" as bigint)' if observed else None
            names = {
                "grain": one.grain, "time": one.time, "dimensions": ",".join(one.dimensions),
            }  # fmt: skip
            writer.connection.register("measured", one.table)
            writer.connection.execute(sql.stage("measured", texts, names))
            writer.connection.unregister("measured")
        writer.connection.execute(
            sql.compare(
                kpi, version=header["version"], minimum=publication.minimum_observations,
                first=str(bounds[0]), last=str(bounds[1]), inexact=inexact,
                sets=[f"{one.grain} {','.join(one.dimensions)}" for one in measured] or [""],
            )
        )  # fmt: skip
        approved = "false"
        if self.restatement is not None:
            start, end = self.restatement.start, self.restatement.end
            approved = f"(period >= timestamp '{start}' and period < timestamp '{end}')"
        version = scope(self.layer, kpi)
        writer.connection.execute(
            sql.place(
                closed(writer, kpi),
                version.covers if version else None,
                approved,
                publication.materiality,
                restates=bool(version and version.restates),
            )
        )

    def _append(self, writer: LedgerWriter, kpi: str, header: dict[str, Any]) -> Published:
        done = Published(kpi)
        counts = {
            row["goes"]: row["rows"]
            for row in writer.rows("select goes, count(*) as rows from placed group by goes")
        }
        version = scope(self.layer, kpi)
        told = version.details if version else {}
        restates = version is not None and version.restates
        agreed = self.restatement.details() if self.restatement else {}
        automatic = {
            "kind": "data",
            "reason": "data changed by less than is material",
        }
        reasons: dict[str, tuple[str, str, dict[str, Any]]] = {
            "publish": ("publish", "provisional", told),
            "version": ("restatement", "restated" if restates else "provisional", told),
            "approved": ("restatement", "restated", agreed),
            "immaterial": ("restatement", "restated", automatic),
        }  # fmt: skip
        for goes, (kind, status, details) in reasons.items():
            if not counts.get(goes):
                continue
            columns = (
                f"{COLUMNS}, if(is_thin, 'suppressed', '{status}') as status,"
                f" {header['version']}::integer as version,"
                f" '{header['definition_hash']}' as definition_hash"
            )
            found = writer.append(
                columns,
                f"placed where goes = '{goes}'",
                header | {"kind": kind, "details": details},
            )
            done.rows += found
            done.restated += found if kind == "restatement" else 0
        listed = (
            "select grain, period, dimension_set, dimensions, published, value as computed, change"
            " from placed where goes = 'waiting'"
        )
        if counts.get("waiting") or writer.rows(
            f"select 1 as one from {sql.WAITING} where kpi = '{kpi}' limit 1"
        ):
            writer.connection.execute(f"delete from {sql.WAITING} where kpi = '{kpi}'")
            writer.connection.execute(
                f"insert into {sql.WAITING} select '{kpi}', *, now()::timestamp from ({listed})"
            )
            done.waiting = writer.rows(f"{listed} order by period, grain, dimensions")
        return done


def closed(writer: LedgerWriter, kpi: str) -> list[tuple[str, str]]:
    """The ranges in which a KPI's values are final, those that touch as one."""
    found = writer.rows(
        "select details->>'from' as start, details->>'until' as until"
        f" from {sql.BATCHES} where kind = 'close' and kpi = '{kpi}' order by start"
    )
    ranges: list[tuple[str, str]] = []
    for row in found:
        start, until = row["start"], row["until"]
        if ranges and start <= ranges[-1][1]:
            ranges[-1] = (ranges[-1][0], max(until, ranges[-1][1]))
        else:
            ranges.append((start, until))
    return ranges

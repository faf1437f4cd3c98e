"""Whether the data behind a KPI is whole: its models built, its sources come in as far as others.

A model that a build began and did not end well stands in `build_pending`, beside the catalogue
(see the macro `mark_build`). How far data reach is the last instant of the KPI's stalest source,
instants in the future left out. A source in which every day has rows has to reach the end; one that
is often silent may be silent for twice as long as it nearly always was (the 99th percentile of its
gaps), and all may be as late as the card allows.
"""

from __future__ import annotations

import datetime as dt
from functools import cached_property
from typing import TYPE_CHECKING, Any

from cadran.core.project import lineage
from cadran.core.warehouse.dialects import literal, quoted
from cadran.errors import ProjectError, UnknownNameError

if TYPE_CHECKING:
    from cadran.core.layer import Layer
    from cadran.core.project.cards import Card
    from cadran.governance.values import Measurer

_UNITS = {"minute": 60, "hour": 3600, "day": 86400, "week": 604800, "month": 2678400}
_DAY = dt.timedelta(days=1)
_MARKS = "select state, marked_at from {}.build_marks"
_PENDING = "select unique_id, state from {}.build_pending"


class Wholeness:
    """Judges the KPIs of one layer."""

    def __init__(self, layer: Layer, measurer: Measurer) -> None:
        """Take a layer and what measures it."""
        self._layer = layer
        self._measurer = measurer

    def refusal(
        self, kpi: str, until: dt.datetime | None = None, *, needs_reach: bool = True
    ) -> str:
        """Why nothing is said of a KPI now; empty when its data is whole.

        Args:
            kpi: the KPI.
            until: its data have to reach this instant; by default that which the data of any KPI
                reach.
            needs_reach: whether they have to at all.
        """
        unbuilt = self._unbuilt(kpi)
        return unbuilt or (self._short(self._layer.card(kpi), until) if needs_reach else "")

    def note(self, kpi: str) -> str:
        """What a reader should know of a KPI's sources: a stamp in the future."""
        latest = self._measurer.future(kpi)
        if latest is None:
            return ""
        return (
            f"The sources hold a stamp in the future ({latest:%Y-%m-%d}): what lies ahead is not"
            " published, and does not count as data."
        )

    def _unbuilt(self, kpi: str) -> str:
        unfinished = self._pending
        if unfinished is None:
            return ""
        state, names = unfinished
        behind = self._behind(kpi)
        if names and behind is not None:
            names = {name for name in names if name in behind or behind & self._tested(name)}
            if not names:
                return ""
        nodes = ", ".join(sorted(name.split(".")[2] for name in names)[:3])
        return (
            f"{kpi} rests on a build that did not end well"
            f" ({state}{f': {nodes}' if nodes else ''}): run `dbt build`, then again."
        )

    @cached_property
    def _pending(self) -> tuple[str, set[str]] | None:
        """How the last build ended, and what of it is unfinished; None when nothing is."""
        arrow = self._layer.warehouse.arrow
        schema = self._layer.project.marks_schema
        tables = {
            row["table_name"]
            for row in arrow(
                "select table_name from information_schema.tables"
                f" where table_schema = {literal(schema)}"
            ).to_pylist()
        }
        if "build_pending" in tables:
            rows = arrow(_PENDING.format(quoted(schema))).to_pylist()
            if rows:
                states = {row["state"] for row in rows}
                state = "failed" if "failed" in states else "killed while building"
                return state, {row["unique_id"] for row in rows}
            return None
        marks = arrow(_MARKS.format(quoted(schema))).to_pylist() if "build_marks" in tables else []
        bad = [mark for mark in marks if mark["state"] != "finished"]
        return (str(bad[0]["state"]), set()) if bad else None

    @cached_property
    def _manifest(self) -> dict[str, Any] | None:
        try:
            return self._layer.project.dbt_manifest
        except ProjectError:
            return None

    def _behind(self, kpi: str) -> frozenset[str] | None:
        """The unique ids of what a KPI is made of; None where dbt's manifest is not there."""
        try:
            return frozenset(lineage.behind(self._manifest, kpi)) if self._manifest else None
        except UnknownNameError:
            return None

    def _tested(self, name: str) -> frozenset[str]:
        """What a test looks at."""
        if self._manifest is None or not name.startswith(("test.", "unit_test.")):
            return frozenset()
        group = "nodes" if name.startswith("test.") else "unit_tests"
        node = self._manifest.get(group, {}).get(name) or {}
        return frozenset((node.get("depends_on") or {}).get("nodes") or [])

    def _short(self, card: Card, until: dt.datetime | None) -> str:
        reached = self._measurer.reach(card.name)
        if reached is None:
            return ""
        deadline = until or self._measurer.bounds()[1]
        amount, unit = card.refresh.late_after.split()
        late = dt.timedelta(seconds=int(amount) * _UNITS[unit.removesuffix("s")])
        if reached.until + late + 2 * (reached.gap - _DAY) >= deadline:
            return ""
        others = f"{until:%Y-%m-%d} is wanted" if until else f"those of others {deadline:%Y-%m-%d}"
        return (
            f"{card.name} is not whole: its data reach {reached.last:%Y-%m-%d %H:%M},"
            f" {others} (it may be late by {card.refresh.late_after}). Load its sources and build,"
            " or say why it is so with --incomplete REASON."
        )

"""Values of KPIs about people: shown where enough observations stand behind them.

What stands behind a value is counted by the layer, in the same groups. Cells of too few are hidden,
and those that would tell them (`suppress`). A filter or a time range cuts the table into smaller
cells: a value is shown only if it takes whole what is hidden among those, or nothing of it. So what
is shown is made of what could be shown, whatever else is asked.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from cadran import periods
from cadran.access.suppress import GONE, SAME, Tables, hidden, seen
from cadran.errors import NotAllowedError, QueryError
from cadran.governed import TIME
from cadran.query import GRAINS, GroupBy
from cadran.where import names_in

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

    import pyarrow as pa

    from cadran.access.gate import Allowed
    from cadran.access.suppress import Key, View
    from cadran.governance.parts import Parts
    from cadran.layer import Layer
    from cadran.query import Query

_MOST = 20_000  # cells that are looked through for one answer: some seconds


class Counts:
    """Counts what stands behind the values of answers. Thread-safe."""

    def __init__(self) -> None:
        """Nothing is read yet."""
        self._lock = threading.Lock()
        self._wider: WeakKeyDictionary[Layer, tuple[Layer, dict[str, Parts]]] = WeakKeyDictionary()

    def shown(self, table: pa.Table, allowed: Allowed, layer: Layer) -> pa.Table:
        """The rows of an answer, with NULL in the place of what is to be hidden.

        Raises:
            QueryError: the question has more cells than can be looked through.
        """
        if not allowed.hides:
            return table
        query = allowed.question.query
        for card in [layer.card(name) for name in query.metrics if layer.is_kpi(name)]:
            if card.minimum_cell:
                cells = _Cells(*self._of(layer), query, card.name, card.grains)
                least = max(allowed.minimum_cell, card.minimum_cell)
                table = _without(table, query, card.name, cells.hidden(least))
        return table

    def _of(self, layer: Layer) -> tuple[Layer, dict[str, Parts]]:
        from cadran.governance.parts import measuring

        with self._lock:
            found = self._wider.get(layer)
            if found is None:
                home = layer.project.semantic_manifest_path.parent / "cadran" / "measuring"
                found = self._wider[layer] = measuring(layer, home)
            return found


class _Cells:
    """The cells of one KPI in one question."""

    def __init__(
        self,
        wider: Layer,
        parts: dict[str, Parts],
        query: Query,
        kpi: str,
        grains: tuple[str, ...],
    ) -> None:
        self.wider, self.query, self.grains = wider, query, grains
        observations = parts[kpi].observations
        if observations is None:
            raise NotAllowedError(f"{kpi} is about people, and what stands behind it is unknown.")
        self.observations = observations

    def hidden(self, least: int) -> set[Key]:
        """The keys of the rows whose value is to be hidden.

        Raises:
            QueryError: there are more cells than can be looked through.
        """
        query, groups = self.query, [*self.query.group_by]
        # In one order whatever was asked first: of two cells of one size the same is hidden always.
        finer = sorted([*groups, *self.cut()], key=lambda group: group.column)
        places = [finer.index(group) for group in groups]
        every = self.count(finer, whole=True)
        is_whole = not query.where and query.start is None and query.end is None
        if is_whole and all(count >= least for count in every.values()):
            return set()
        cells = Tables.of(every, len(finer), self.time(finer))
        small = hidden(cells, least)
        found = small[cells.finest]
        if not is_whole:
            found = _torn(self.count(finer, whole=False), small, cells.finest, places)
        return {tuple(key[place] for place in places) for key in found}

    def count(self, groups: list[GroupBy], *, whole: bool) -> dict[Key, int]:
        """The observations by these groups, of the question or of all that it could be asked of."""
        query = self.query
        table = self.wider.query(
            [self.observations],
            groups,
            where=() if whole else query.where,
            start=None if whole else query.start,
            end=None if whole else query.end,
            confined=query.confined,
            governed=False,
            ordered=False,
        ).to_arrow()
        if table.num_rows > _MOST:
            raise QueryError(
                f"The question has {table.num_rows:,} cells of a KPI about people;"
                f" {_MOST:,} can be looked through: ask by less."
            )
        *keys, counts = (column.to_pylist() for column in table.columns)
        rows = zip(*keys, strict=True) if keys else [()]
        return {key: int(n) for key, n in zip(rows, counts, strict=True) if n}

    def cut(self) -> list[GroupBy]:
        """What filters and the time range look at, beside what the question is grouped by."""
        known = {group.column for group in self.query.group_by}
        found = {group.column: group for group in self.named}
        is_timed = any(group.base == TIME for group in self.query.group_by)
        if not is_timed and self.is_ranged:
            grain = _aligned(self.query.start, self.query.end, self.grains)
            found[f"{TIME}__{grain}"] = GroupBy(TIME, grain)
        return [group for column, group in found.items() if column not in known]

    @property
    def is_ranged(self) -> bool:
        """Whether it has a time range."""
        return self.query.start is not None or self.query.end is not None

    @property
    def named(self) -> list[GroupBy]:
        """What its filters look at."""
        found = [names_in(text) for text in self.query.where]
        return [
            group for named in found for group in (*named.dimensions, *map(GroupBy, named.entities))
        ]

    def time(self, groups: list[GroupBy] | tuple[GroupBy, ...]) -> tuple[int, list[str]] | None:
        """The place of the period among groups, and the coarser grains of the card."""
        for place, group in enumerate(groups):
            if group.base == TIME:
                at = GRAINS.index(group.asked_grain or "minute")
                return place, [g for g in self.grains if GRAINS.index(g) > at and g != "minute"]
        return None


def _torn(
    taken: Mapping[Key, int], small: Mapping[View, set[Key]], finest: View, places: list[int]
) -> set[Key]:
    """The cells of a filtered answer that could not be worked out from what is shown without it.

    A cell is sound if it takes nothing of what is hidden; or all of it, and the whole is shown.

    Args:
        taken: the cells that the question takes, split by all that it filters by.
        small: what is hidden of the whole, by view.
        finest: the view that is split by all.
        places: of the columns that the question is grouped by.
    """
    whole = tuple(SAME if place in places else GONE for place in range(len(finest)))
    left = {seen(key, whole) for key in small[finest] if key not in taken}
    return {
        cell
        for key in taken
        if key in small[finest] and ((cell := seen(key, whole)) in left or cell in small[whole])
    }


def _aligned(start: dt.datetime | None, end: dt.datetime | None, grains: tuple[str, ...]) -> str:
    """The coarsest grain of whose whole periods a range is made; the day if there is no other."""
    for grain in reversed(periods.GRAINS):
        if grain not in grains:
            continue
        opens = start is None or periods.start_of(start.date(), grain) == start.date()
        closes = (
            end is None or periods.last_of(periods.start_of(end.date(), grain), grain) == end.date()
        )
        if opens and closes:
            return grain
    return "day"


def _without(table: pa.Table, query: Query, name: str, keys: set[Key]) -> pa.Table:
    """The table with NULL in a column where the row's key is one of these.

    Where the rows are in the order of that column, those rows come last: their place would tell.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if not keys:
        return table
    groups = [column for column in table.column_names if column not in query.metrics]
    columns = [table[column].to_pylist() for column in groups]
    rows = zip(*columns, strict=True) if columns else [()] * table.num_rows
    mask = pa.array([key in keys for key in rows], pa.bool_())
    place = table.column_names.index(name)
    column = table[name]
    nothing = pa.scalar(None, column.type)
    kept = pc.if_else(mask, nothing, column)
    table = table.set_column(place, name, kept)
    if any(item.removeprefix("-") == name for item in query.order_by):
        shown = pc.indices_nonzero(pc.invert(mask))
        table = table.take(pa.concat_arrays([shown, pc.indices_nonzero(mask)]))
    return table

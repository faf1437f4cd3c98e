"""Values of KPIs about people: shown where enough observations stand behind them.

What stands behind a value is counted by the layer, in the same groups. Cells of too few are hidden,
and those that would tell them (`suppress`). A filter or a time range cuts the table into smaller
cells: a value is shown only if it takes whole what is hidden among those, or nothing of it. So what
is shown is made of what could be shown, whatever else is asked.
"""

from __future__ import annotations

import datetime as dt
import threading
from collections import defaultdict
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, TypeAlias
from weakref import WeakKeyDictionary

from cadran.core.components import measuring
from cadran.core.query.filters import read
from cadran.core.query.request import GRAINS, GroupBy
from cadran.core.semantics.governed import TIME
from cadran.errors import NotAllowedError, QueryError
from cadran.formats import periods

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence

    import pyarrow as pa

    from cadran.access.gate import Allowed
    from cadran.core.layer import Layer
    from cadran.core.query.request import Query
    from cadran.core.semantics.metrics import Components


_PRIME = 2**31 - 1  # sums are taken modulo a prime: exact, and no number grows
Row = dict["Hashable", int]


class Sums:
    """Sums over hidden cells that are known, reduced so that each has a cell of its own."""

    def __init__(self, sums: Iterable[frozenset[Hashable]]) -> None:
        """Take the sums that are told, each as the cells it adds up."""
        self._rows: dict[Hashable, Row] = {}
        for cells in sorted(set(sums), key=len):
            row = self._reduced(dict.fromkeys(cells, 1))
            if row:
                self._add(row)

    def tells(self, cells: Iterable[Hashable]) -> bool:
        """Whether the sum of these cells follows from those that are told."""
        return not self._reduced(dict.fromkeys(cells, 1))

    def _add(self, row: Row) -> None:
        own = min(row, key=str)
        inverse = pow(row[own], -1, _PRIME)
        row = {cell: factor * inverse % _PRIME for cell, factor in row.items()}
        for other, before in list(self._rows.items()):
            if own in before:
                self._rows[other] = _less(before, row, before[own])
        self._rows[own] = row

    def _reduced(self, row: Row) -> Row:
        for own in self._owned(row):
            row = _less(row, self._rows[own], row[own])
        return row

    def _owned(self, row: Row) -> Iterator[Hashable]:
        # A reduced row holds no other row's own cell, so what is taken away brings none back.
        return iter([cell for cell in row if cell in self._rows])


def _less(row: Row, other: Row, times: int) -> Row:
    """One row less another, so many times."""
    difference = dict(row)
    for cell, factor in other.items():
        value = (difference.get(cell, 0) - times * factor) % _PRIME
        if value:
            difference[cell] = value
        else:
            difference.pop(cell, None)
    return difference


Key: TypeAlias = "tuple[Any, ...]"
View: TypeAlias = "tuple[str, ...]"

SAME, GONE = "same", "gone"
_MOST_SOLVED = 300  # hidden cells of a table up to which all sums of totals are tried
_TWO = 2  # cells at least, for a total to tell none of them
# How coarse: a view is a total of another if none of its columns is finer, and one is coarser.
_RANK = {SAME: 0, "hour": 1, "day": 2, "week": 3, "month": 3, "quarter": 4, "year": 5, GONE: 9}


@dataclass(frozen=True, slots=True)
class Tables:
    """One table and its coarser ones: the observations of each cell, by view and key.

    A view says of each column whether it is kept (`same`), truncated to a grain, or `gone`.
    """

    counts: Mapping[View, dict[Key, int]]
    finest: View

    @classmethod
    def of(
        cls,
        counts: Mapping[Key, int],
        width: int,
        time: tuple[int, Sequence[str]] | None,
    ) -> Tables:
        """The table and its totals.

        Args:
            counts: observations by key; cells of none are left out.
            width: the number of columns.
            time: the place of the period in a key and the coarser grains that can be asked.
        """
        choices = [[SAME, GONE] for _ in range(width)]
        if time is not None:
            choices[time[0]][1:1] = list(time[1])
        views = {}
        for view in sorted(product(*choices), key=_coarseness, reverse=True):
            numbers: dict[Key, int] = defaultdict(int)
            for key, count in counts.items():
                numbers[coarsened(key, view)] += count
            views[view] = numbers
        return cls(views, (SAME,) * width)


def hidden(tables: Tables, least: int) -> dict[View, set[Key]]:
    """The keys of the cells to hide, by view.

    Args:
        tables: a table and its totals.
        least: observations that a cell needs.
    """
    keys: dict[View, set[Key]] = {}
    for view, counts in tables.counts.items():  # the coarsest first
        small = {key for key, count in counts.items() if count < least}
        keys[view] = set(small)
        totals = [
            _Total(keys[other], _lines(counts, other), tables.counts[other])
            for other in tables.counts
            if other != view and _is_total(other, view)
        ]
        if not small and not any(total.hides for total in totals):
            continue
        open_ = True
        while open_:
            _close(keys[view], counts, least, totals)
            open_ = _mend(keys[view], counts, least, totals)
    return keys


@dataclass(frozen=True, slots=True)
class _Total:
    """A coarser view: what is hidden of it, the cells of each of its own, their observations."""

    hides: set[Key]
    lines: dict[Key, list[Key]]
    counts: dict[Key, int]


def _close(keys: set[Key], counts: Mapping[Key, int], least: int, totals: list[_Total]) -> None:
    size = -1
    while size != len(keys):  # completing one total may break another
        size = len(keys)
        for total in totals:
            for key, line in total.lines.items():
                _complete(line, counts, least, keys, is_told=key not in total.hides)


def _mend(
    hidden_keys: set[Key], counts: Mapping[Key, int], least: int, totals: list[_Total]
) -> bool:
    """Hide more where several totals together tell a value of too few; returns whether it did."""
    if len(hidden_keys) > _MOST_SOLVED:
        return False
    sums = Sums(
        inside
        for total in totals
        for key, line in total.lines.items()
        if key not in total.hides and (inside := frozenset(hidden_keys.intersection(line)))
    )
    exposed = [{key} for key in hidden_keys if counts[key] < least and sums.tells([key])]
    for total in totals:
        for key in total.hides:
            within = hidden_keys.intersection(total.lines[key])
            if total.counts[key] < least and sums.tells(within):
                exposed.append(within)
    before = len(hidden_keys)
    for cells in exposed:
        for total in totals:
            for line in total.lines.values():
                visible = [key for key in line if key not in hidden_keys]
                if visible and cells.intersection(line):
                    hidden_keys.add(visible[0])
    return len(hidden_keys) > before


def _complete(
    line: list[Key], counts: Mapping[Key, int], least: int, keys: set[Key], *, is_told: bool
) -> None:
    """Hide as many cells of one line as it takes; its total is told, or hidden itself."""
    inside = [key for key in line if key in keys]
    number, weight = len(inside), sum(counts[key] for key in inside)
    if is_told and not number:
        return
    for key in line:  # the smallest first
        if number >= (_TWO if is_told else 1) and (weight >= least or not is_told):
            return
        if key not in keys:
            keys.add(key)
            number, weight = number + 1, weight + counts[key]


def _lines(counts: Mapping[Key, int], total: View) -> dict[Key, list[Key]]:
    """The cells that each cell of a total is made of, the smallest first."""
    lines: dict[Key, list[Key]] = defaultdict(list)
    for key in sorted(counts, key=lambda key: (counts[key], str(key))):
        lines[coarsened(key, total)].append(key)
    return lines


def coarsened(key: Key, view: View) -> Key:
    """The key of the cell of a view in which a cell lies."""
    return tuple(_coarsened(value, how) for value, how in zip(key, view, strict=True))


def _coarsened(value: Any, how: str) -> Any:
    if how == SAME or value is None:
        return value
    if how == GONE:
        return None
    if how == "hour":
        return value.replace(minute=0, second=0, microsecond=0)
    day = value.date() if isinstance(value, dt.datetime) else value
    return periods.start_of(day, how)


def _coarseness(view: View) -> int:
    return sum(_RANK[how] for how in view)


def _is_total(coarse: View, fine: View) -> bool:
    """Whether each cell of one view is a sum of cells of the other."""
    return all(
        coarser == finer or (_RANK[coarser] > _RANK[finer] and (finer != "week" or coarser == GONE))
        for coarser, finer in zip(coarse, fine, strict=True)
    )


_MOST = 20_000  # cells that are looked through for one answer: some seconds


class Counts:
    """Counts what stands behind the values of answers. Thread-safe."""

    def __init__(self) -> None:
        """Nothing is read yet."""
        self._lock = threading.Lock()
        self._wider: WeakKeyDictionary[Layer, tuple[Layer, dict[str, Components]]] = (
            WeakKeyDictionary()
        )

    def suppress(self, table: pa.Table, allowed: Allowed, layer: Layer) -> pa.Table:
        """The rows of an answer, with NULL in the place of what is to be hidden.

        Raises:
            QueryError: the question has more cells than can be looked through.
        """
        query = allowed.query
        for card in [layer.card(name) for name in query.metrics if layer.is_kpi(name)]:
            if card.minimum_cell:
                cells = _Cells(*self._of(layer), query, card.name, card.grains)
                least = max(allowed.minimum_cell, card.minimum_cell)
                table = _without(table, query, card.name, cells.hidden(least))
        return table

    def _of(self, layer: Layer) -> tuple[Layer, dict[str, Components]]:
        with self._lock:
            entry = self._wider.get(layer)
            if entry is None:
                home = layer.project.semantic_manifest_path.parent / "cadran" / "measuring"
                entry = self._wider[layer] = measuring(layer, home)
            return entry


class _Cells:
    """The cells of one KPI in one question."""

    def __init__(
        self,
        wider: Layer,
        parts: dict[str, Components],
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
        keys = small[cells.finest]
        if keys and not is_whole:
            keys = _torn(self.count(finer, whole=False), small, cells.finest, places)
        return {tuple(key[place] for place in places) for key in keys}

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
        columns = {group.column for group in self.query.group_by}
        groups = {group.column: group for group in self.filter_groups}
        is_timed = any(group.base == TIME for group in self.query.group_by)
        if not is_timed and self.is_ranged:
            grain = _aligned(self.query.start, self.query.end, self.grains)
            groups[f"{TIME}__{grain}"] = GroupBy(TIME, grain)
        return [group for column, group in groups.items() if column not in columns]

    @property
    def is_ranged(self) -> bool:
        """Whether it has a time range."""
        return self.query.start is not None or self.query.end is not None

    @property
    def filter_groups(self) -> list[GroupBy]:
        """What its filters look at."""
        return [group for text in self.query.where for group in read(text).groups]

    def time(self, groups: list[GroupBy] | tuple[GroupBy, ...]) -> tuple[int, list[str]] | None:
        """The place of the period among groups, and the coarser grains of the card."""
        for place, group in enumerate(groups):
            if group.base == TIME:
                at = GRAINS.index(group.asked_grain or "minute")
                return place, [g for g in self.grains if GRAINS.index(g) > at and g != "minute"]
        return None


def _torn(
    present: Mapping[Key, int], small: Mapping[View, set[Key]], finest: View, places: list[int]
) -> set[Key]:
    """The cells of a filtered answer that could not be worked out from what is shown without it.

    A cell is sound if it takes nothing of what is hidden; or all of it, and the whole is shown.

    Args:
        present: the cells that the question takes, split by all that it filters by.
        small: what is hidden of the whole, by view.
        finest: the view that is split by all.
        places: of the columns that the question is grouped by.
    """
    whole = tuple(SAME if place in places else GONE for place in range(len(finest)))
    remaining = {coarsened(key, whole) for key in small[finest] if key not in present}
    return {
        cell
        for key in present
        if key in small[finest]
        and ((cell := coarsened(key, whole)) in remaining or cell in small[whole])
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
    values = pc.if_else(mask, nothing, column)
    table = table.set_column(place, name, values)
    if any(item.removeprefix("-") == name for item in query.order_by):
        order = pc.indices_nonzero(pc.invert(mask))
        table = table.take(pa.concat_arrays([order, pc.indices_nonzero(mask)]))
    return table

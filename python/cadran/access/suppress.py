"""Which cells of a table have to be hidden, so that none of too few observations can be told.

A cell of too few is hidden. Where a total less its shown cells would tell what is hidden, so is the
next smallest. Every coarser table that could be asked counts: over fewer columns, over longer
periods. They are gone through from the coarsest to the finest, so that each question, asked alone,
hides the same as where it is a total of another; and of a total that is hidden, not every part is
shown.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, TypeAlias

from cadran import periods
from cadran.access.solve import Sums

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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
            found: dict[Key, int] = defaultdict(int)
            for key, count in counts.items():
                found[seen(key, view)] += count
            views[view] = found
        return cls(views, (SAME,) * width)


def hidden(tables: Tables, least: int) -> dict[View, set[Key]]:
    """The keys of the cells to hide, by view.

    Args:
        tables: a table and its totals.
        least: observations that a cell needs.
    """
    found: dict[View, set[Key]] = {}
    for view, counts in tables.counts.items():  # the coarsest first
        small = {key for key, count in counts.items() if count < least}
        found[view] = set(small)
        totals = [
            _Total(found[other], _lines(counts, other), tables.counts[other])
            for other in tables.counts
            if other != view and _is_total(other, view)
        ]
        if not small and not any(total.hides for total in totals):
            continue
        open_ = True
        while open_:
            _close(found[view], counts, least, totals)
            open_ = _mend(found[view], counts, least, totals)
    return found


@dataclass(frozen=True, slots=True)
class _Total:
    """A coarser view: what is hidden of it, the cells of each of its own, their observations."""

    hides: set[Key]
    lines: dict[Key, list[Key]]
    counts: dict[Key, int]


def _close(found: set[Key], counts: Mapping[Key, int], least: int, totals: list[_Total]) -> None:
    size = -1
    while size != len(found):  # completing one total may break another
        size = len(found)
        for total in totals:
            for key, line in total.lines.items():
                _complete(line, counts, least, found, is_told=key not in total.hides)


def _mend(found: set[Key], counts: Mapping[Key, int], least: int, totals: list[_Total]) -> bool:
    """Hide more where several totals together tell a value of too few; returns whether it did."""
    if len(found) > _MOST_SOLVED:
        return False
    sums = Sums(
        inside
        for total in totals
        for key, line in total.lines.items()
        if key not in total.hides and (inside := frozenset(found.intersection(line)))
    )
    told = [{key} for key in found if counts[key] < least and sums.tells([key])]
    for total in totals:
        for key in total.hides:
            within = found.intersection(total.lines[key])
            if total.counts[key] < least and sums.tells(within):
                told.append(within)
    before = len(found)
    for cells in told:
        for total in totals:
            for line in total.lines.values():
                shown = [key for key in line if key not in found]
                if shown and cells.intersection(line):
                    found.add(shown[0])
    return len(found) > before


def _complete(
    line: list[Key], counts: Mapping[Key, int], least: int, found: set[Key], *, is_told: bool
) -> None:
    """Hide as many cells of one line as it takes; its total is told, or hidden itself."""
    inside = [key for key in line if key in found]
    number, weight = len(inside), sum(counts[key] for key in inside)
    if is_told and not number:
        return
    for key in line:  # the smallest first
        if number >= (_TWO if is_told else 1) and (weight >= least or not is_told):
            return
        if key not in found:
            found.add(key)
            number, weight = number + 1, weight + counts[key]


def _lines(counts: Mapping[Key, int], total: View) -> dict[Key, list[Key]]:
    """The cells that each cell of a total is made of, the smallest first."""
    lines: dict[Key, list[Key]] = defaultdict(list)
    for key in sorted(counts, key=lambda key: (counts[key], str(key))):
        lines[seen(key, total)].append(key)
    return lines


def seen(key: Key, view: View) -> Key:
    """The key of the cell of a view in which a cell lies."""
    return tuple(_seen(value, how) for value, how in zip(key, view, strict=True))


def _seen(value: Any, how: str) -> Any:
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
        one == other or (_RANK[one] > _RANK[other] and (other != "week" or one == GONE))
        for one, other in zip(coarse, fine, strict=True)
    )

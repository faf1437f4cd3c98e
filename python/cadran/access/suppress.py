"""Which cells of a table have to be hidden, so that none of too few observations can be told.

A cell of too few is hidden; and where a total less its shown cells would tell what is hidden, so is
the next smallest. Totals are looked at over every set of columns, and over every coarser period.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from itertools import product
from typing import TYPE_CHECKING, Any

from cadran import periods

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

Key = tuple[Any, ...]
_TWO = 2  # cells at least, for a total to tell none of them


def hidden(
    counts: Mapping[Key, int],
    least: int,
    time: tuple[int, Sequence[str]] | None = None,
    known: Collection[Key] = (),
) -> set[Key]:
    """The keys of the cells to hide.

    Args:
        counts: the observations behind each cell, by its key; cells of none are left out.
        least: observations that a cell needs.
        time: the place of the period in a key and the coarser grains that can be asked.
        known: cells that are hidden already.
    """
    found = {key for key, count in counts.items() if count < least}
    found |= {key for key in known if key in counts}
    if not found:
        return found
    totals = list(_totals(counts, time))
    size = -1
    while size != len(found):  # what is hidden for one total may have to be completed in another
        size = len(found)
        for lines in totals:
            for line in lines:
                _complete(line, counts, least, found)
    return found


def _complete(line: list[Key], counts: Mapping[Key, int], least: int, found: set[Key]) -> None:
    """Hide as many cells of one line as its total needs to tell none of them."""
    inside = [key for key in line if key in found]
    if not inside:
        return
    weight = sum(counts[key] for key in inside)
    number = len(inside)
    for key in line:  # the smallest first
        if number >= _TWO and weight >= least:
            return
        if key not in found:
            found.add(key)
            number, weight = number + 1, weight + counts[key]


def _totals(
    counts: Mapping[Key, int], time: tuple[int, Sequence[str]] | None
) -> Iterator[list[list[Key]]]:
    """For each total that can be asked: its lines, each with its cells, the smallest first."""
    ordered = sorted(counts, key=lambda key: (counts[key], str(key)))
    width = len(ordered[0])
    choices: list[list[Callable[[Any], Any]]] = [[_same, _gone] for _ in range(width)]
    if time is not None:
        place, grains = time
        choices[place] += [_truncated(grain) for grain in grains]
    for chosen in product(*choices):
        if all(one is _same for one in chosen):
            continue
        lines: dict[Key, list[Key]] = defaultdict(list)
        for key in ordered:
            line = tuple(one(value) for one, value in zip(chosen, key, strict=True))
            lines[line].append(key)
        yield list(lines.values())


def _same(value: Any) -> Any:
    return value


def _gone(value: Any) -> Any:  # noqa: ARG001
    return None


def _truncated(grain: str) -> Callable[[Any], Any]:
    def start(value: Any) -> Any:
        if value is None:
            return None
        if grain in periods.GRAINS:
            day = value.date() if isinstance(value, dt.datetime) else value
            return periods.start_of(day, grain)
        return value.replace(minute=0, second=0, microsecond=0)

    return start

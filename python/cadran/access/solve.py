"""Whether a hidden cell can be worked out from shown ones, by any sums and differences."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator

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
    found = dict(row)
    for cell, factor in other.items():
        value = (found.get(cell, 0) - times * factor) % _PRIME
        if value:
            found[cell] = value
        else:
            found.pop(cell, None)
    return found

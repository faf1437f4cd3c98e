"""Arrow columns straight from numpy arrays, and the Parquet files they go into."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from cadran_demo.world import Flags, Ints, Plan


_LEVEL = 1  # the demo is written far more often than it is kept


def _validity(missing: Flags | None) -> Any:
    if missing is None:
        return None
    return pa.py_buffer(np.packbits(~missing, bitorder="little").tobytes())


def ids(prefix: str, numbers: Ints, *, digits: int, missing: Flags | None = None) -> Any:
    """Text keys such as `c0001234`; null where `missing`."""
    width = len(prefix) + digits
    text = np.empty((len(numbers), width), dtype=np.uint8)
    text[:, : len(prefix)] = np.frombuffer(prefix.encode(), dtype=np.uint8)
    left = numbers.astype(np.int64)
    if missing is not None:
        left = np.where(missing, 0, left)
    for place in range(width - 1, len(prefix) - 1, -1):
        left, digit = np.divmod(left, 10)
        text[:, place] = digit + ord("0")
    offsets = np.arange(len(numbers) + 1, dtype=np.int32) * np.int32(width)
    buffers = [_validity(missing), pa.py_buffer(offsets), pa.py_buffer(text)]
    return pa.Array.from_buffers(pa.string(), len(numbers), buffers)


def words(codes: Any, vocabulary: Sequence[str], *, missing: Flags | None = None) -> Any:
    """Text from positions in a short vocabulary; null where `missing`."""
    return pa.array(list(vocabulary), pa.string()).take(pa.array(codes, pa.int64(), mask=missing))


def times(instants: Ints, *, missing: Flags | None = None) -> Any:
    """Timestamps in UTC, without a zone."""
    return pa.array(instants, pa.int64(), mask=missing).cast(pa.timestamp("us"))


def integers(values: Any, *, missing: Flags | None = None) -> Any:
    """32-bit integers."""
    return pa.array(np.asarray(values).astype(np.int32), mask=missing)


def money(cents: Ints, *, precision: int) -> Any:
    """Exact decimals of two places from whole cents."""
    pairs = np.empty((len(cents), 2), dtype="<i8")
    pairs[:, 0] = cents
    pairs[:, 1] = cents >> 63  # the sign fills the upper half
    kind = pa.decimal128(precision, 2)
    return pa.Array.from_buffers(kind, len(cents), [None, pa.py_buffer(pairs)])


class Sheet:
    """One Parquet file that is written in blocks; a context manager."""

    def __init__(self, path: Path, *, unique: Sequence[str] = ()) -> None:
        """Begin a file.

        Args:
            path: The file.
            unique: Columns whose values hardly repeat: a dictionary of them is wasted work.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._unique = set(unique)
        self._writer: Any = None
        self.rows = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()

    def write(self, columns: Mapping[str, Any]) -> None:
        """Append one block of rows."""
        table = pa.table(dict(columns))
        if self._writer is None:
            self._writer = pq.ParquetWriter(
                self._path,
                table.schema,
                compression="zstd",
                compression_level=_LEVEL,
                use_dictionary=[c for c in table.column_names if c not in self._unique],
            )
        self._writer.write_table(table, row_group_size=131_072)
        self.rows += table.num_rows


def write(path: Path, columns: Mapping[str, Any], *, unique: Sequence[str] = ()) -> int:
    """Write one whole file and return its number of rows."""
    with Sheet(path, unique=unique) as sheet:
        sheet.write(columns)
    return sheet.rows


UNKNOWN_PRODUCT = "order_lines_of_unknown_product"
DUPLICATE_ORDER = "duplicate_orders"
SCORE_ZERO = "satisfaction_answers_of_score_0"
NOT_OPENED = "tickets_without_opened_at"

FAULTS = {UNKNOWN_PRODUCT: 12, DUPLICATE_ORDER: 7, SCORE_ZERO: 9, NOT_OPENED: 5}
_SMALL = 0.1  # a demo smaller than this has one of each


def faulty_rows(plan: Plan, fault: str, possible: Flags) -> Ints:
    """Positions of the rows that get the fault, among those where it is possible."""
    places = np.flatnonzero(possible)
    count = min(len(places), 1 if plan.scale < _SMALL else FAULTS[fault])
    rng = plan.stream("faults " + fault)
    return np.sort(rng.choice(places, count, replace=False)).astype(np.int64)

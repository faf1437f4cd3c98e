"""Time the ledger at a million rows: publish 200,000 new values, verify, ask as known then.

    python benchmarks/ledger.py MANIFEST WAREHOUSE

The warehouse is copied first. The million rows are five publications of 200,000 values of one KPI,
as `publish` writes them; the sixth is timed, from the values in memory to the committed batch.
"""

from __future__ import annotations

import datetime as dt
import shutil
import sys
import tempfile
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

import cadran
from cadran.governance import publish as publishing
from cadran.governance.measure import Measured, Measurer
from cadran.governance.parts import Parts
from cadran.governance.verify import verify

ROWS, BATCHES, MEMBERS = 200_000, 5, 250
KPI, DIMENSION = "net_revenue", "customer__country"


def main(manifest: Path, warehouse: Path) -> None:
    """Print the three figures."""
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "warehouse.duckdb"
        shutil.copy(warehouse, database)
        layer = cadran.open(manifest=manifest, database=database)
        lock = Path(folder) / "kpi.lock"
        seconds = [0.0] * (BATCHES + 1)
        for number in range(BATCHES + 1):
            Measurer.measure = lambda _, kpi, __, n=number: iter([values(kpi, n)])  # type: ignore[method-assign]
            begun = time.perf_counter()
            done = publishing.publish(layer, [KPI], author="bench", lock=lock)
            seconds[number] = time.perf_counter() - begun
            assert done[0].rows == ROWS  # noqa: S101 - the figure below would mean nothing
            layer.close()
        print(f"publish {ROWS:,} new values onto {ROWS * BATCHES:,}: {seconds[-1]:.2f} s")
        begun = time.perf_counter()
        found = verify(layer, lock)
        print(f"verify {found.rows:,} rows: {time.perf_counter() - begun:.2f} s; {found.holds}")
        asked = []
        for _ in range(9):
            begun = time.perf_counter()
            layer.query(
                KPI, ["metric_time__day", DIMENSION], where=f"{DIMENSION} = 'm7'",
                known_at="2099-01-01", start="2024-12-01", end="2024-12-31",
            )  # fmt: skip
            asked.append(time.perf_counter() - begun)
        print(f"as known, a month of days of one member: {sorted(asked)[4] * 1000:.0f} ms")
        more = database.stat().st_size - warehouse.stat().st_size
        print(f"warehouse: {more / 1e6:.0f} MB more")


def values(kpi: str, number: int) -> Measured:
    """As many values as are published, other ones at each number."""
    rows = pa.array(range(ROWS))
    days = pc.divide(rows, MEMBERS)
    start = 20_000  # days since 1970: in October 2024, where the demo begins
    amounts = pc.cast(pc.add(rows, number + 1), pa.decimal128(19, 0))
    table = pa.table(
        {
            "metric_time__day": pc.cast(pc.cast(pc.add(days, start), pa.int32()), pa.date32()),
            DIMENSION: [f"m{row % MEMBERS}" for row in range(ROWS)],
            kpi: pc.cast(amounts, pa.decimal128(38, 2)),
        }
    )
    return Measured("day", (DIMENSION,), table, kpi, Parts(None, None, None))


if __name__ == "__main__":
    Measurer.bounds = lambda _: (dt.datetime(2024, 1, 1), dt.datetime(2030, 1, 1))  # type: ignore[method-assign]  # noqa: DTZ001
    Measurer.data_as_of = lambda *_: None  # type: ignore[method-assign]
    main(*map(Path, sys.argv[1:]))

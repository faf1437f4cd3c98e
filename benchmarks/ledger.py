"""Time the ledger at a million rows: publish 200,000 new values, verify, ask as known then.

    python benchmarks/ledger.py [TARGET WAREHOUSE]

It takes the built demo: the folder of dbt's artefacts and the warehouse file, which is copied. In
the copy the shop sells 250 categories of products on 800 days, so that net revenue by day and
category has 200,000 values; each publication finds all of them changed. Five make the million rows,
the sixth is timed: from reading the mart to the committed batch, and the part of it that is not
asking the layer. Everything runs as `cadran publish` runs it.
"""

from __future__ import annotations

import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import duckdb

import cadran
from cadran.core.ledger.verify import verify
from cadran.governance.publish import publish
from cadran.governance.values import Measurer

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")
DAYS, MEMBERS, PUBLICATIONS = 800, 250, 5
KPI, DIMENSION = "net_revenue", "product__category"
SETTINGS = f"kpis:\n  {KPI}: {{grains: [day], dimensions: [[{DIMENSION}]]}}\n"
SHOP = f"""
create or replace table marts.dim_products as
    select * replace (product_id || '-' || place as product_id, 'category ' || place as category)
    from (select * from marts.dim_products limit 1), range({MEMBERS}) as numbers (place);
create or replace table marts.fct_order_lines as
    select line.* replace (
        product.product_id as product_id, day as booked_date, cast(hash(day, category) % 90000
        as decimal(9, 2)) as amount)
    from (select * from marts.fct_order_lines limit 1) as line, marts.dim_products as product,
        (select cast(date '2024-08-23' + to_days(cast(place as integer)) as date) as day
        from range({DAYS}) as numbers (place)) as days;
"""


def main(target: Path = Path("target"), warehouse: Path = Path("warehouse.duckdb")) -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as folder:
        root, database = Path(folder), Path(folder) / f"{warehouse.stem}.duckdb"
        (root / "dbt_project.yml").write_text("name: bench\n")
        (root / "cadran_ledger.yml").write_text(SETTINGS)
        (root / "target").mkdir()
        for artefact in ("manifest.json", "semantic_manifest.json"):
            shutil.copy(target / artefact, root / "target")
        shutil.copy(warehouse, database)
        change(database, SHOP)
        asked = Stopwatch()
        Measurer.measure = asked.over(Measurer.measure)  # type: ignore[method-assign]
        for _ in range(PUBLICATIONS + 1):
            change(database, "update marts.fct_order_lines set amount = amount + 1")
            before = database.stat().st_size
            layer = cadran.open(root, database=database)
            asked.reset()
            whole = Stopwatch()
            done = whole.over(publish)(
                layer, [KPI], author="bench@example.com", incomplete="the shop of the bench"
            )  # fmt: skip
            assert done[0].rows == DAYS * MEMBERS  # noqa: S101 - the figures would mean nothing
            layer.close()
        more = (database.stat().st_size - before) / 1e6
        print(f"publish {DAYS * MEMBERS:,} new values onto {DAYS * MEMBERS * PUBLICATIONS:,}:")
        print(f"  {whole}, of which asking the layer {asked}; {more:.0f} MB more")
        layer = cadran.open(root, database=database)
        seen = Stopwatch()
        found = seen.over(verify)(layer.warehouse, root / "kpi.lock")
        print(f"verify {found.rows:,} rows: {seen}; {'holds' if found.holds else 'broken'}")
        for named, options in {
            "a month of days of one member": {"where": f"{DIMENSION} = 'category 7'"},
            "a month of days of 250 members": {},
        }.items():
            times = []
            for _ in range(15):
                known = Stopwatch()
                result = known.over(layer.query)(
                    KPI, ["metric_time__day", DIMENSION], known_at="2099-01-01",
                    start="2024-12-01", end="2024-12-31", **options,
                )  # fmt: skip
                times.append(known)
            middle = sorted(times, key=lambda each: each.seconds)[len(times) // 2]
            print(f"as known, {named} ({len(result):,} rows): {middle.shown('ms')}")


def change(database: Path, statement: str) -> None:
    """Run a statement in a connection of its own."""
    with duckdb.connect(database) as connection:
        connection.execute(statement)


class Stopwatch:
    """Adds up seconds and CPU seconds of calls."""

    def __init__(self) -> None:
        """Begin at nothing."""
        self.reset()

    def reset(self) -> None:
        """Back to nothing."""
        self.seconds = self.cpu = 0.0

    def over(self, function: Callable[P, T]) -> Callable[P, T]:
        """The function, timed; what it yields is taken at once."""

        def timed(*args: P.args, **kwargs: P.kwargs) -> T:
            begun, used = time.perf_counter(), _cpu()
            found = function(*args, **kwargs)
            if hasattr(found, "__next__"):
                found = iter(list(found))  # type: ignore[assignment, call-overload]
            self.seconds += time.perf_counter() - begun
            self.cpu += _cpu() - used
            return found

        return timed

    def shown(self, unit: str = "s") -> str:
        """As text in seconds or milliseconds."""
        if unit == "ms":
            return f"{self.seconds * 1000:.0f} ms ({self.cpu * 1000:.0f} ms CPU)"
        return f"{self.seconds:.2f} s ({self.cpu:.2f} s CPU)"

    def __str__(self) -> str:
        """In seconds."""
        return self.shown()


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))

"""Time the same statements on DuckDB and on Spark with one and with two workers, in one run.

    python benchmarks/spark.py [--rows 20000000] [--rounds 3]

Run it with the environment that `scripts/spark.sh setup` prints. The fact (an order a row:
instant, customer, channel, country, amount) is made by DuckDB as sixteen files of Parquet, which
both engines read; DuckDB reads its own table too. Each figure is the least of the rounds, in which
one engine is asked after the other, so that a machine that slows down slows both: seconds until the
answer, and in brackets seconds of all cores together, which other work on the machine changes less.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import math
import os
import shutil
import subprocess
import time
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import duckdb
from tabulate import tabulate

from cadran.core.warehouse import connect, spark

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

HERE = Path(__file__).resolve().parent
WORK = HERE.parent / "target" / "bench-spark"
SCRIPT = HERE.parent / "scripts" / "spark.sh"
FILES = 16

QUESTIONS = {
    "revenue by month": """select cast(date_trunc('month', ordered_at) as date) as m,
        sum(amount) as v from {orders} group by 1 order by 1""",
    "three metrics by week, channel": """select cast(date_trunc('week', ordered_at) as date) as w,
        channel, sum(amount) as v, count(*) as n, cast(sum(amount) as double) / count(*) as a
        from {orders} group by 1, 2 order by 1, 2""",
    "customers by month": """select cast(date_trunc('month', ordered_at) as date) as m,
        count(distinct customer_id) as n from {orders} group by 1 order by 1""",
    "one week, by country": """select country, sum(amount) as v from {orders}
        where ordered_at >= timestamp '2025-06-02' and ordered_at < timestamp '2025-06-09'
        group by 1 order by 1""",
    "median amount by country": """select country, {median} as v from {orders} group by 1
        order by 1""",
}


def make(rows: int) -> Path:
    """The files of the fact, and the same rows as a table of DuckDB."""
    folder = WORK / f"orders_{rows}"
    if (folder / "done").exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "orders").mkdir(parents=True)
    with duckdb.connect(str(folder / "warehouse.duckdb")) as connection:
        connection.execute("set TimeZone = 'UTC'; set threads = 2; set enable_progress_bar = false")
        connection.execute(
            f"""create table orders as select
                i as order_id,
                cast(hash(i, 1) % greatest({rows} // 25, 1) as bigint) as customer_id,
                timestamp '2024-01-01' + to_seconds(cast(i * (730.0 * 86400 / {rows}) as bigint))
                    as ordered_at,
                ['web', 'store', 'app', 'phone'][cast(1 + hash(i, 2) % 4 as bigint)] as channel,
                'country ' || hash(i, 3) % 30 as country,
                cast((hash(i, 4) % 50000) / 100 as decimal(18, 2)) as amount
            from range({rows}) as r (i)"""
        )
        for part in range(FILES):
            connection.execute(
                f"""copy (from orders where order_id >= {rows * part // FILES}
                and order_id < {rows * (part + 1) // FILES})
                to '{folder}/orders/part_{part:02}.parquet' (compression zstd)"""
            )
    (folder / "done").touch()
    return folder


class Engine(NamedTuple):
    """One engine, with the words by which it knows the fact and the median."""

    name: str
    ask: Callable[[str], pa.Table]
    orders: str
    median: str
    cpu: Callable[[], float]

    def timed(self, question: str) -> tuple[float, float, list[dict[str, Any]]]:
        """The seconds that a question takes, those of all cores together, and its rows."""
        sql = QUESTIONS[question].format(orders=self.orders, median=self.median)
        begun, used = time.perf_counter(), self.cpu()
        rows = self.ask(sql)
        return time.perf_counter() - begun, self.cpu() - used, rows.to_pylist()


def of_duckdb(folder: Path) -> list[Engine]:
    """DuckDB on its own table and on the files, with two threads."""
    connection = duckdb.connect(str(folder / "warehouse.duckdb"), read_only=True)
    connection.execute("set TimeZone = 'UTC'; set threads = 2; set enable_progress_bar = false")
    files = f"read_parquet('{folder}/orders/*.parquet')"

    def ask(sql: str) -> pa.Table:
        return connection.sql(sql).to_arrow_table()

    return [
        Engine(name, ask, orders, "median(cast(amount as double))", time.process_time)
        for name, orders in (("DuckDB, table", "orders"), ("DuckDB, Parquet", files))
    ]


def is_same(one: list[dict[str, Any]], other: list[dict[str, Any]]) -> bool:
    """Whether two answers are alike, numbers within a billionth: a mean is a decimal on Spark."""
    if len(one) != len(other):
        return False
    pairs = [
        pair
        for mine, theirs in zip(one, other, strict=True)
        for pair in zip(mine.values(), theirs.values(), strict=True)
    ]
    return all(
        math.isclose(a, b, rel_tol=1e-9) if isinstance(a, int | float | Decimal) else a == b
        for a, b in pairs
    )


def script(*arguments: object) -> str:
    """What the script of the cluster prints."""
    return subprocess.run(
        [SCRIPT, *map(str, arguments)], check=True, capture_output=True, text=True
    ).stdout


def cpu_of(cluster: Path) -> float:
    """The seconds of a core that a cluster has used: its Connect server, workers and executors."""
    groups = {file.read_text().strip() for file in cluster.glob("*.pid")}
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            fields = stat.read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12]) if fields[2] in groups else 0
    return ticks / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Print a table of seconds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    load = os.getloadavg()[0]
    folder = make(options.rows)
    best: dict[tuple[str, str], tuple[float, float]] = {}
    answers: dict[str, list[dict[str, Any]]] = {}

    def note(engine: Engine, question: str) -> None:
        took, used, rows = engine.timed(question)
        if not is_same(answers.setdefault(question, rows), rows):
            raise SystemExit(f"{engine.name} gives other rows for {question}.")
        key = (question, engine.name)
        least = best.get(key, (took, used))
        best[key] = (min(took, least[0]), min(used, least[1]))

    local, cluster = of_duckdb(folder), WORK / "cluster"
    url = script("start", cluster, 2).splitlines()[0].partition("=")[2]
    try:
        warehouse = connect(spark.remote(url), None)
        # The files say of their times that they have no zone.
        warehouse.arrow("set spark.sql.timestampType = TIMESTAMP_NTZ")
        for name in ("Spark, 2 workers", "Spark, 1 worker"):
            if name == "Spark, 1 worker":
                script("stop", cluster, "worker-2")
            remote = Engine(
                name, warehouse.arrow, f"parquet.`{folder}/orders`",
                "percentile(cast(amount as double), 0.5)", functools.partial(cpu_of, cluster),
            )  # fmt: skip
            remote.timed("revenue by month")  # the executors start
            for _ in range(options.rounds):
                for question in QUESTIONS:
                    for engine in (*local, remote):
                        note(engine, question)
        warehouse.close()
    finally:
        script("stop", cluster)
    names = sorted({name for _, name in best})
    table = [[q, *("{:.2f} ({:.2f})".format(*best[q, name]) for name in names)] for q in QUESTIONS]
    print(
        f"{options.rows:,} rows, least of {options.rounds} rounds: seconds (and those of all cores"
        f" together); load {load:.1f} at the beginning, {os.getloadavg()[0]:.1f} at the end"
    )
    print(tabulate(table, ["question", *names], disable_numparse=True, colalign=("left",)))


if __name__ == "__main__":
    main()

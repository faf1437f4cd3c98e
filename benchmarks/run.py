"""Time Cadran against hand-written SQL and `mf query` in one run; print ratios, not only seconds.

    python benchmarks/run.py [--orders N] [--rounds N]

The data (5 M orders, 200k customers, two years) is made by SQL in `target/bench`. Every figure is
a median; in-process figures alternate with the raw SQL that they are compared with, so that a
machine that slows down slows both.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tabulate import tabulate

import cadran
from cadran.core.layer import open_layer

if TYPE_CHECKING:
    from collections.abc import Callable

    from cadran.core.layer import Layer

HERE = Path(__file__).resolve().parent
WORK = HERE.parent / "target" / "bench"
TOOLS = Path(sys.executable).parent


class Question(NamedTuple):
    """One question, as Cadran and as a person who writes SQL would ask it."""

    name: str
    asked: dict[str, Any]
    sql: str


QUESTIONS = [
    Question(
        "revenue by month",
        {"metrics": ["revenue"], "group_by": ["metric_time__month"]},
        """select date_trunc('month', ordered_date) as month, sum(amount) as revenue
        from orders group by 1 order by 1""",
    ),
    Question(
        "3 metrics by week, channel",
        {
            "metrics": ["revenue", "order_count", "margin_rate"],
            "group_by": ["metric_time__week", "order_id__channel"],
        },
        """select date_trunc('week', ordered_date) as week, channel, sum(amount) as revenue,
            count(order_id) as order_count,
            cast(sum(amount - cost) as double)
                / cast(nullif(sum(amount), 0) as double) as margin_rate
        from orders group by 1, 2 order by 1, 2""",
    ),
    Question(
        "revenue by segment, month",
        {"metrics": ["revenue"], "group_by": ["metric_time__month", "customer__segment"]},
        """select date_trunc('month', ordered_date) as month, segment, sum(amount) as revenue
        from orders left join customers using (customer_id) group by 1, 2 order by 1, 2""",
    ),
    Question(
        "cumulative revenue by day",
        {"metrics": ["revenue_to_date"], "group_by": ["metric_time__day"]},
        """select ordered_date as day, sum(sum(amount)) over (order by ordered_date) as revenue
        from orders group by 1 order by 1""",
    ),
    Question(
        "one day, one country",
        {
            "metrics": ["revenue"],
            "group_by": ["metric_time__day"],
            "where": ["{{ Dimension('order_id__country') }} = 'FR'"],
            "start": "2025-03-14",
            "end": "2025-03-14",
        },
        """select ordered_date as day, sum(amount) as revenue
        from orders where ordered_date = date '2025-03-14' and country = 'FR' group by 1""",
    ),
    Question(
        "by week and channel, of instants",
        {"metrics": ["sold"], "group_by": ["metric_time__week", "sale__channel"]},
        """select date_trunc('week', sold_at) as week, channel, sum(amount) as sold
        from sales group by 1, 2 order by 1, 2""",
    ),
    Question(
        "one day, one country, of instants",
        {
            "metrics": ["sold"],
            "group_by": ["metric_time__day"],
            "where": ["{{ Dimension('sale__country') }} = 'FR'"],
            "start": "2025-03-14",
            "end": "2025-03-14",
        },
        """select cast(sold_at as date) as day, sum(amount) as sold
        from sales where sold_at >= date '2025-03-14' and sold_at < date '2025-03-15'
            and country = 'FR' group by 1""",
    ),
]


# Answered from the pre-aggregates of the bench project.
SUMMED = ("revenue by month", "3 metrics by week, channel", "revenue by segment, month",
          "cumulative revenue by day")  # fmt: skip


def timed(work: Callable[[], object]) -> float:
    """Seconds of one call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def run(command: list[str], environment: dict[str, str], cwd: Path) -> None:
    """Run a command to its end; its output is shown when it fails."""
    done = subprocess.run(
        command, env=environment, cwd=cwd, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


def arguments(asked: dict[str, Any], names: dict[str, str], joiner: str | None) -> list[str]:
    """The question as words of a command line; lists joined, or spread when joiner is None."""
    words: list[str] = []
    for key, value in asked.items():
        values = value if isinstance(value, list) else [value]
        flag = names[key]
        words += ([flag] if flag else []) + ([joiner.join(values)] if joiner else values)
    return words


def build(orders: int) -> dict[str, str]:
    """Build the bench warehouse; returns the environment in which every command runs."""
    shutil.rmtree(WORK, ignore_errors=True)
    shutil.copytree(HERE / "project", WORK)
    # The package marks when each model was built, which pre-aggregates are proved by.
    package = WORK / "dbt_packages" / "cadran"
    for part in ("macros", "tests/generic"):
        shutil.copytree(HERE.parent / part, package / part)
    shutil.copy(HERE.parent / "dbt_project.yml", package)
    environment = os.environ | {
        "CADRAN_DATABASE": str(WORK / "bench.duckdb"),
        "DBT_PROFILES_DIR": str(WORK),
        "DO_NOT_TRACK": "1",
    }
    variables = json.dumps({"orders": orders, "customers": max(orders // 25, 10)})
    run([str(TOOLS / "dbt"), "--quiet", "build", "--vars", variables], environment, WORK)
    return environment


def in_process(rounds: int) -> tuple[list[list[object]], float, float]:
    """Time the questions against raw SQL; rows of the table, mean ratio, worst tiny ratio."""
    rows: list[list[object]] = []
    ratios: list[float] = []
    layer = facts()
    raw = cadran.open(WORK, database=WORK / "bench.duckdb").warehouse
    for question in QUESTIONS:
        shutil.rmtree(WORK / "target" / "cadran", ignore_errors=True)
        cold_layer = facts()
        cold = timed(lambda asked=question.asked, of=cold_layer: of.query(**asked).to_arrow())
        fresh = facts(plan_cache=False)
        fresh.sql(**QUESTIONS[0].asked)
        compiled = timed(lambda asked=question.asked, of=fresh: of.sql(**asked))
        for _ in range(2):
            layer.query(**question.asked).to_arrow()
            raw.arrow(f"with {raw_tables()} {question.sql}")
        ours, theirs = [], []
        for _ in range(rounds):
            theirs.append(timed(lambda sql=question.sql: raw.arrow(f"with {raw_tables()} {sql}")))
            ours.append(timed(lambda asked=question.asked: layer.query(**asked).to_arrow()))
        ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
        ratios.append(ratio)
        rows.append(
            [question.name]
            + [1000 * x for x in (statistics.median(theirs), statistics.median(ours))]
            + [ratio, 1000 * cold, 1000 * compiled]
        )
    mean = math.exp(statistics.fmean(math.log(ratio) for ratio in ratios))
    tiny = [ratio for row, ratio in zip(rows, ratios, strict=True) if "one day" in str(row[0])]
    return rows, mean, max(tiny)


def facts(*, plan_cache: bool = True) -> Layer:
    """The layer of the bench project, without its pre-aggregates."""
    database = WORK / "bench.duckdb"
    return open_layer(WORK, database=database, plan_cache=plan_cache, is_routed=False)


def summed(rounds: int) -> list[list[object]]:
    """Time the questions that pre-aggregates answer, against raw SQL over the facts.

    Rows are equal to those of the facts, or there is no figure.
    """
    layer = cadran.open(WORK, database=WORK / "bench.duckdb")
    plain = facts()
    raw = cadran.open(WORK, database=WORK / "bench.duckdb").warehouse
    rows: list[list[object]] = []
    for question in QUESTIONS:
        if question.name not in SUMMED:
            continue
        result = layer.query(**question.asked)
        if not result.to_arrow().equals(plain.query(**question.asked).to_arrow()):
            sys.exit(f"{question.name}: {result.source} gives other rows than the fact")
        sql = f"with {raw_tables()} {question.sql}"
        ours, theirs = [], []
        for _ in range(rounds):
            theirs.append(timed(lambda text=sql: raw.arrow(text)))
            ours.append(timed(lambda asked=question.asked: layer.query(**asked).to_arrow()))
        ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
        medians = [1000 * statistics.median(times) for times in (theirs, ours)]
        rows.append([question.name, result.source, *medians, ratio])
    return rows


def raw_tables() -> str:
    """The tables under short names, for the hand-written SQL."""
    names = ("orders", "customers", "sales")
    return ", ".join(f"{name} as (from bench.bench.{name})" for name in names)


def whole_processes(environment: dict[str, str], rounds: int) -> list[list[object]]:
    """Time whole commands: `mf query` against `cadran query`, without and with its plan cached."""
    names = {"metrics": "", "group_by": "--group-by", "where": "--where"}
    names |= {"start": "--start", "end": "--end"}
    mf_names = names | {"metrics": "--metrics", "start": "--start-time", "end": "--end-time"}
    rows: list[list[object]] = []
    for question in QUESTIONS:
        ours = [str(TOOLS / "cadran"), "query", *arguments(question.asked, names, None)]
        theirs = [str(TOOLS / "mf"), "query", *arguments(question.asked, mf_names, ",")]
        peer, uncached, cached = [], [], []
        for _ in range(rounds):
            peer.append(timed(lambda words=theirs: run(words, environment, WORK)))
            shutil.rmtree(WORK / "target" / "cadran", ignore_errors=True)
            uncached.append(timed(lambda words=ours: run(words, environment, WORK)))
            cached.append(timed(lambda words=ours: run(words, environment, WORK)))
        mf, first, again = map(statistics.median, (peer, uncached, cached))
        rows.append([question.name, mf, first, again, first / mf, again / mf])
    return rows


def startup(environment: dict[str, str], rounds: int) -> list[list[object]]:
    """Time what a person waits for before anything is asked."""
    empty = [sys.executable, "-c", "pass"]
    bare = statistics.median(timed(lambda: run(empty, environment, WORK)) for _ in range(rounds))
    imported = statistics.median(
        timed(lambda: run([sys.executable, "-c", "import cadran"], environment, WORK))
        for _ in range(rounds)
    )
    help_page = statistics.median(
        timed(lambda: run([str(TOOLS / "cadran"), "--help"], environment, WORK))
        for _ in range(rounds)
    )
    return [
        ["cadran --help, whole process", help_page],
        ["import cadran, over a bare interpreter", imported - bare],
    ]


def thousand_metrics() -> list[list[object]]:
    """Time opening and listing a project of a thousand metrics, before and after it is cached."""
    folder = WORK / "thousand"
    (folder / "target").mkdir(parents=True, exist_ok=True)
    manifest = json.loads((WORK / "target" / "semantic_manifest.json").read_text())
    ratio = next(metric for metric in manifest["metrics"] if metric["name"] == "margin_rate")
    for number in range(1000 - len(manifest["metrics"])):
        manifest["metrics"].append(ratio | {"name": f"margin_rate_{number}"})
    path = folder / "target" / "semantic_manifest.json"
    path.write_text(json.dumps(manifest))

    program = (
        "import sys, time; started = time.perf_counter(); import cadran;"
        f"layer = cadran.open(manifest={str(path)!r}, database={str(WORK / 'bench.duckdb')!r});"
        "assert len(layer.metrics()) == 1000; print(time.perf_counter() - started)"
    )

    def once() -> float:
        return float(subprocess.check_output([sys.executable, "-c", program]))

    cold = once()
    return [["1,000 metrics: open and list, cold", cold], ["... cached", once()]]


def main() -> int:
    """Run every part and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--orders", type=int, default=5_000_000)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--part", choices=("all", "summed"), default="all")
    options = parser.parse_args()

    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()};"
        f" {options.orders:,} orders",
        flush=True,
    )
    environment = build(options.orders)
    if options.part == "all":
        rows, mean, tiny = in_process(options.rounds)
        print("\nIn process, to Arrow (ms)")
        heads = ["question", "raw SQL", "warm", "warm / raw", "cold", "compile alone"]
        print(tabulate(rows, heads, floatfmt=("", ".1f", ".1f", ".2f", ".1f", ".1f")))
        print(
            f"geometric mean of warm / raw: {mean:.2f} (wanted <= 1.00); tiny: {tiny:.2f} (<= 1.5)"
        )

    print("\nFrom pre-aggregates, in process (ms)", flush=True)
    heads = ["question", "reads", "raw SQL", "warm", "warm / raw"]
    print(tabulate(summed(options.rounds), heads, floatfmt=("", "", ".1f", ".1f", ".3f")))
    print("wanted: warm / raw <= 0.05")
    if options.part == "summed":
        return 0

    print("\nWhole process (s)", flush=True)
    heads = ["question", "mf query", "cadran, first", "cadran, again", "first / mf", "again / mf"]
    rows = whole_processes(environment, max(options.rounds // 5, 1))
    print(tabulate(rows, heads, floatfmt=("", ".2f", ".2f", ".2f", ".3f", ".3f")))
    print("wanted: first / mf <= 0.333, again / mf <= 0.125")

    print("\nStart (s)")
    rows = startup(environment, 7) + thousand_metrics()
    print(tabulate(rows, ["what", "seconds"], floatfmt=("", ".3f")))
    print("wanted: help <= 0.25, import <= 0.08, 1,000 metrics <= 3 cold and <= 0.3 cached")
    return 0


if __name__ == "__main__":
    sys.exit(main())

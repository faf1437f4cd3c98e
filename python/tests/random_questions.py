"""Random questions over any semantic manifests: Cadran's rows are those of MetricFlow's own SQL.

    python python/tests/random_questions.py --database FILE [--questions N] [--seed N] MANIFEST...
    python python/tests/random_questions.py --schema FILE.sql ...   # makes the database itself

A MANIFEST is a semantic manifest or a folder of them. Each question is asked of `Layer.query`, and
of the warehouse by the SQL that MetricFlow writes for it. Where they differ because MetricFlow's
statement is one that Cadran corrects (see `cadran.core.compiler.corrections`), the question is
counted under that name, once its rows are those of the corrected statement; anything else is
printed, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb

import cadran
from cadran.core.compiler.corrections import corrected
from cadran.core.query.request import GRAINS, ask
from cadran.errors import CadranError

DIALECT = "duckdb"


class Asker:
    """Random questions of one manifest; the same ones for the same seed."""

    def __init__(self, layer, seed):
        self.layer = layer
        self.random = random.Random(seed)  # noqa: S311 - it only has to be repeatable
        self.names = sorted(layer.metric_graph.metrics)
        self._values = {}

    def question(self):
        """Arguments of `Layer.query`."""
        of = self.random
        metrics = of.sample(self.names, min(of.choice((1, 1, 1, 2, 3)), len(self.names)))
        dimensions = self.layer.dimensions(metrics, governed=False)
        times = [d["name"] for d in dimensions if d["type"] == "time"]
        plain = [d["name"] for d in dimensions if d["type"] != "time"]
        groups = of.sample(plain, min(of.choice((0, 0, 1, 1, 2)), len(plain)))
        if "metric_time" in times and of.random() < 0.7:
            groups.append(f"metric_time__{self.grain()}")
        elif times and of.random() < 0.3:
            groups.append(f"{of.choice(times)}__{self.grain()}")
        of.shuffle(groups)
        asked = {"metrics": metrics, "group_by": groups, "governed": False}
        if plain and of.random() < 0.5:
            asked["where"] = [self.filter(of.choice(plain), metrics)]
        if of.random() < 0.4:
            first = self.day(metrics)
            asked |= {"start": f"{first}", "end": f"{first + timedelta(of.randrange(120))}"}
        if groups and of.random() < 0.2:  # by all that is grouped: else a limit is undetermined
            asked |= {"order_by": [of.choice(("", "-")) + g for g in groups]}
            asked |= {"limit": of.randrange(1, 20)}
        return {name: value for name, value in asked.items() if value is not None}

    def grain(self):
        return self.random.choice(GRAINS[GRAINS.index("day") :])

    def filter(self, dimension, metrics):
        values = self.values(dimension, metrics)
        if not values or self.random.random() < 0.2:
            return f"{dimension} is not null"
        chosen = self.random.sample(values, min(self.random.randrange(1, 4), len(values)))
        texts = ", ".join(map(literal, chosen))
        return f"{dimension} in ({texts})"

    def values(self, dimension, metrics):
        if dimension not in self._values:
            try:
                found = self.layer.dimension_values(dimension, metrics, governed=False)
            except CadranError:
                found = []
            kinds = (str, int, bool)
            self._values[dimension] = [v for v in found[:200] if isinstance(v, kinds)]
        return self._values[dimension]

    def day(self, metrics):
        """A day of the data of a metric, or near it."""
        try:
            reaches = self.layer.reaches.of(metrics[0])
        except CadranError:
            reaches = []
        first = min((r.first for r in reaches), default=datetime(2020, 1, 1))  # noqa: DTZ001
        last = max((r.last for r in reaches), default=first)
        return first.date() + timedelta(self.random.randrange(max((last - first).days, 1) + 10) - 5)


def literal(value):
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else f"{value}"


def normal(value):
    if isinstance(value, datetime):
        return (2, value.replace(tzinfo=None).isoformat())
    if isinstance(value, date):
        return (2, f"{value}T00:00:00")
    if isinstance(value, bool | int | float | Decimal):
        number = float(value)
        return (1, number) if math.isfinite(number) else (0, 0)
    return (0, 0) if value is None else (3, str(value))


def rows_of(table, columns):
    rows = [tuple(normal(row[name]) for name in columns) for row in table.to_pylist()]
    return sorted(rows, key=lambda row: [(k, float(f"{v:.6g}") if k == 1 else v) for k, v in row])


def equal(ours, theirs):
    return len(ours) == len(theirs) and all(
        a[0] == b[0]
        and (math.isclose(a[1], b[1], rel_tol=1e-9, abs_tol=1e-9) if a[0] == 1 else a[1] == b[1])
        for mine, other in zip(ours, theirs, strict=True)
        for a, b in zip(mine, other, strict=True)
    )


def outcome(layer, asked):
    """What came of a question: a name under which it is counted, and what differs, if it does."""
    query = layer.resolved(ask(**asked))
    if not any(group.base == "metric_time" for group in query.group_by):
        query = layer.ranges.widened(query)  # the range of the answer, as its note says
    try:
        plain = layer.plain_sql(replace(query, where=layer.conditions(query.where)))
        theirs = layer.warehouse.arrow(plain)
    except CadranError as error:
        plain, theirs = None, error
    try:
        ours = layer.query(**asked).to_arrow()
    except CadranError as error:
        if plain is None:
            return "refused by both", None
        is_said = "MetricFlow" not in str(error) and "warehouse" not in str(error)
        return ("refused by a rule", None) if is_said else ("only we fail", str(error))
    if plain is None:
        return "answered where MetricFlow's statement fails", None
    rows = rows_of(ours, ours.column_names)
    if equal(rows, rows_of(theirs, ours.column_names)):
        return "equal", None
    same_days = any(map(layer.is_kpi, query.metrics))
    better = corrected(plain, query, DIALECT, same_days=same_days)
    if better != plain and equal(rows, rows_of(layer.warehouse.arrow(better), ours.column_names)):
        return f"corrected: {correction(better, query)}", None
    return "different", f"{rows[:3]} and {rows_of(theirs, ours.column_names)[:3]}"


def correction(sql, query):
    if "mf_internal_uuid" in sql:
        return "ties of conversions"
    return "counts of nothing" if not query.group_by else "days that another month lacks"


def run(layers, questions, seed, report=print):
    """Ask so many questions of the layers in turn; how many came out how."""
    askers = [Asker(layer, f"{seed} {at}") for at, layer in enumerate(layers)]
    counts = Counter()
    for number in range(questions):
        asker = askers[number % len(askers)]
        asked = asker.question()
        try:
            name, difference = outcome(asker.layer, asked)
        except Exception as error:  # noqa: BLE001 - a question that nobody foresaw
            name, difference = "error", f"{type(error).__name__}: {error}"
        counts[name] += 1
        if difference:
            report(f"{name}: {asked}\n    {difference[:600]}")
    return counts


def manifests(paths):
    for path in map(Path, paths):
        yield from sorted(path.glob("*.json")) if path.is_dir() else [path]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("manifests", nargs="+", metavar="MANIFEST")
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--database", help="the DuckDB file")
    place.add_argument("--schema", help="SQL that makes the tables, run in its own folder")
    parser.add_argument("--questions", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    paths, database = [path.resolve() for path in manifests(options.manifests)], options.database
    if options.schema:
        database = Path(tempfile.mkdtemp()) / "cases.duckdb"
        schema = Path(options.schema).resolve()
        os.chdir(schema.parent)
        with duckdb.connect(str(database)) as connection:
            connection.execute(schema.read_text(encoding="utf-8"))
    started = time.time()
    layers = [cadran.open(manifest=p, database=database, plan_cache=False) for p in paths]
    counts = run(layers, options.questions, options.seed)
    lines = [f"{count:7,}  {name}" for name, count in counts.most_common()]
    took = f"{options.questions:7,}  questions, seed {options.seed}, {time.time() - started:.0f} s"
    sys.stdout.write("\n".join([*lines, took, ""]))
    return 1 if counts["different"] + counts["only we fail"] + counts["error"] else 0


if __name__ == "__main__":
    sys.exit(main())

"""Random questions over any semantic manifests: Cadran's rows are those of MetricFlow's own SQL.

    python python/tests/random_questions.py [--database FILE MANIFEST] [--suite FOLDER] ...

Asked are the definitions of a built project, and each of those in the folder `semantic_manifests`
of a suite, over the tables that its `schema.sql` makes: MetricFlow's own suite is such a one. Each
question is asked of `Layer.query`, and of the warehouse by the SQL that MetricFlow writes for it.
Where they differ because MetricFlow's statement is one that Cadran corrects (see
`cadran.core.compiler.corrections`), the question is counted under that name, once its rows are
those of the corrected statement; anything else is printed, and the exit status is 1.

The questions come in parts. With `--record`, each part is written down when it was asked, and one
that stands there for the same seed is not asked again: a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
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
PART = 500


class Asker:
    """Random questions of one manifest; the same ones for the same seed."""

    def __init__(self, layer, name):
        self.layer, self.name = layer, name
        self.random = random.Random(name)  # noqa: S311 - it only has to be repeatable
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


def run(askers, questions, seed, report=print):
    """Ask so many questions in turn; how many of each manifest came out how."""
    counts = Counter()
    for asker in askers:
        asker.random.seed(f"{seed} {asker.name}")
    for number in range(questions):
        asker = askers[number % len(askers)]
        asked = asker.question()
        try:
            outcome_name, difference = outcome(asker.layer, asked)
        except Exception as error:  # noqa: BLE001 - a question that nobody foresaw
            outcome_name, difference = "error", f"{type(error).__name__}: {error}"
        counts[asker.name, outcome_name] += 1
        if difference:
            report(f"{asker.name}, {outcome_name}: {asked}\n    {difference[:600]}")
    return counts


def recorded(file, seed, names):
    """The parts that were asked already, with what came of them."""
    lines = file.read_text(encoding="utf-8").splitlines() if file and file.exists() else []
    parts = [part for part in map(json.loads, lines) if part["of"] == [seed, *names]]
    return {
        tuple(part["part"]): Counter({(m, o): n for m, o, n in part["counts"]}) for part in parts
    }  # fmt: skip


def in_parts(askers, questions, seed, file):
    """Ask part by part; yields of each its number, the counts, and whether they stood there."""
    names = [asker.name for asker in askers]
    known = recorded(file, seed, names)
    for first in range(0, questions, PART):
        part = first, min(PART, questions - first)
        if part in known:
            yield part, known[part], True
            continue
        counts = run(askers, part[1], f"{seed} {first}", say)
        if file:
            came = [[*names, count] for names, count in counts.items()]
            line = {"of": [seed, *names], "part": part, "counts": came}
            with file.open("a", encoding="utf-8") as record:
                record.write(json.dumps(line) + "\n")
        yield part, counts, False


def say(text):
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def manifests(paths):
    for path in map(Path, paths):
        yield from sorted(path.glob("*.json")) if path.is_dir() else [path]


def opened(options):
    """The manifests by name, each with a layer over its warehouse."""
    if options.manifest:
        layer = cadran.open(
            manifest=options.manifest, database=options.database, plan_cache=False
        )  # fmt: skip
        yield Asker(layer, "project")
    if options.suite:
        suite = Path(options.suite).resolve()
        database = Path(tempfile.mkdtemp()) / "cases.duckdb"
        with contextlib.chdir(suite), duckdb.connect(str(database)) as connection:
            connection.execute((suite / "schema.sql").read_text(encoding="utf-8"))
        for manifest in manifests([suite / "semantic_manifests"]):
            layer = cadran.open(manifest=manifest, database=database, plan_cache=False)
            yield Asker(layer, manifest.stem)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("manifest", nargs="?", help="the semantic manifest of a built project")
    parser.add_argument("--database", help="its DuckDB file")
    parser.add_argument("--suite", help="a folder of manifests with the tables that they read")
    parser.add_argument("--questions", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--record", type=Path, help="where the parts are written down")
    options = parser.parse_args()
    askers = list(opened(options))
    if not askers:
        parser.error("name a manifest, a suite, or both")
    started, counts, earlier = time.time(), Counter(), 0
    parts = in_parts(askers, options.questions, options.seed, options.record)
    for (first, _), of_part, was_known in parts:
        counts += of_part
        earlier += of_part.total() if was_known else 0
        if not was_known:
            say(f"from {first:,}: {counts.total():,} questions, {time.time() - started:.0f} s")
    return summary(counts, f"seed {options.seed}, {earlier:,} of an earlier run")


def summary(counts, run_name):
    """Say what came of all questions; the exit status."""
    outcomes, sources = Counter(), Counter()
    for (manifest, outcome_name), count in counts.items():
        outcomes[outcome_name] += count
        sources[manifest] += count
    for names in (sources, outcomes):
        say("\n".join(f"{count:7,}  {name}" for name, count in names.most_common()))
    say(f"{counts.total():7,}  questions, {run_name}")
    return 1 if outcomes["different"] + outcomes["only we fail"] + outcomes["error"] else 0


if __name__ == "__main__":
    sys.exit(main())

"""Pre-aggregates of each fact of any semantic manifest, and questions asked with and without them.

    python python/tests/preaggregated.py --database FILE [--questions N] [--seed N] MANIFEST...
    python python/tests/preaggregated.py --schema FILE.sql [--cases FILE.json.gz] MANIFEST...

Of each fact by day, by week and by month one is written, by the dimensions that have few values. A
question is asked of two layers, of which one reads no pre-aggregate; both must give the same rows
in the same types, or the same refusal. The exit status is 1 where they do not.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import duckdb
import random_questions

import cadran
from cadran.core.layer import Layer, open_layer
from cadran.core.project.artifacts import Project
from cadran.core.routing import Router
from cadran.core.semantics import preaggregates
from cadran.core.warehouse.duckdb import DuckDB
from cadran.errors import CadranError

SCHEMA = "preaggregated"
GRAINS = ("day", "week", "month")
MOST_VALUES = 60
MOST_ROWS = 0.7  # of a fact, else it is not worth a pre-aggregate


class Unmarked(Router):
    """A router of tables that no dbt built: they are looked at, and not at marks of builds."""

    preaggregates = ()

    def _marks(self):
        return {}, frozenset()

    def _observed(self, item, seen):
        return self._compared(item, seen)


def pair(manifest, database, seed=1):
    """A layer with pre-aggregates of its facts, made here in its database, and one without."""
    layer = open_layer(manifest=manifest, database=database, is_routed=False)
    of = random.Random(seed)  # noqa: S311 - it only has to be repeatable
    catalog = layer.project.database_alias or Path(database).stem
    saved = {}
    for fact, leaves in facts(layer).items():
        dimensions = few_valued(layer, leaves)
        for grain in GRAINS:
            some = dimensions if grain == "day" else of.sample(dimensions, len(dimensions) // 2)
            name = f"{fact.model}_{fact.time}_by_{grain}"
            groups = [f"Dimension('{dimension}')" for dimension in some]
            saved[name] = {
                "name": name, "label": None, "description": None, "original_file_path": "here",
                "query_params": {
                    "metrics": leaves, "where": None, "order_by": [], "limit": None,
                    "group_by": [f"TimeDimension('metric_time', '{grain}')", *groups],
                },
            }  # fmt: skip
    text = layer.project.semantic_manifest | {"saved_queries": [*saved.values()]}
    model = Layer(project_of(layer, text), opened=layer.warehouse, is_routed=False)
    found, statements = [], []
    for name, query in saved.items():
        try:
            item = preaggregates.of(model, query)
        except CadranError:
            continue  # it has no sums, or periods longer than these
        table = f'"{catalog}"."{SCHEMA}"."{name}"'
        relation = {
            "alias": name, "schema_name": SCHEMA, "database": catalog, "relation_name": table,
        }  # fmt: skip
        statements.append(f"create table {table} as {preaggregates.sql_of(layer, item)}")
        found.append(replace(item, relation=relation))
    layer.close()
    made = run(database, catalog, statements)
    plain = open_layer(manifest=manifest, database=database, is_routed=False)
    routed = Layer(Project(Path(manifest), Path(database), None), opened=plain.warehouse)
    routed.router = Unmarked(routed, lambda: plain.warehouse, routed.over)
    routed.router.preaggregates = tuple(
        item for item, is_made in zip(found, made, strict=True) if is_made
    )
    return routed, plain


def project_of(layer, manifest):
    own = layer.project
    text = json.dumps(manifest).encode()
    return Project(own.semantic_manifest_path, own.database, own.root, text=text)


def facts(layer):
    """The facts of a manifest with the simple metrics that count them and add up."""
    graph = layer.metric_graph
    found = {}
    for name in sorted(graph.metrics):
        aggregation = graph.aggregation(name)
        if aggregation and aggregation["agg"] in (*preaggregates.SUMMING, "min", "max"):
            fact = preaggregates.fact_of(layer, name)
            found.setdefault(fact, []).append(name)
    return found


def few_valued(layer, leaves):
    """Dimensions of a fact by which few groups come about."""
    names = [d["name"] for d in layer.dimensions(leaves, governed=False)
             if d["type"] == "categorical"]  # fmt: skip
    few = []
    for name in names:
        try:
            values = layer.dimension_values(name, leaves[:1], governed=False)
        except CadranError:
            continue
        if len(values) <= MOST_VALUES:
            few.append(name)
    return few[:5]


def run(database, catalog, statements):
    """Run statements that make tables; whether each could be run."""
    made = []
    with DuckDB(Path(database), catalog).writing(10) as connection:
        connection.execute(f"create schema {SCHEMA}")
        for statement in statements:
            try:
                connection.execute(statement)
            except duckdb.Error:
                made.append(False)  # MetricFlow's own statement fails over these tables
            else:
                made.append(True)
    return made


def outcome(routed, plain, asked):
    """How a question came out, and what differs between the two layers, if anything."""
    sides = []
    for layer in (routed, plain):
        try:
            result = layer.query(**asked)
            table = result.to_arrow()
            rows = random_questions.rows_of(table, table.column_names)
            sides.append((table.schema, rows, result.source))
        except CadranError as error:
            sides.append((None, str(error), ""))
    (schema, rows, source), (other_schema, other_rows, _) = sides
    name = "routed" if "pre-aggregate" in source else "by facts"
    name = name if schema is not None else "refused"
    if schema != other_schema:
        return "different", f"{schema or rows} and {other_schema or other_rows}"
    # A fact's sums of floating-point numbers differ from run to run; no pre-aggregate has such.
    is_alike = name == "by facts" and random_questions.equal(rows, other_rows)
    is_same = is_alike or rows == other_rows
    if not is_same:
        return "different", f"{source}: {rows[:3]} and {other_rows[:3]}"
    return name, None


def ask_all(pairs, questions, seed, report=print):
    """Ask so many random questions of pairs of layers in turn; how many came out how."""
    askers = [random_questions.Asker(plain, f"{seed} {at}") for at, (_, plain) in enumerate(pairs)]
    counts = Counter()
    for number in range(questions):
        routed, plain = pairs[number % len(pairs)]
        asked = askers[number % len(pairs)].question()
        name, difference = outcome(routed, plain, asked)
        counts[name] += 1
        if difference:
            report(f"{name}: {asked}\n    {difference[:900]}")
    return counts


def ask_cases(pairs, cases, report=print):
    """Ask the cases of MetricFlow's own suite of pairs of layers, by the names of manifests."""
    counts = Counter()
    for case in cases:
        asked = {"where": [case["where"]] if case["where"] else [], "order_by": case["order_by"]}
        groups = [*case["group_bys"], *(cadran.GroupBy(**g) for g in case["group_by_objs"])]
        asked |= {name: value for name, value in (
            ("saved_query", case["saved_query"]), ("metrics", case["metrics"]),
            ("group_by", groups), ("limit", case["limit"]),
        ) if value}  # fmt: skip
        if case["time_constraint"]:
            asked["start"], asked["end"] = case["time_constraint"]
        asked["min_max_only"] = bool(case["min_max_only"])
        asked["apply_group_by"] = bool(case["apply_group_by"])
        name, difference = outcome(*pairs[case["manifest"]], asked)
        counts[name] += 1
        if difference:
            report(f"{name}: {case['id']}\n    {difference[:900]}")
    return counts


def pairs_of(paths, database=None, schema=None):
    """Pairs of layers by the names of manifests, over a copy of a database or a new one."""
    home = Path(tempfile.mkdtemp(prefix="cadran-preaggregated-"))
    pairs = {}
    for at, path in enumerate(paths):
        folder = home / str(at)
        folder.mkdir()
        own = folder / (Path(database).name if database else "cases.duckdb")
        if database:
            shutil.copyfile(database, own)
        else:
            before = Path.cwd()
            os.chdir(Path(schema).parent)
            with duckdb.connect(str(own)) as connection:
                connection.execute(Path(schema).read_text(encoding="utf-8"))
            os.chdir(before)
        pairs[Path(path).stem] = pair(Path(path), own)
    return pairs


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("manifests", nargs="+", metavar="MANIFEST")
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--database", help="the DuckDB file, of which a copy is asked")
    place.add_argument("--schema", help="SQL that makes the tables, run in its own folder")
    parser.add_argument("--cases", help="the cases of MetricFlow's suite as well")
    parser.add_argument("--questions", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    paths = [path.resolve() for path in random_questions.manifests(options.manifests)]
    started = time.time()
    pairs = pairs_of(paths, options.database, options.schema and Path(options.schema).resolve())
    counts = ask_all(list(pairs.values()), options.questions, options.seed)
    if options.cases:
        with gzip.open(options.cases) as file:
            counts += ask_cases(pairs, json.load(file))
    lines = [f"{count:7,}  {name}" for name, count in counts.most_common()]
    tables = sum(len(routed.router.preaggregates) for routed, _ in pairs.values())
    took = f"{counts.total():7,}  questions, {tables} pre-aggregates, {time.time() - started:.0f} s"
    sys.stdout.write("\n".join([*lines, took, ""]))
    return 1 if counts["different"] or not counts["routed"] else 0


if __name__ == "__main__":
    sys.exit(main())

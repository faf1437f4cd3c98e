"""What changes a KPI's meaning is noticed, with its cause; what does not, is not."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

import cadran
from cadran.core.project.artifacts import Project
from cadran.core.project.graph import Graph
from cadran.core.versions.compare import between
from cadran.core.versions.definition import Definition
from cadran.core.versions.fingerprint import Fingerprint
from cadran.core.versions.meaning import SemanticFingerprints
from cadran.core.versions.side_effects import side_effects

PROJECT = Path(__file__).parent / "fixtures" / "meanings"
REVENUES = {
    "revenue",
    "average_order_value",
    "web_revenue",
    "revenue_month_to_date",
    "revenue_growth",
}
ORDERS = {*REVENUES, "conversion"}
KPIS = {*ORDERS, "stock", "visits"}
COUNTRIES = {"revenue", "average_order_value", "web_revenue", "visits"}


class Bench:
    """A small project that can be edited, compiled and put back."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "project"
        shutil.copytree(PROJECT, self.folder)
        self.target = folder / "target"
        self.meanings, self.before = self.read()

    def read(self):
        from dbt.cli.main import dbtRunner

        done = dbtRunner().invoke([
            "--quiet", "compile", "--full-refresh", "--project-dir", str(self.folder),
            "--profiles-dir", str(self.folder), "--target-path", str(self.target),
            "--log-path", str(self.target), "--no-populate-cache",
        ])  # fmt: skip
        assert done.success, done.exception or done.result
        layer = cadran.open(self.folder, database=self.target / "none.duckdb")
        built = Project(self.target / "semantic_manifest.json", None, None)
        meanings = SemanticFingerprints(layer, built)
        return meanings, {name: meanings.definition(name) for name in KPIS}

    def after(self, edits: dict[str, object]) -> dict[str, object]:
        """The changes of each KPI after edits: a new text, an (old, new) pair, None to remove."""
        meanings, now = self.under(edits)
        return {name: between(meanings, self.before[name], now[name]) for name in KPIS}

    def under(self, edits: dict[str, object]):
        """The definitions under edits."""
        texts = {name: self.path(name) for name in edits}
        kept = {name: path.read_text() if path.exists() else None for name, path in texts.items()}
        try:
            for name, edit in edits.items():
                path = texts[name]
                if edit is None:
                    path.unlink()
                elif isinstance(edit, str):
                    path.write_text(edit)
                else:
                    text = kept[name]
                    for old, new in zip(edit[::2], edit[1::2], strict=True):
                        assert old in text, f"{name} has no {old!r}"
                        text = text.replace(old, new)
                    path.write_text(text)
            return self.read()
        finally:
            for name, text in kept.items():
                if text is None:
                    texts[name].unlink(missing_ok=True)
                else:
                    texts[name].write_text(text)

    def path(self, name: str) -> Path:
        return self.folder / name


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    """The project of the mutations, compiled once as it is."""
    import os

    folder = tmp_path_factory.mktemp("meanings")
    os.environ["MEANINGS_DATABASE"] = str(folder / "meanings.duckdb")
    yield Bench(folder)
    del os.environ["MEANINGS_DATABASE"]


ORDERS_SQL = (PROJECT / "models/fct_orders.sql").read_text()
STAGED_SQL = (PROJECT / "models/stg_orders.sql").read_text()

SAME = {
    "a comment": {
        "models/fct_orders.sql": ("with\n\norders", "-- why\n{# because #}\nwith /* so */\n\norders"),
        "macros/rounded.sql": ("To the cent.", "To a cent."),
    },
    "layout": {
        "models/fct_orders.sql": " ".join(ORDERS_SQL.split()).replace("select", "SELECT"),
        "models/fct_visits.sql": ("select\n    cast", "select cast"),
    },
    "a step of another name": {
        "models/fct_orders.sql": ("priced", "in_euro", "orders as (", "placed as (",
                                  "from orders\n    inner", "from placed as orders\n    inner"),
    },
    "a step in two": {
        "models/fct_orders.sql": (
            "select * from priced",
            "select order_id, customer_id, visit_id, channel, amount, ordered_date from priced",
            "select * from {{ ref('stg_orders') }}\n    where",
            "select * from (select * from {{ ref('stg_orders') }}) as staged\n    where",
        ),
    },
    "a step as a model of its own": {
        "models/int_orders.sql": "select * from {{ ref('stg_orders') }} where amount >= {{ var('least_amount') }}",
        "models/fct_orders.sql": (
            "select * from {{ ref('stg_orders') }}\n    where amount >= {{ var('least_amount') }}",
            "select * from {{ ref('int_orders') }}",
        ),
    },
    "a renamed model": {
        "models/stg_orders.sql": None,
        "models/stg_sales.sql": STAGED_SQL,
        "models/fct_orders.sql": ("stg_orders", "stg_sales"),
    },
    "a renamed mart": {
        "models/fct_orders.sql": None,
        "models/fct_sales.sql": ORDERS_SQL,
        "models/marts.yml": ("name: fct_orders\n    desc", "name: fct_sales\n    desc",
                             "{name: fct_orders, enabled", "{name: fct_sales, enabled"),
        "models/time_spine_day.sql": ("fct_orders", "fct_sales"),
    },
    "a new column that nobody reads": {
        "models/stg_orders.sql": ("channel,", "channel,\n        upper(note) as note,"),
        "models/fct_orders.sql": ("orders.channel,", "orders.channel,\n        length(orders.note) as note_length,"),
    },
    "another fact, with metrics of its own": {
        "models/fct_returns.sql": "select order_id, customer_id, channel, amount, ordered_date from {{ ref('fct_orders') }}",
        "models/returns.yml": """
models:
  - name: fct_returns
    description: One row per order that came back.
    semantic_model: {name: fct_returns, enabled: true}
    agg_time_dimension: ordered_date
    primary_entity: sent_back
    columns:
      - {name: customer_id, description: Customer., entity: {name: customer, type: foreign}}
      - {name: order_id, description: Order., entity: {name: order_id, type: foreign}}
      - {name: channel, description: Channel., dimension: {name: channel, type: categorical}}
      - {name: ordered_date, description: Day., granularity: day, dimension: {name: ordered_date, type: time}}
    metrics:
      - {name: a_returned_sum, label: a_returned_sum, description: Sum., type: simple, agg: sum, expr: amount}
""",
    },
    "a list of one, and a seed's column that nobody reads": {
        "models/marts.yml": ("= 'web'", "in ('web')"),
        "seeds/rates.csv": "currency,name,rate\nEUR,Euro,1.0\nUSD,Dollar,0.9\n",
    },
    "a view, an order of columns, a description, an operand after the other": {
        "models/stg_orders.sql": (
            "with\n", "{{ config(materialized='view') }}\nwith\n",
            "        channel,\n        currency,", "        currency,\n        channel,",
        ),
        "models/marts.yml": ("A figure.", "A figure that matters."),
        "models/fct_visits.sql": ("not is_robot", "not (is_robot) and 1 = 1"),
    },
}  # fmt: skip


@pytest.mark.parametrize("edits", SAME.values(), ids=SAME)
def test_what_does_not_change_a_value_changes_no_meaning(bench, edits):
    changes = bench.after(edits)
    alarms = {name: change.difference for name, change in changes.items() if change.changed}
    assert alarms == {}
    assert {change.note for change in changes.values()} == {""}


CHANGED = {
    "a filter": (
        {"models/fct_orders.sql": ("where amount", "where currency = 'EUR' and amount")},
        ORDERS, "model fct_orders (models/fct_orders.sql)",
    ),
    "an expression": (
        {"models/fct_orders.sql": ("orders.amount * rates.rate", "orders.amount / rates.rate")},
        REVENUES, "model fct_orders (models/fct_orders.sql)",
    ),
    "an aggregation": (
        {"models/marts.yml": ("agg: sum, expr: amount", "agg: average, expr: amount")},
        REVENUES, "metric amount_sum (models/marts.yml)",
    ),
    "a join": (
        {"models/fct_orders.sql": ("inner join", "left join")},
        ORDERS, "model fct_orders (models/fct_orders.sql)",
    ),
    "a model upstream": (
        {"models/stg_orders.sql": ("decimal(14, 2)", "decimal(14, 0)")},
        ORDERS, "model stg_orders (models/stg_orders.sql)",
    ),
    "a macro": (
        {"macros/rounded.sql": (", 2)", ", 1)")},
        REVENUES, "macro rounded (macros/rounded.sql)",
    ),
    "a variable": (
        {"dbt_project.yml": ("least_amount: 0", "least_amount: 10")},
        ORDERS, "var least_amount (dbt_project.yml)",
    ),
    "a seed": (
        {"seeds/rates.csv": ("USD,0.9", "USD,0.8")},
        REVENUES, "seed rates (seeds/rates.csv)",
    ),
    "a time spine": (
        {"models/time_spine_day.sql": ("1 day", "2 day")},
        {"revenue_month_to_date", "revenue_growth"}, "model time_spine_day (models/time_spine_day.sql)",
    ),
    "the key by which an increment replaces": (
        {"models/fct_visits.sql": (", unique_key='visit_id'", "")},
        {"visits", "conversion"}, "incremental rule of model fct_visits",
    ),
    "how far an increment reads again": (
        {"dbt_project.yml": ("late_hours: 6", "late_hours: 1")},
        {"visits", "conversion"}, "incremental rule of model fct_visits",
    ),
    "a metric's filter": (
        {"models/marts.yml": ("= 'web'", "in ('web', 'app')")},
        {"web_revenue"}, "metric web_revenue (models/marts.yml)",
    ),
    "the window of a conversion": (
        {"models/marts.yml": ("window: 7 days", "window: 14 days")},
        {"conversion"}, "metric conversion (models/marts.yml)",
    ),
    "where a cumulative metric begins": (
        {"models/marts.yml": ("grain_to_date: month", "grain_to_date: year")},
        {"revenue_month_to_date"}, "metric revenue_month_to_date (models/marts.yml)",
    ),
    "the day that a stock is counted": (
        {"models/marts.yml": ("window_agg: max", "window_agg: min")},
        {"stock"}, "metric stock_sum (models/marts.yml)",
    ),
    "an offset": (
        {"models/marts.yml": ("offset_window: 1 month", "offset_window: 1 year")},
        {"revenue_growth"}, "metric revenue_growth (models/marts.yml)",
    ),
    "a table that becomes incremental": (
        {"dbt_project.yml": ("+materialized: table}", "+materialized: table, fct_orders: {+materialized: incremental}}")},
        ORDERS, "incremental rule of model fct_orders",
    ),
    "an incremental table that becomes a table": (
        {"models/fct_visits.sql": ("materialized='incremental', unique_key='visit_id'", "materialized='table'")},
        {"visits", "conversion"}, "incremental rule of model fct_visits",
    ),
    "what a snapshot watches": (
        {"snapshots/customers_over_time.sql": ("check_cols=['country']", "check_cols='all'")},
        COUNTRIES, "snapshot customers_over_time (snapshots/customers_over_time.sql)",
    ),
    "what a snapshot selects": (
        {"snapshots/customers_over_time.sql": ("upper(country)", "lower(country)")},
        COUNTRIES, "snapshot customers_over_time (snapshots/customers_over_time.sql)",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("edits", "kpis", "cause"), CHANGED.values(), ids=CHANGED)
def test_what_changes_a_value_changes_the_meaning_of_those_it_reaches(bench, edits, kpis, cause):
    changes = bench.after(edits)
    assert {name for name, change in changes.items() if change.changed} == kpis
    for name in kpis:
        assert cause in changes[name].causes
        others = [other for other in changes[name].causes if other != cause]
        # How an increment is made stands in the model itself, which is named as well.
        assert others in ([], ["model fct_visits (models/fct_visits.sql)"])


BESIDE = {
    "dbt_project.yml": (
        "profile: meanings", 'profile: meanings\non-run-end: "{{ afterwards() }}"',
        "+materialized: table}",
        ("+materialized: table, fct_orders: {+post-hook: \"delete from {{ this }} where channel = 'app'\"},\n"
        '    dim_customers: {+pre-hook: "grant select on {{ this }} to public"}}'),
    ),
    "macros/afterwards.sql": "{% macro afterwards() %}delete from fct_orders{% endmacro %}",
    "macros/made.sql": "{% macro duckdb__create_table_as(temporary, relation, sql, language='sql') %}"
    "create table {{ relation }} as select * from ({{ sql }}) limit 1{% endmacro %}",
    "macros/own.sql": "{% materialization halved, adapter='duckdb' %}{{ return({'relations': [this]}) }}"
    "{% endmaterialization %}",
    "models/dim_customers.sql": ("select customer", "{{ config(materialized='halved') }}select customer"),
    "models/fct_stock.sql": (
        "select\n", "{% call set_sql_header(config) %}set order = 1;{% endcall %}select\n",
    ),
    "models/fct_visits.sql": (
        "not is_robot", "not is_robot {{ 'and visit_id > 2' if is_incremental() }}",
    ),
    "models/sources.yml": ("{name: stock}", "{name: stock, identifier: old_stock}"),
    "models/stg.yml": """
models:
  - {name: stg_orders, config: {contract: {enforced: true}},
     columns: [{name: order_id, data_type: varchar, constraints: [{type: check, expression: "order_id <> ''"}]}]}
seeds: [{name: rates, config: {column_types: {rate: integer}}}]
""",
}  # fmt: skip
KINDS = {
    "on-run-end of project meanings": KPIS,
    "post-hook of model fct_orders": ORDERS,
    "materialization of model fct_orders": ORDERS,
    "materialization of model dim_customers": COUNTRIES,
    "SQL header of model fct_stock": {"stock"},
    "increment of model fct_visits": {"visits", "conversion"},
    "identifier of source raw.stock": {"stock"},
    "contract of model stg_orders": ORDERS,
    "types of seed rates": ORDERS,
}


@pytest.fixture(scope="module")
def beside(bench):
    """The changes after edits of all that decides rows beside a SELECT, and who is untouched."""
    before = {name: bench.meanings.fingerprint_of(bench.before[name]) for name in KPIS}
    meanings, now = bench.under(BESIDE)
    changes = {name: between(meanings, bench.before[name], now[name]) for name in KPIS}
    return changes, {k for k in KPIS if meanings.fingerprint_of(now[k]) == before[k]}


@pytest.mark.parametrize(("cause", "kpis"), KINDS.items(), ids=KINDS)
def test_what_changes_rows_beside_a_select_changes_the_meaning(beside, cause, kpis):
    changes, untouched = beside
    assert {name for name, change in changes.items() if cause in change.causes} == kpis
    assert not untouched


def test_nothing_else_is_taken_for_a_change_of_rows(beside):
    causes = {cause for change in beside[0].values() for cause in change.beside_select}
    others = {cause for cause in causes if not cause.startswith("materialization of")}
    assert others == {cause for cause in KINDS if not cause.startswith("materialization of")}


UNITED = STAGED_SQL.replace(
    "select * from renamed",
    "select * from renamed where channel = 'app' union all select * from renamed where amount > 7",
)
TURNED = STAGED_SQL.replace(
    "select * from renamed",
    "select * from renamed where amount > 7 union all select * from renamed where channel in ('app')",
)
HOURS = (
    "cast(visited_at as date)",
    "cast({{ dbt.datediff('visited_at', 'visited_at', 'hour') }} as date)",
)
DATEDIFF = "{% macro duckdb__datediff(a, b, part) %}(2 * date_diff('{{ part }}', {{ a }}, {{ b }})){% endmacro %}"


def test_branches_have_no_order_and_an_override_of_what_dbt_calls_is_found(bench):
    was = {"models/stg_orders.sql": UNITED, "models/fct_visits.sql": HOURS}
    meanings, before = bench.under(was)
    marks = {name: meanings.fingerprint_of(before[name]) for name in KPIS}
    now = {**was, "models/stg_orders.sql": TURNED, "macros/datediff.sql": DATEDIFF}
    meanings, after = bench.under(now)
    changes = {name: between(meanings, before[name], after[name]) for name in KPIS}
    assert {name for name, change in changes.items() if change.changed} == {"visits", "conversion"}
    assert "macro duckdb__datediff (macros/datediff.sql)" in changes["visits"].causes
    assert meanings.fingerprint_of(after["visits"]) != marks["visits"]
    assert meanings.fingerprint_of(after["stock"]) == marks["stock"]


PYTHON = {
    "models/dim_customers.sql": None,
    "models/dim_customers.py": """
def model(dbt, session):
    customers = dbt.ref("customers_over_time").df()
    return customers[customers.dbt_valid_to.isnull()]
""",
}
UNREADABLE = {
    "models/fct_visits.sql": (
        "from {{ source('raw', 'visits') }}",
        "from {{ source('raw', 'visits') }} positional join (select 1)",
    ),
}


@pytest.mark.parametrize(
    ("unreadable", "edits", "kpis", "note"),
    [
        (
            PYTHON,
            {"models/dim_customers.py": ("isnull", "notnull"), "snapshots/customers_over_time.sql": ("upper", "lower")},
            COUNTRIES, "the text of model dim_customers is compared",
        ),
        (
            UNREADABLE,
            {"models/fct_visits.sql": ("select 1", "select 2"), "macros/again_from.sql": (" hour", " minute")},
            {"visits", "conversion"}, "texts are compared, not meanings",
        ),
    ],
    ids=["a Python model", "SQL that is not understood"],
)  # fmt: skip
def test_where_meanings_cannot_be_compared_texts_are_and_a_note_says_so(
    bench, unreadable, edits, kpis, note
):
    _, before = bench.under(unreadable)
    for file, edit in edits.items():  # the text itself, and what stands behind it
        text = unreadable.get(file)
        edited = text.replace(*edit) if isinstance(text, str) else (*(text or ()), *edit)
        meanings, after = bench.under({**unreadable, file: edited})
        changes = {name: between(meanings, before[name], after[name]) for name in KPIS}
        assert {name for name, change in changes.items() if change.changed} == kpis, file
        assert all(note in changes[name].note for name in kpis)
        assert {change.note for name, change in changes.items() if name not in kpis} == {""}


STEP = """select o.id, o.a, o.b, c.country from "source"."shop"."orders" as o
left join "seed"."shop"."countries" as c on o.code = c.code"""


def paper(step=STEP, country="1", columns=("id", "a", "b", "code")):
    return Definition(
        "sum", (), {"shop____orders": step},
        {"source.shop.orders": list(columns), "seed.shop.countries": ["code", "country"]},
        seeds={"seed.shop.countries": {"": "3", "code": "0", "country": country}},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("after", "alike"),
    [
        (paper(STEP + " where true"), ["a", "b", "country"]),
        (paper(STEP.replace("o.id,", "o.id, upper(o.a) as nobody_reads,")), ["a", "b", "country"]),
        (paper(STEP.replace("o.b,", "o.b + 1 as b,")), ["a", "country"]),
        (paper(STEP.replace("o.a, o.b", "o.b as a, o.a as b")), ["country"]),
        (paper(STEP.replace("o.a,", "")), ["b", "country"]),
        (paper(STEP + " where o.a > 0"), []),
        (paper(STEP.replace("left join", "inner join")), []),
        (paper(country="2"), ["a", "b"]),
    ],
)
def test_what_a_question_reads_is_proved_the_same_for_many_columns_at_once(after, alike):
    fingerprint = Fingerprint("duckdb")
    asked = {
        name: f'select {name}, count(distinct id) from "shop____orders" group by {name}'
        for name in ("b", "a", "country")
    }
    before = paper()
    found = [name for name, sql in asked.items() if fingerprint.is_alike(sql, before, after)]
    assert sorted(found) == sorted(alike)
    for name, sql in asked.items():
        if name in alike:  # never more than both hashes say
            assert fingerprint.hash(sql, before) == fingerprint.hash(sql, after)


HOOKS = {"on-run-start of project cadran", "on-run-end of project cadran"}


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        ("mark_build", HOOKS),
        # What a call is dispatched to, on this engine and on others.
        ("default__forget_rows", HOOKS),
        ("spark__forget_rows", HOOKS),
        ("postgres__date_readers", {"on-run-start of project cadran"}),
        ("postgres__has_index", {"post-hook of model fct_orders"}),
    ],
)
def test_marks_of_builds_are_no_side_effect_until_somebody_edits_them(
    name, seen, layer, project_root
):
    project, nodes = layer.project, ["model.cadran.fct_orders"]
    assert side_effects(Graph(project, project_root), nodes) == {}
    macro = project.dbt_manifest["macros"][f"macro.cadran.{name}"]
    edited = {**macro, "macro_sql": macro["macro_sql"] + " and more"}
    macros = {**project.dbt_manifest["macros"], f"macro.cadran.{name}": edited}
    other = SimpleNamespace(
        dbt_manifest={**project.dbt_manifest, "macros": macros},
        semantic_manifest=project.semantic_manifest,
    )
    assert set(side_effects(Graph(other, project_root), nodes)) == seen


def test_a_reviewed_hook_is_one_whatever_variables_say(layer, project_root, monkeypatch):
    graph = Graph(layer.project, project_root)
    monkeypatch.setitem(graph._variables, "cadran_late_hours", 48)
    assert side_effects(graph, []) == {}

"""What means the same is one form, and what does not is two."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cadran.core.versions.canonical import canonical
from cadran.core.versions.compare import altered
from cadran.core.versions.definition import Definition

ROWS = '"source"."raw"."rows"'
SEED = {"": "2 rows", "code": "codes", "rate": "rates"}
SEEDS = {
    "seed.old.rates": SEED,
    "seed.wider.rates": SEED | {"note": "notes"},
    "seed.longer.rates": SEED | {"": "3 rows"},
    "seed.other.rates": SEED | {"rate": "other rates"},
}
COLUMNS = {
    "source.raw.rows": ["a", "b", "k"],
    **{name: [column for column in seed if column] for name, seed in SEEDS.items()},
}


def form(sql: str, seeds=SEEDS) -> str:
    return canonical(sql, "duckdb", COLUMNS, seeds)


def kept(condition: str) -> str:
    return form(f"select a from {ROWS} as r where {condition}")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("k = 'x'", "k in ('x')"),
        ("k <> 'x'", "k not in ('x')"),
        ("k = 'x' or k = 'y'", "k in ('y', 'x', 'y')"),
        ("k in ('x', 'y') or k = 'z'", "k in ('z', 'y', 'x')"),
        ("k <> 'x' and k <> 'y'", "not (k = 'y' or k = 'x')"),
        ("a = 1 or (b = 2 and k = 'x')", "(b in (2) and k in ('x')) or a in (1)"),
        ("(a = 1 or b = 2) and (k = 'x' or k = 'y')", "k in ('x', 'y') and (b = 2 or a = 1)"),
        ("a is null or k = 'x' or k = 'y'", "k in ('y', 'x') or a is null"),
    ],
)
def test_lists_and_alternatives_are_one(one, other):
    assert kept(one) == kept(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("k in ('x')", "k in ('y')"),
        ("k in ('x', 'y')", "k in ('x')"),
        ("k = 'x' and k = 'y'", "k in ('x', 'y')"),
        ("k <> 'x' or k <> 'y'", "k not in ('x', 'y')"),
        ("a in (1, 2)", "a in (1, '2')"),
        ("k in ('x')", "k not in ('x')"),
    ],
)
def test_other_lists_are_others(one, other):
    assert kept(one) != kept(other)


FIRST, SECOND = f"select a as v, b as w from {ROWS}", f"select b as v, a as w from {ROWS}"


def test_branches_have_no_order_but_their_columns_have():
    def summed(union: str) -> str:
        return form(f"select sum(v) as v from ({union}) as u")

    assert summed(f"{FIRST} union all {SECOND}") == summed(f"{SECOND} union all {FIRST}")
    assert summed(f"{FIRST} union all {SECOND}") != summed(f"{FIRST} union {SECOND}")
    assert summed(f"{FIRST} union all {FIRST}") != summed(FIRST)
    assert summed(f"{FIRST} union all {SECOND}") != summed(f"{SECOND} union all {SECOND}")


@pytest.mark.parametrize(
    ("question", "alike"),
    [
        (f"select sum(r.a * s.rate) from {ROWS} as r join SEED as s on r.k = s.code", {"wider"}),
        ("select sum(rate) from (select * from SEED) as s", {"wider"}),
        ("select count(*) from SEED", {"wider", "other"}),
        ("select * from SEED", set()),
    ],
)
def test_a_seed_stands_for_its_rows_in_the_columns_that_are_read(question, alike):
    forms = {
        name: form(question.replace("SEED", f'"seed"."{name}"."rates"'))
        for name in ("old", "wider", "longer", "other")
    }
    assert {name for name in forms if forms[name] == forms["old"]} - {"old"} == alike
    assert form('select code from "seed"."old"."rates"', {}) != form(
        'select code from "seed"."wider"."rates"', {}
    )


def test_the_facts_that_a_spine_asks_how_far_it_reaches_are_no_matter():
    def spine(*facts: str) -> str:
        ends = " union all ".join(
            f"select min({fact}_at) as first_day, max({fact}_at) as last_day"
            f' from "model"."p"."{fact}" as {fact}'
            for fact in facts
        )
        return form(f"select min(first_day) as a, max(last_day) as b from ({ends}) as ends")

    assert spine("orders", "tickets") == spine("tickets", "probes", "orders") == spine("tickets")


def test_nor_is_how_they_are_built_unless_they_are_read_as_well():
    ends = {"p____days____spine": 'select min(seen_at) as day from "model"."p"."probes" as probes'}
    before = Definition(
        "k", (), ends, rules={"probes": "old"}, side_effects={"hook of model probes": "old"}
    )
    without = replace(before, rules={}, side_effects={})
    read = replace(before, steps=ends | {"p____probes": "select 1"})
    for what, name in (("rules", "probes"), ("side_effects", "hook of model probes")):
        assert altered(before, without, what) == []
        assert altered(read, replace(without, steps=read.steps), what) == [name]

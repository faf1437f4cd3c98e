"""SQL and the DAX made of it mean the same on every mix of numbers, texts and NULL."""

from __future__ import annotations

import itertools
import math

import dax
import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cadran.exports.powerbi.dax import Translator, Value
from cadran.exports.powerbi.model import NotInDaxError

KINDS = {"a": "int64", "b": "int64", "c": "decimal", "t": "string", "f": "boolean"}
SHORT = {"int64": "int", "decimal": "fixed", "string": "text", "boolean": "bool"}
VALUES = {
    "a": ("null", "0", "1", "-2"), "b": ("null", "0", "3"),
    "c": ("null", "0.00", "1.37"), "t": ("null", "''", "'x'", "'y'"),
    "f": ("null", "true", "false"),
}  # fmt: skip
NAMES = {name: Value(f"_{name}", kind) for name, kind in KINDS.items()}


@pytest.fixture(scope="module")
def cells():
    """A model of one table of cells: every mix of the values."""
    model = object.__new__(dax.Model)
    model.db, model.by, model.cells = duckdb.connect(), (), "cells"
    model.memo, model.measures, model.parsed, model.count = {}, {}, {}, 0
    types = {"int64": "bigint", "decimal": "decimal(18, 4)", "string": "text", "boolean": "boolean"}
    rows = ", ".join(f"({', '.join(row)})" for row in itertools.product(*VALUES.values()))
    columns = ", ".join(f"{name}::{types[kind]} as {name}" for name, kind in KINDS.items())
    model.db.execute(
        f"create table cells as select row_number() over () as cell, {columns}"
        f" from (values {rows}) as v ({', '.join(KINDS)})"
    )
    return model


def in_dax(model, sql):
    """What the translation of an expression gives, by cell."""
    translator = Translator(NAMES)
    value = translator.value(sql)
    lines = [f"VAR {name} = {text}" for text, name in translator.variables.items()]
    text = "\n".join([*lines, *(["RETURN"] if lines else []), value.text])
    known = tuple((f"_{name}", (f"c.{name}", SHORT[kind])) for name, kind in KINDS.items())
    scalar, _ = model.value(dax.parse(text), dax.Context(variables=known))
    asked = f"select c.cell, {scalar} from cells c{model.joined(scalar)} order by c.cell"
    return model.db.execute(asked).fetchall(), text


def check(model, sql):
    found, text = in_dax(model, sql)
    wanted = model.db.execute(f"select cell, {sql} from cells order by cell").fetchall()
    wrong = [(a, b) for a, b in zip(wanted, found, strict=True) if not is_same(a[1], b[1])]
    if wrong:
        cell = wrong[0][0][0]
        row = model.db.execute(f"select * from cells where cell = {cell}").fetchone()
        pytest.fail(f"{row}: {wrong[0]}\n{text}")


def is_same(left, right):
    if left is None or right is None:
        return left is right
    left, right = float(left), float(right)
    if math.isnan(left) or math.isinf(left):
        return str(left) == str(right)
    return abs(left - right) <= 1e-9 * abs(left)


@pytest.mark.parametrize(
    "sql",
    [
        "a + b",
        "a - b * c",
        "-a",
        "-(a - 1) * c",
        "a / nullif(b, 0)",
        "c / nullif(b, 0)",
        "a / b",
        "c / 3",
        "(a - c) / nullif(c, 0) - 1",
        "1000.0 * coalesce(a, 0) / nullif(b, 0)",
        "coalesce(a, b, 1) + 0.25",
        "nullif(a, b)",
        "cast(c as double) / b",
        "c * c",
        "case when a > b then a when b is null then 7 end",
        "case when a = b or c < 2 then 1 else 0 end",
        "case when not (a < b and b <= a) then a else -b end",
        "case when a in (1, 2) then 1 when a not in (0) then 2 else 3 end",
        "case when a between b and 2 then 1 when a not between 0 and b then 2 else 0 end",
        "case when a <> 1 then 1 else 0 end",
        "case when a is not null and not a = 1 then 1 else 0 end",
        "case when t = 'x' then 1 when t <> 'y' then 2 else 0 end",
        "case when t in ('x', '') then 1 when not t in ('y') then 2 else 0 end",
        "case when f then 1 when not f then 2 else 0 end",
        "case when f = true then 1 else 0 end",
        "case when not (f and t = 'x') then 1 else 0 end",
    ],
)
def test_dax_gives_what_sql_gives(cells, sql):
    check(cells, sql)


NUMBERS = st.sampled_from(["a", "b", "c", "0", "1", "2", "0.5"])
COMPARED = st.sampled_from(["=", "<>", "<", "<=", ">", ">="])


def grown(inner):
    condition = st.one_of(
        st.builds("({} {} {})".format, inner, COMPARED, inner),
        st.builds("({} is null)".format, inner),
        st.sampled_from(["f", "t = 'x'", "t <> 'y'"]),
    )
    condition = st.one_of(
        condition,
        st.builds("not {}".format, condition),
        st.builds("({} {} {})".format, condition, st.sampled_from(["and", "or"]), condition),
        st.builds("not ({} {} {})".format, condition, st.sampled_from(["and", "or"]), condition),
    )
    return st.one_of(
        st.builds("({} {} {})".format, inner, st.sampled_from("+-*"), inner),
        st.builds("({} / nullif({}, 0))".format, inner, inner),
        st.builds("coalesce({}, {})".format, inner, inner),
        st.builds("case when {} then {} else {} end".format, condition, inner, inner),
        st.builds("case when {} then {} end".format, condition, inner),
    )


@settings(
    max_examples=150, deadline=None, derandomize=True, database=None,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
@given(sql=st.recursive(NUMBERS, grown, max_leaves=6))
def test_dax_gives_what_sql_gives_for_any_expression(cells, sql):
    check(cells, sql)


@pytest.mark.parametrize(
    "sql",
    [
        "a % 2",
        "a // 2",
        "round(c, 1)",
        "floor(c)",
        "greatest(a, b)",
        "cast(c as integer)",
        "cast(a as decimal(10, 2))",
        "case a when 1 then 2 end",
        "case when t like 'x%' then 1 end",
        "case when t > 'x' then 1 end",
        "case when a = t then 1 end",
        "case when a in (select 1) then 1 end",
        "t || 'x'",
        "sum(a)",
        "lag(a) over ()",
        "unknown + 1",
        "other.a + 1",
        "(select 1)",
        "a +",
    ],
)
def test_what_has_no_exact_counterpart_is_refused(sql):
    with pytest.raises(NotInDaxError):
        Translator(NAMES).value(sql)


def test_blank_is_known_where_all_inputs_are_blank():
    strict = {"a + b": True, "a * 2": True, "a / nullif(b, 0)": True, "coalesce(a, b)": True,
              "coalesce(a, 0)": False, "case when a > 1 then a end": True,
              "case when a is null then 5 else a end": False}  # fmt: skip
    for sql, expected in strict.items():
        assert Translator(NAMES).value(sql).is_strict is expected, sql


def test_a_filter_is_split_into_conditions_that_hold_together():
    said = Translator(NAMES).conditions("t = 'x' and (f or a is null) and not f")
    assert said == ['_t == "x"', "(_f == TRUE()) || (ISBLANK(_a))", "_f == FALSE()"]

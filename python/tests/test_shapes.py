"""A plan shared by questions that differ in values says what each, compiled alone, would say."""

from __future__ import annotations

import datetime as dt
import random
import re
import threading

import pytest

import cadran
from cadran.core.compiler import shapes
from cadran.core.compiler.metricflow import Compiler
from cadran.core.query.request import ask
from cadran.errors import QueryError

METRICS = [
    ["amount"], ["orders", "buyers"], ["web_amount", "amount"], ["pings"], ["mean_amount"],
    ["amount_3_days"], ["amount_month_to_date"], ["share_of_web_to_date"], ["amount", "pings"],
]  # fmt: skip
GROUPS = [
    ["metric_time__day"], ["metric_time__week"], ["metric_time__month"], ["metric_time__quarter"],
    ["metric_time__year"], [],
]  # fmt: skip
TEXTS = [
    "web", "app", "café ☕ ''", "FR", "", "%", "a%", "{{ x }}", "{% x", "subq_3", "2031-05-14",
    "date ''2026-01-01''", '"', "cadran stand-in 0 of 1", "1", "null", "\\", "x" * 200, ";", "--",
]  # fmt: skip


def filters(draw):
    column = draw.choice(["order_id__channel", "customer__country"])
    text = lambda: f"'{draw.choice(TEXTS)}'"  # noqa: E731
    date = lambda: f"date '{day(draw)}'"  # noqa: E731
    time = draw.choice(
        ["metric_time__day", "metric_time__month", "{{ Dimension('order_id__shipped_date') }}"]
    )
    return draw.choice([
        f"{column} = {text()}", f"{column} <> {text()} or {column} is null",
        f"{column} in ({text()}, {text()})", f"not {column} in ({text()})",
        f"{column} like {text()}", f"{column} ilike {text()}", f"{text()} < {column}",
        f"({column} between {text()} and {text()}) and not ({column} = {text()})",
        f"{time} >= {date()}", f"{time} between {date()} and {date()}", f"{time} = {date()}",
        f"{time} > {date()} and {time} > {date()} and {time} < {date()}",
        f"{time} in ({date()}, {date()})", f"{time} >= timestamp '{day(draw)} 00:00:00'",
        f"cast({time} as date) = {date()}",
    ])  # fmt: skip


def day(draw):
    near = dt.date(2026, 1, 26) + dt.timedelta(draw.randrange(16))
    far = dt.date(2019, 1, 1) + dt.timedelta(draw.randrange(9000))
    return draw.choice([near, near, near, far])


def question(draw):
    metrics = draw.choice(METRICS)
    first, last = sorted([day(draw), day(draw)])
    asked = {"metrics": metrics, "group_by": draw.choice(GROUPS), "governed": False}
    if "pings" not in metrics:
        asked["where"] = [filters(draw) for _ in range(draw.choice([0, 1, 1, 2]))]
        asked["confined"] = [filters(draw)] if draw.random() < 0.2 else []
    if draw.random() < 0.6:
        asked["start"] = draw.choice([first, str(first), f"{first}T00:00:00", f"{first}T03:00:00"])
    if draw.random() < 0.6:
        asked["end"] = draw.choice([last, str(last), f"{last}T00:00:00", f"{last}T12:30:00"])
    if draw.random() < 0.1:
        asked["limit"] = draw.choice([0, 1, 3])
    return asked


def plain(sql):
    """A statement without the numbers of its subqueries and the remarks over its ranges."""
    numbers = {}
    sql = re.sub(r"(Constrain Time Range) to \[[^\]\n]*\]", r"\1", sql)
    return re.sub(r"subq_\d+", lambda match: numbers.setdefault(match[0], f"q{len(numbers)}"), sql)


def outcome(layer, asked):
    try:
        result = layer.query(**asked)
        return result.sql, result.to_arrow()
    except cadran.CadranError as error:
        return type(error), str(error)


@pytest.fixture
def layer(tiny, shop):
    layer = cadran.open(manifest=tiny, database=shop.project.database, plan_cache=False)
    yield layer
    layer.close()


@pytest.fixture
def alone(tiny, shop, monkeypatch):
    """Answers by plans that are compiled for each question."""
    layer = cadran.open(manifest=tiny, database=shop.project.database, plan_cache=False)

    def answer(asked):
        with monkeypatch.context() as patch:
            patch.setattr(shapes, "shape_of", lambda _: None)
            return outcome(layer, asked)

    yield answer
    layer.close()


@pytest.fixture
def compiles(monkeypatch):
    """The questions that were compiled, in their order."""
    compiled, sql = [], Compiler.sql

    def counted(self, query, *more, **named):
        compiled.append(query)
        return sql(self, query, *more, **named)

    monkeypatch.setattr(Compiler, "sql", counted)
    return compiled


def test_random_questions_are_answered_as_if_each_was_compiled_alone(layer, alone, compiles):
    draw = random.Random(4)  # noqa: S311
    shared = answered = 0
    for _ in range(60):
        asked = question(draw)
        before = len(compiles)
        ours = outcome(layer, asked)
        shared += len(compiles) == before and shapes.shape_of(ask(**asked)) is not None
        theirs = alone(asked)
        if isinstance(ours[0], type):
            assert ours == theirs, asked
            continue
        answered += 1
        assert ours[1].equals(theirs[1]), (asked, ours[0], theirs[0])
    assert answered > 35
    assert shared > 3


def test_ranges_are_widened_as_metricflow_widens_them(layer, alone):
    draw = random.Random(5)  # noqa: S311
    for _ in range(30):
        first, last = sorted([day(draw), day(draw)])
        asked = {
            "metrics": [draw.choice(["amount", "pings"])], "group_by": draw.choice(GROUPS),
            "start": first, "end": last, "governed": False,
        }  # fmt: skip
        assert plain(layer.query(**asked).sql) == plain(alone(asked)[0]), asked


def test_a_question_that_differs_in_values_is_not_compiled_again(layer, compiles):
    for at in range(1, 20):
        layer.query(
            ["amount"], ["metric_time__week"], [f"order_id__channel = 'c{at}'"],
            start=f"2026-01-{at:02}", end="2026-02-03", confined=[f"customer__country = 'x{at}'"],
            governed=False,
        )  # fmt: skip
    assert len(compiles) == 2


@pytest.mark.parametrize(
    "asked",
    [
        {"metrics": ["amount_3_days"], "start": "2026-01-{}", "end": "2026-02-03"},
        {"metrics": ["amount"], "where": "cast(metric_time as date) = date '2026-01-{}'"},
        {"metrics": ["amount"], "start": "2026-01-{}T03:00:00"},
    ],
    ids=["a bound that is derived", "a time that is cast", "an instant"],
)
def test_where_a_value_decides_the_sql_no_plan_is_shared(asked, layer, alone):
    for at in (10, 20, 30):
        full = {key: v.format(at) if isinstance(v, str) else v for key, v in asked.items()}
        full |= {"group_by": ["metric_time__day"], "governed": False}
        assert plain(layer.query(**full).sql) == plain(alone(full)[0])


@pytest.mark.parametrize(
    "value", ["a\nb", "\ud800", "\u2028"], ids=["a line break", "no Unicode", "a separator"]
)
def test_a_value_that_no_filter_may_hold_is_refused_by_a_known_shape_too(value, layer):
    layer.query(["amount"], where="order_id__channel = 'web'", governed=False)
    with pytest.raises(QueryError):
        layer.query(["amount"], where=f"order_id__channel = '{value}'", governed=False)
    with pytest.raises(QueryError):
        layer.query(["amount"], where="metric_time__day = date '2026-02-30'", governed=False)


def test_a_shape_is_learned_once_by_many_threads(layer, compiles):
    def run(number):
        layer.sql(["amount"], where=f"order_id__channel = '{number}'", governed=False)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(compiles) == 2

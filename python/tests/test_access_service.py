"""Answers under a policy: no cache, card, error or break tells what a role may not see; limits."""

from __future__ import annotations

import datetime as dt
import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from cadran.access import policy as policies
from cadran.access import tokens
from cadran.access.authorize import PolicyGate
from cadran.access.caller import Caller, Limits
from cadran.access.gate import Allowed, Visible
from cadran.audit.log import Record, read
from cadran.core.project import artifacts
from cadran.core.query.request import Query
from cadran.core.result import Break
from cadran.core.warehouse import Confinement
from cadran.errors import (
    LimitError,
    NotAllowedError,
    PolicyError,
    ProjectError,
    QueryError,
    StoppedError,
    UnauthenticatedError,
    UnknownNameError,
    WarehouseError,
)
from cadran.server.run import prepare
from cadran.server.settings import Settings
from cadran.serving import redaction
from cadran.serving.execution import Cancellation
from cadran.serving.response import Answer
from cadran.serving.service import QueryService, RequestContext
from cadran.serving.snapshots import SnapshotStore

POLICY = """
roles:
  france:
    metrics: [revenue, orders]
    dimensions: [order_id__channel, customer__segment]
    rows: ["customer__country = 'FR'"]
  germany:
    metrics: [revenue, orders]
    dimensions: [order_id__channel, customer__segment]
    rows: ["customer__country = 'DE'"]
    limits: {rows: 20, per_minute: 3}
  all: {metrics: "*", dimensions: "*"}
"""
FRANCE, GERMANY, ALL = (Caller(f"in {role}", (role,)) for role in ("france", "germany", "all"))
BY_MONTH = Query.of({"metrics": ["revenue"], "group_by": ["metric_time__month"]})
SOON = 10  # seconds, of a statement that would take minutes
ENDLESS = "select count(*) as n from range(20000) a, range(20000) b, range(20000) c"


@pytest.fixture(scope="module")
def snapshots(guarded):
    found = artifacts.find(None, guarded, guarded.parents[1] / "guarded.duckdb")
    made = SnapshotStore(found, confined=Confinement())
    made.refresh(force=True)
    yield made
    made.close()


@pytest.fixture
def service(snapshots, tmp_path):
    file = tmp_path / "cadran_policy.yml"
    file.write_text(POLICY)
    before = list(snapshots.listeners)
    made = QueryService(
        snapshots,
        gate=PolicyGate(policies.read(file)),
        audit=Record(tmp_path / "audit"),
        seconds=30,
    )
    yield made
    made.audit.close()
    snapshots.listeners[:] = before


def ask(service, caller, question=BY_MONTH, **more):
    return service.ask(RequestContext(caller, "test", **more), question)


def rows(handed):
    return handed.table.to_pylist()


def asked(**given):
    return Query.of(given)


# Answers ---------------------------------------------------------------------------------------


def test_two_roles_that_ask_the_same_get_their_own_rows_kept_or_not(service):
    first = {caller.name: ask(service, caller) for caller in (FRANCE, GERMANY, ALL)}
    values = {name: tuple(map(str, rows(handed))) for name, handed in first.items()}
    assert len(set(values.values())) == 3
    for caller in (FRANCE, GERMANY, ALL):
        for again in (
            ask(service, caller),
            service.cached(RequestContext(caller, "test"), BY_MONTH),
        ):
            assert again.cached
            assert tuple(map(str, rows(again))) == values[caller.name]
    assert len({handed.etag for handed in first.values()}) == 3


def test_many_roles_at_once_get_their_own_rows(service):
    expected = {caller: rows(ask(service, caller)) for caller in (FRANCE, ALL)}
    service.cache.keep(lambda _: False)
    callers = [FRANCE, ALL] * 20
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda one: rows(ask(service, one, read_cache=False)), callers))
    assert all(got == expected[caller] for caller, got in zip(callers, found, strict=True))


def test_a_question_that_nobody_judged_yet_does_not_keep_the_event_loop_waiting(
    service, monkeypatch
):
    monkeypatch.setattr(service.gate, "allow", lambda *_: pytest.fail("judged on the event loop"))
    assert service.cached(RequestContext(FRANCE, "test"), BY_MONTH) is None


def test_values_sql_and_saved_queries_are_those_of_the_role(service):
    segments = service.values(RequestContext(ALL, "test"), "customer__segment", ("orders",))
    assert segments == ["home", "trade"]
    countries = service.values(RequestContext(ALL, "test"), "customer__country", ())
    assert countries == ["DE", "FR", "IT"]
    with pytest.raises(UnknownNameError):
        service.values(RequestContext(FRANCE, "test"), "customer__country", ())
    assert "'FR'" in service.sql(RequestContext(FRANCE, "test"), BY_MONTH)
    assert [one["name"] for one in service.saved_queries(FRANCE)] == ["by_channel"]
    assert [one["name"] for one in service.saved_queries(ALL)] == ["by_channel", "stock_by_site"]


def test_saved_queries_are_answered_beforehand_for_each_role(service):
    assert service.warm() == 1 + 1 + 2
    answer = service.cached(RequestContext(FRANCE, "test"), asked(saved_query="by_channel"))
    assert answer is None  # judged for somebody else: it is asked in a worker, and is there
    assert ask(service, FRANCE, asked(saved_query="by_channel")).cached


def test_cards_lists_and_answers_name_only_what_the_role_may_see(service):
    (card,) = service.kpis(FRANCE)
    assert card.dimensions == ("order_id__channel", "customer__segment")
    assert card.drivers == ()  # amount_per_order is not for this role
    assert {one.name: one.drivers for one in service.kpis(ALL)}["revenue"] == ("amount_per_order",)
    assert ask(service, FRANCE).cards["revenue"] == card
    assert [one["name"] for one in service.metrics(FRANCE)] == ["orders", "revenue"]
    names = [one["name"] for one in service.dimensions(FRANCE, ("orders",))]
    assert names == ["customer__segment", "metric_time", "order_id__channel"]
    assert "customer__contact" not in {one["name"] for one in service.dimensions(ALL, ("orders",))}
    with pytest.raises(UnknownNameError) as caught:
        service.card(FRANCE, "stock_level")
    assert str(caught.value).endswith("Allowed: revenue.")


def test_a_break_does_not_tell_the_value_of_all_rows(snapshots):
    layer = snapshots.current.layer
    broken = Break("revenue", dt.datetime(2026, 2, 1), 1, 2, "error", "why", "123.45", False)  # noqa: DTZ001, FBT003
    question = asked(metrics=["revenue"])
    confined = Query(metrics=("revenue",), confined=("x",))
    for one, value in ((question, "123.45"), (confined, None)):
        answer = Answer(None, one, {}, {}, (broken,), True, True, "state")  # noqa: FBT003
        cut = redaction.redacted(answer, Allowed(one, "role"), Visible(), layer)
        assert cut.breaks[0].value_before == value


# Errors ----------------------------------------------------------------------------------------


def test_no_error_of_the_warehouse_reaches_a_client(service, snapshots, monkeypatch, caplog):
    layer = snapshots.current.layer
    real = layer.warehouse.arrow

    def broken(*_):
        return real("select cast(any_value(contact) as int) from guarded.shop.customers")

    monkeypatch.setattr(layer.warehouse, "arrow", broken)
    caplog.set_level(logging.ERROR)
    with pytest.raises(WarehouseError) as caught:
        ask(service, ALL)
    assert "@example.com" in caplog.text
    number = str(caught.value).removesuffix(".")[-8:]
    assert str(caught.value) == (f"The warehouse could not answer; it is recorded as {number}.")
    assert number in caplog.text
    with pytest.raises(QueryError, match="cannot apply the filter"):
        ask(service, ALL, asked(metrics=["orders"], where=["order_id__channel = 'web'"]))


def test_a_filter_that_the_warehouse_refuses_is_refused_without_its_words(service):
    with pytest.raises(QueryError) as caught:
        ask(service, ALL, asked(metrics=["orders"], where=["order_id__lines like 'x'"]))
    assert str(caught.value).startswith("The warehouse cannot apply the filter: compare text")


def test_a_policy_is_held_against_the_definitions_before_the_first_question(snapshots, tmp_path):
    file = tmp_path / "p.yml"
    file.write_text("roles: {a: {metrics: [nothing]}}")
    with pytest.raises(ValueError, match="there is no metric 'nothing'"):
        PolicyGate(policies.read(file)).check(snapshots.current.layer)


# Limits ----------------------------------------------------------------------------------------


def test_rows_beyond_a_callers_limit_are_not_even_computed(service, snapshots, monkeypatch):
    layer = snapshots.current.layer
    real, statements = layer.warehouse.arrow, []

    def arrow(sql, *more):
        statements.append(sql)
        return real(sql, *more)

    monkeypatch.setattr(layer.warehouse, "arrow", arrow)
    few = Caller("few", ("all",), limits=Limits(rows=10))
    by_day = asked(metrics=["orders"], group_by=["metric_time__day"])
    for _ in range(2):
        with pytest.raises(LimitError, match="more than 10 rows; few may take 10"):
            ask(service, few, by_day)
    assert statements[0].rstrip().endswith("LIMIT 11")
    assert len(statements) == 1  # the second refusal was there already
    assert len(rows(ask(service, few, asked(metrics=["orders"], group_by=["metric_time__day"],
                                         limit=10)))) == 10  # fmt: skip


def test_an_answer_within_a_callers_limit_is_the_same_answer_as_anybodys(service):
    few = Caller("few", ("all",), limits=Limits(rows=10))
    first = ask(service, few)
    second = ask(service, ALL)
    assert second.cached
    assert second.table is first.table
    assert first.query.limit is None


def test_megabytes_seconds_and_questions_in_a_minute_are_limited(service, snapshots, monkeypatch):
    small = Caller("small", ("all",), limits=Limits(megabytes=0.000_1))
    by_day = asked(metrics=["orders"], group_by=["metric_time__day"])
    with pytest.raises(LimitError, match="MB; small may take"):
        ask(service, small, by_day)
    for _ in range(3):  # of the role
        ask(service, GERMANY, asked(metrics=["orders"]))
    with pytest.raises(LimitError) as caught:
        ask(service, GERMANY, asked(metrics=["orders"]))
    assert 0 < caught.value.retry_after <= 20
    monkeypatch.setattr(snapshots.current.layer.warehouse, "arrow", endless(snapshots))
    begun = time.monotonic()
    with pytest.raises(StoppedError):
        ask(
            service, Caller("hasty", ("all",), limits=Limits(seconds=0.2)), by_day, read_cache=False
        )
    assert time.monotonic() - begun < SOON


def test_a_role_that_is_not_limited_does_not_lift_the_limit_of_a_token(service):
    few = Caller("few", ("germany", "all"), limits=Limits(rows=1))
    with pytest.raises(LimitError, match="may take 1:"):
        ask(service, few)


def test_as_many_questions_run_at_once_as_a_token_may(service, snapshots, monkeypatch):
    one = Caller("one", ("all",), limits=Limits(at_once=1))
    monkeypatch.setattr(snapshots.current.layer.warehouse, "arrow", endless(snapshots))
    stop, stopped = Cancellation(), []
    running = threading.Thread(target=lambda: stopped.append(outcome(ask, service, one, stop=stop)))
    running.start()
    deadline = time.monotonic() + 5
    while not service.meter._running and time.monotonic() < deadline:
        time.sleep(0.01)
    with pytest.raises(LimitError, match="may run 1 questions at once"):
        ask(service, one, asked(metrics=["orders"]))
    stop.set()
    running.join(SOON)
    assert stopped == [StoppedError]


@pytest.mark.parametrize("statement", [1, 2, 3])
def test_a_stop_ends_the_answer_and_the_counts_behind_it_at_once(
    service, snapshots, monkeypatch, statement
):
    # The values, all that stands behind them, and what the filter takes of that.
    question = asked(
        metrics=["satisfaction_rate"], group_by=["metric_time__month"],
        where=["answer__team <> 'rare'"],
    )  # fmt: skip
    ask(service, ALL, question)
    monkeypatch.setattr(snapshots.current.layer.warehouse, "arrow", endless(snapshots, statement))
    stop = Cancellation()
    threading.Timer(0.2, stop.set).start()
    begun = time.monotonic()
    with pytest.raises(StoppedError):
        ask(service, ALL, question, stop=stop, read_cache=False)
    assert time.monotonic() - begun < SOON


def outcome(call, *arguments, **more):
    try:
        return call(*arguments, **more)
    except Exception as problem:  # noqa: BLE001 - it is looked at by who called
        return type(problem)


def endless(snapshots, after=1):
    """The warehouse, where one statement would take minutes."""
    real, calls = snapshots.current.layer.warehouse.arrow, []

    def arrow(sql, *more):
        calls.append(sql)
        return real(ENDLESS if len(calls) == after else sql, *more)

    return arrow


def test_a_token_for_names_alone_asks_no_numbers_and_the_other_way_round(service):
    names = Caller("names", ("all",), frozenset({"metadata"}))
    numbers = Caller("numbers", ("all",), frozenset({"query"}))
    assert service.kpis(names)
    assert rows(ask(service, numbers))
    for refused in (lambda: ask(service, names),
                    lambda: service.sql(RequestContext(names, "test"), BY_MONTH),
                    lambda: service.kpis(numbers), lambda: service.saved_queries(numbers),
                    lambda: service.dimensions(numbers, ("orders",))):  # fmt: skip
        with pytest.raises(NotAllowedError, match="needs a token with the scope"):
            refused()


# The record ------------------------------------------------------------------------------------


def test_every_question_is_recorded_answered_or_not(service, tmp_path):
    token = Caller("dashboard", ("france",), token="a1b2c3d4")  # noqa: S106 - an identifier
    where = ["order_id__channel = 'web'"]
    ask(service, token, asked(metrics=["revenue"], group_by=["METRIC_TIME__month"], where=where))
    ask(service, token, asked(metrics=["revenue"], group_by=["metric_time__month"], where=where))
    for question, kind in (
        (asked(metrics=["stock_level"]), UnknownNameError),
        (asked(metrics=["revenue"], where=["1 = 1; drop table x"]), QueryError),
    ):
        with pytest.raises(kind):
            ask(service, token, question)
    with pytest.raises(NotAllowedError):
        ask(service, Caller("nobody"), BY_MONTH)
    service.audit.close()
    first, second, unknown, hostile, nobody = read(tmp_path / "audit").entries
    assert (first.caller, first.token, first.role) == ("dashboard", "a1b2c3d4", "france")
    assert (first.metrics, first.where, first.rows) == (("revenue@1",), tuple(where), 3)
    assert (first.outcome, first.cached, second.cached) == ("answered", False, True)
    assert "FR" not in str(first)  # the role's own filter is in the policy
    assert (unknown.outcome, hostile.outcome, nobody.outcome) == ("refused", "failed", "refused")
    assert hostile.where == ("1 = 1; drop table x",)
    assert "no role" in nobody.reason


# A server --------------------------------------------------------------------------------------


def test_a_server_takes_policy_tokens_and_record_from_its_files(guarded, tmp_path):
    found = artifacts.find(None, guarded, guarded.parents[1] / "guarded.duckdb")
    places = {
        "tokens": tmp_path / "cadran_tokens.json", "policy": tmp_path / "cadran_policy.yml",
        "audit": tmp_path / "audit",
    }  # fmt: skip
    places["policy"].write_text("roles: {a: {metrics: [nothing]}}")
    with pytest.raises(PolicyError, match="there is no metric 'nothing'"):
        prepare(found, Settings(**places))
    places["policy"].write_text(POLICY)
    with pytest.raises(ProjectError, match="there is no token"):
        prepare(found, Settings(host="0.0.0.0", **places))  # noqa: S104 - it is refused
    secret, _ = tokens.create(places["tokens"], "dashboard", roles=("france",))
    server_context, _ = prepare(found, Settings(**places))
    try:
        caller = server_context.caller(f"Bearer {secret}")
        confined = server_context.service.ask(RequestContext(caller, "test"), BY_MONTH)
        with pytest.raises(UnauthenticatedError):
            server_context.caller("Bearer something else")
    finally:
        server_context.workers.shutdown()
        server_context.service.close()
    (entry,) = read(places["audit"]).entries
    assert (entry.caller, entry.role, entry.rows) == ("dashboard", "france", 3)
    assert confined.query.confined

"""Questions: judged, run once, kept, stopped and recorded; and data that is swapped under it."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import duckdb
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from cadran.access.caller import LOCAL, Caller, Limits
from cadran.core.project import artifacts
from cadran.core.query.request import Query
from cadran.core.warehouse import Confinement
from cadran.errors import LimitError, StoppedError, UnknownNameError, WarehouseError
from cadran.server.health import routes
from cadran.serving.execution import Cache, Cancellation
from cadran.serving.service import QueryService, RequestContext
from cadran.serving.snapshots import SnapshotStore

BY_MONTH = Query.of({"metrics": ["revenue", "orders"], "group_by": ["metric_time__month"]})
MARKS = """create schema if not exists governance;
create or replace table governance.build_marks as
select '{}' as state, 'i' as invocation_id, now()::timestamp as marked_at"""
# A question that takes minutes: the warehouse's own functions make the rows.
SOON = 10  # seconds, of a statement that would take minutes
ENDLESS = "select count(*) as n from range(20000) a, range(20000) b, range(20000) c"


class Record:
    """Keeps what is recorded, for tests to look at."""

    def __init__(self):
        self.entries = []

    def write(self, entry):
        self.entries.append(entry)

    def close(self):
        pass


@pytest.fixture
def home(tiny, tmp_path):
    """A project of its own: its warehouse may be written."""
    shutil.copytree(tiny.parent, tmp_path / "target", ignore=shutil.ignore_patterns("cadran"))
    shutil.copy(tiny.parents[1] / "tiny.duckdb", tmp_path / "tiny.duckdb")
    return tmp_path


@pytest.fixture
def found(home):
    return artifacts.find(None, home / "target" / "semantic_manifest.json", home / "tiny.duckdb")


@pytest.fixture
def service(found):
    made = QueryService(SnapshotStore(found, confined=Confinement(), every=0.05), audit=Record())
    yield made
    made.close()


def asked(caller=LOCAL, **more):
    return RequestContext(caller, "test", **more)


def write(home, sql):
    with duckdb.connect(str(home / "tiny.duckdb")) as connection:
        connection.execute(sql)


def revenue(handed):
    return [str(row["revenue"]) for row in handed.table.to_pylist()]


def slow(service, monkeypatch, sql=ENDLESS):
    """Make the layer's next answers take minutes, in the warehouse itself."""
    layer = service.snapshots.current.layer
    real = layer.warehouse.arrow
    calls = []

    def arrow(statement, dates=()):
        calls.append(statement)
        return real(sql if "revenue" in statement else statement, dates)

    monkeypatch.setattr(layer.warehouse, "arrow", arrow)
    return calls


def wait_until(happened):
    until = time.monotonic() + SOON
    while not happened():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_an_answer_is_the_layers_own_and_the_second_one_was_kept(service, shop):
    first, second = service.ask(asked(), BY_MONTH), service.ask(asked(), BY_MONTH)
    expected = shop.query(["revenue", "orders"], ["metric_time__month"]).to_arrow()
    assert first.table.equals(expected)
    assert (first.cached, second.cached) == (False, True)
    assert second.table is first.table


def test_a_question_that_is_not_kept_is_not_answered_on_the_event_loop(service):
    assert service.cached(asked(), BY_MONTH) is None
    service.ask(asked(), BY_MONTH)
    assert service.cached(asked(), BY_MONTH).cached
    assert service.cached(asked(read_cache=False), BY_MONTH) is None


def test_identical_questions_in_flight_run_once(service, monkeypatch):
    layer = service.snapshots.current.layer
    real, calls = layer.answer, []

    def slowly(query):
        calls.append(query)
        time.sleep(0.3)
        return real(query)

    monkeypatch.setattr(layer, "answer", slowly)
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: service.ask(asked(), BY_MONTH), range(16)))
    # Until when the numbers are whole is asked beside it, of times alone.
    assert len([query for query in calls if query.metrics]) == 1
    assert len({id(handed) for handed in answers}) == 1


def test_a_stop_interrupts_the_statement_at_once(service, monkeypatch):
    slow(service, monkeypatch)
    stop = Cancellation()
    threading.Timer(0.3, stop.set).start()
    begun = time.monotonic()
    with pytest.raises(StoppedError):
        service.ask(asked(stop=stop), BY_MONTH)
    assert time.monotonic() - begun < SOON
    assert service.audit.entries[-1].outcome == "stopped"


def test_who_goes_away_does_not_stop_the_question_of_who_stays(service, monkeypatch):
    layer = service.snapshots.current.layer
    real, begun = layer.answer, threading.Event()

    def slowly(query):
        begun.set()
        time.sleep(0.5)
        return real(query)

    monkeypatch.setattr(layer, "answer", slowly)
    stop = Cancellation()
    with ThreadPoolExecutor(2) as pool:
        gone = pool.submit(service.ask, asked(stop=stop), BY_MONTH)
        begun.wait()
        stays = pool.submit(service.ask, asked(), BY_MONTH)
        time.sleep(0.1)
        stop.set()
        assert revenue(stays.result()) == ["30.30", "121.20"]
        gone.exception()


def test_a_question_that_takes_longer_than_its_caller_may_is_stopped(service, monkeypatch):
    slow(service, monkeypatch)
    hurried = Caller("hurried", limits=Limits(seconds=0.2))
    begun = time.monotonic()
    with pytest.raises(StoppedError):
        service.ask(asked(hurried), BY_MONTH)
    assert time.monotonic() - begun < SOON


def test_limits_say_what_would_be_within_them(service):
    with pytest.raises(LimitError, match="may take 1: ask for fewer"):
        service.ask(asked(Caller("a", limits=Limits(rows=1))), BY_MONTH)
    with pytest.raises(LimitError, match=r"may take 1e-05 MB"):
        service.ask(asked(Caller("b", limits=Limits(megabytes=0.00001))), BY_MONTH)
    thrifty = Caller("c", limits=Limits(per_minute=2))
    service.ask(asked(thrifty), BY_MONTH)
    service.ask(asked(thrifty), BY_MONTH)
    with pytest.raises(LimitError, match="2 questions in a minute") as refused:
        service.ask(asked(thrifty), BY_MONTH)
    assert 0 < refused.value.retry_after <= 30
    assert [entry.outcome for entry in service.audit.entries][-1] == "limited"


def test_as_many_questions_run_at_once_as_the_caller_may(service, monkeypatch):
    calls = slow(service, monkeypatch)
    single, stop = Caller("single", limits=Limits(at_once=1)), Cancellation()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(service.ask, asked(single, stop=stop), BY_MONTH)
        wait_until(lambda: calls)
        other = Query.of({"metrics": ["revenue"], "group_by": ["metric_time__day"]})
        with pytest.raises(LimitError, match="1 questions at once"):
            service.ask(asked(single), other)
        stop.set()
        assert isinstance(first.exception(), StoppedError)


def test_every_question_is_recorded_with_its_outcome(service):
    service.ask(asked(), BY_MONTH)
    with pytest.raises(UnknownNameError):
        service.ask(asked(), Query.of({"metrics": ["revenues"]}))
    service.sql(asked(), BY_MONTH)
    shown = [(entry.kind, entry.outcome, entry.rows) for entry in service.audit.entries]
    assert shown == [("query", "answered", 2), ("query", "refused", 0), ("sql", "answered", 0)]


def test_a_new_build_is_taken_over_and_an_old_answer_is_never_given_again(service, home):
    assert revenue(service.ask(asked(), BY_MONTH)) == ["30.30", "121.20"]
    before = service.snapshots.current
    assert not service.snapshots.refresh()
    write(home, "update shop.orders set amount = 1")
    assert revenue(service.ask(asked(), BY_MONTH)) == ["30.30", "121.20"]
    assert service.snapshots.refresh()
    assert revenue(service.ask(asked(), BY_MONTH)) == ["2.00", "3.00"]
    assert service.snapshots.current.id != before.id
    assert not before.folder.exists()


def test_a_build_that_failed_or_is_under_way_is_not_taken_over(service, home):
    service.snapshots.refresh(force=True)
    write(home, "update shop.orders set amount = 1;" + MARKS.format("failed"))
    with pytest.raises(WarehouseError, match="marked 'failed'"):
        service.snapshots.refresh()
    write(home, MARKS.format("building"))
    with pytest.raises(WarehouseError, match="marked 'building'"):
        service.snapshots.refresh()
    with (
        held(home / "tiny.duckdb"),
        pytest.raises(WarehouseError, match="held by another process"),
    ):
        service.snapshots.refresh()
    assert revenue(service.ask(asked(), BY_MONTH)) == ["30.30", "121.20"]
    write(home, MARKS.format("finished"))
    assert service.snapshots.refresh()
    assert revenue(service.ask(asked(), BY_MONTH)) == ["2.00", "3.00"]


def test_builds_go_on_under_clients_without_an_error_or_a_mixed_answer(service, home):
    service.snapshots.refresh(force=True)
    service.snapshots.watch()
    ended, seen, problems = threading.Event(), set(), []

    def client():
        while not ended.is_set():
            try:
                rows = service.ask(asked(read_cache=False), BY_MONTH).table.to_pylist()
            except Exception as problem:  # noqa: BLE001 - whatever it is, it is the finding
                problems.append(problem)
                return
            prices = {row["revenue"] / row["orders"] for row in rows}
            seen.add(tuple(prices))

    write(home, "update shop.orders set amount = 100")
    while revenue(service.ask(asked(), BY_MONTH)) != ["200.00", "300.00"]:
        time.sleep(0.02)
    clients = [threading.Thread(target=client) for _ in range(4)]
    for thread in clients:
        thread.start()
    for number in range(5):
        # Both halves of a build, each a transaction of its own: nobody may see one alone.
        script = (
            "import duckdb, sys, time\n"
            "for _ in range(100):\n"
            "    try: c = duckdb.connect(sys.argv[1]); break\n"
            "    except duckdb.IOException: time.sleep(0.02)\n"
            'c.execute(f"update shop.orders set amount = {sys.argv[2]} '
            "where ordered_date < '2026-02-01'\")\n"
            "time.sleep(0.1)\n"
            'c.execute(f"update shop.orders set amount = {sys.argv[2]}")\n'
        )
        command = [sys.executable, "-c", script, home / "tiny.duckdb", str(number + 1)]
        subprocess.run(command, check=True)
        wait_until(lambda: problems or (number + 1,) in seen)  # noqa: B023 - called at once
    ended.set()
    for thread in clients:
        thread.join()
    assert problems == []
    assert all(len(prices) == 1 for prices in seen)
    assert len(seen) >= 5


def test_copies_of_servers_that_were_killed_are_removed(service, home):
    serving = home / "target" / "cadran" / "serving"
    left = serving / "1-abcd" / "1"
    left.mkdir(parents=True)
    service.snapshots.refresh(force=True)
    assert not left.exists()
    (kept,) = serving.iterdir()
    service.close()
    assert not kept.exists()


@pytest.fixture
def begun(found):
    """Begins a server's states, and ends them with the test."""
    stores = []

    def begin():
        stores.append(SnapshotStore(found, confined=Confinement()))
        stores[-1].begin()
        return stores[-1]

    yield begin
    for store in stores:
        store.close()


def by_month(store):
    with store.layer() as layer:
        return [str(row["revenue"]) for row in layer.answer(BY_MONTH).to_arrow().to_pylist()]


@contextlib.contextmanager
def held(file):
    """While another process writes a file, as a build does."""
    code = "import duckdb,sys; c = duckdb.connect(sys.argv[1]); print(1, flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code, file], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as writer:
        writer.stdout.readline()
        yield
        writer.communicate(b"\n")


def test_a_server_that_begins_beside_a_build_serves_what_a_killed_one_had(begun, home):
    killed = begun()
    killed._copies._lock.close()  # as the system does for a process that ends
    write(home, "update shop.orders set amount = 1;" + MARKS.format("building"))
    with held(home / "tiny.duckdb"):
        first = begun()
    assert first.current.id == killed.current.id
    assert by_month(first) == ["30.30", "121.20"]
    assert "held by another process" in first.problem
    first._copies._lock.close()
    second = begun()  # the build was killed as well
    assert by_month(second) == ["30.30", "121.20"]
    assert "marked 'building'" in second.problem
    write(home, MARKS.format("finished"))
    assert second.refresh()
    assert (by_month(second), second.problem) == (["2.00", "3.00"], "")


def test_a_server_that_finds_a_build_half_done_and_nothing_else_says_so(begun, home):
    write(home, "update shop.orders set amount = 1;" + MARKS.format("building"))
    store = begun()
    assert by_month(store) == ["2.00", "3.00"]
    context = SimpleNamespace(service=SimpleNamespace(snapshots=store), run=asyncio.to_thread)
    told = TestClient(Starlette(routes=routes(context, None))).get("/health").json()
    assert told["behind"] == "Serving what there is: the last build did not end well."
    assert not list(home.glob("target/cadran/serving/*/*/state.json"))  # nobody takes it for whole


def test_the_warehouse_of_a_server_reaches_no_file_and_changes_no_setting(service, home):
    warehouse = service.snapshots.current.layer.warehouse
    outside = home / "outside.csv"
    outside.write_text("a\n1\n")
    for statement in (
        f"select * from read_csv('{outside}')",
        f"select * from '{outside}'",
        f"copy (select 1) to '{home / 'stolen.csv'}'",
        f"attach '{home / 'other.duckdb'}' as other",
        "set memory_limit = '1TB'",
        "set enable_external_access = true",
        "install httpfs",
        "update shop.orders set amount = 0",
    ):
        with pytest.raises(WarehouseError):
            warehouse.arrow(statement)
    assert not Path(home / "stolen.csv").exists()


def test_the_cache_stays_within_its_bytes_and_keeps_what_was_used_last(service):
    answer = service.ask(asked(), BY_MONTH)
    cache = Cache(5 * answer.size)
    for number in range(20):
        cache.put(number, answer)
        cache.get(0)
    assert cache.weight <= 5 * answer.size
    assert 0 in cache
    assert 19 in cache
    assert 1 not in cache
    cache.keep(lambda _: False)
    assert (len(cache), cache.weight) == (0, 0)
    small = Cache(2 * answer.size)
    small.put("too large a part", answer)
    assert len(small) == 0

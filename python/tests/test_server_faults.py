"""Faults around a server: a warehouse without tables, a full disk, a signal, a port in use."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

import duckdb
import httpx
import pytest

from cadran.access.caller import LOCAL
from cadran.audit.log import Entry, NoAudit, Record
from cadran.cli import main
from cadran.core.project import artifacts
from cadran.core.query.request import Query
from cadran.errors import ClosingError, RecordError, UnknownNameError, WarehouseError
from cadran.server.run import serving
from cadran.server.settings import Settings
from cadran.serving.service import QueryService, RequestContext
from cadran.serving.snapshots import SnapshotStore

REVENUE = Query.of({"metrics": ["revenue"]})
ENDLESS = "select count(*) as n from range(20000) a, range(20000) b, range(20000) c"

PART = "create schema shop; create view shop.orders as select 1 as a"


@pytest.fixture
def shop(tiny, tmp_path):
    """A project of its own: its warehouse may be replaced."""
    shutil.copytree(tiny.parent, tmp_path / "target", ignore=shutil.ignore_patterns("cadran"))
    shutil.copy(tiny.parents[1] / "tiny.duckdb", tmp_path / "tiny.duckdb")
    manifest = tmp_path / "target" / "semantic_manifest.json"
    return artifacts.find(None, manifest, tmp_path / "tiny.duckdb")


def settings(home, **more):
    apart = {"tokens": home / "tokens.json", "policy": home / "policy.yml"}
    return Settings(
        port=0, flight_port=None, warm=False, refresh=0.0, audit=home / "audit", **apart | more
    )


def full(home):
    """A record whose disk has no room."""
    (home / "audit").mkdir()
    (home / "audit" / f"{time.strftime('%Y-%m', time.gmtime())}.jsonl").symlink_to("/dev/full")


def test_a_warehouse_without_the_tables_is_not_taken_over(shop, tmp_path):
    service = QueryService(SnapshotStore(shop, every=600), audit=NoAudit())
    asked = RequestContext(LOCAL, "rest", read_cache=False)
    try:
        before = service.ask(asked, REVENUE)
        good = shop.database.rename(tmp_path / "good.duckdb")
        for statements in (
            "create table t (a int)",
            "create schema shop; create view shop.orders as select 1 as a",
        ):
            shop.database.unlink(missing_ok=True)
            with duckdb.connect(str(shop.database)) as connection:
                connection.execute(statements)
            for force in (False, True):
                with pytest.raises(WarehouseError, match=r"lacks \d tables .* such as shop\."):
                    service.snapshots.refresh(force=force)
            assert service.ask(asked, REVENUE).table == before.table
        assert len(list(service.snapshots.current.folder.parent.glob("[0-9]*"))) == 1

        shop.database.unlink()
        good.rename(shop.database)
        with duckdb.connect(str(shop.database)) as connection:
            connection.execute("update shop.orders set amount = amount + 1")
        assert service.snapshots.refresh()
        assert service.ask(asked, REVENUE).table != before.table
    finally:
        service.close()


def test_what_cannot_be_recorded_is_counted_and_where_it_must_be_is_not_answered(shop, tmp_path):
    full(tmp_path)
    for must in (False, True):
        with (
            serving(shop, settings(tmp_path, must_record=must)) as running,
            httpx.Client(base_url=running.http) as http,
        ):
            status = 503 if must else 200
            for _ in range(2):
                told = http.get("/api/v1/query?metrics=revenue")
                assert told.status_code == status
            if must:
                assert "cannot be recorded" in told.json()["detail"]
            until = time.monotonic() + 5
            while "cadran_record_lost_total 0" in http.get("/metrics").text:
                assert time.monotonic() < until
                time.sleep(0.05)


def test_a_strict_record_has_each_entry_before_it_goes_on(tmp_path):
    record = Record(tmp_path / "audit", strict=True)
    record.write(Entry("ana", "rest", "query"))
    (file,) = (tmp_path / "audit").iterdir()
    assert file.read_text().count("\n") == 1
    record.close()
    shutil.rmtree(tmp_path / "audit")
    full(tmp_path)
    record = Record(tmp_path / "audit", strict=True)
    with pytest.raises(RecordError):
        record.write(Entry("ana", "rest", "query"))
    assert record.lost == 1
    record.close()


def test_a_name_that_is_refused_is_recorded_as_refused(shop):
    class Kept(NoAudit):
        def __init__(self):
            self.entries = []

        def write(self, entry):
            self.entries.append(entry)

    service = QueryService(SnapshotStore(shop), audit=Kept())
    with pytest.raises(UnknownNameError):
        service.ask(RequestContext(LOCAL, "rest"), Query.of({"metrics": ["no_such_metric"]}))
    assert service.audit.entries[-1].outcome == "refused"
    service.close()


def test_questions_in_flight_end_with_the_server(shop):
    service = QueryService(SnapshotStore(shop))
    layer = service.snapshots.current.layer
    layer.answer = lambda _: layer.warehouse.arrow(ENDLESS)
    caught = []

    def ask():
        try:
            service.ask(RequestContext(LOCAL, "rest"), REVENUE)
        except ClosingError as problem:
            caught.append(problem)

    asking = threading.Thread(target=ask)
    asking.start()
    time.sleep(0.5)
    service.end()
    asking.join(10)
    assert len(caught) == 1
    with pytest.raises(ClosingError):
        service.ask(RequestContext(LOCAL, "rest"), REVENUE)
    service.close()


SLOW = f"""
import sys
from cadran.core.layer import Layer
Layer.answer = lambda self, _: self.warehouse.arrow({ENDLESS!r})
from cadran.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("is_busy", [True, False])
def test_a_signal_ends_the_server_soon_and_in_silence(shop, tmp_path, is_busy):
    code = (
        SLOW if is_busy else "import sys; from cadran.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    command = [
        sys.executable, "-c", code, "serve", "--port", "0", "--flight-port", "0",
        "--manifest", shop.semantic_manifest_path, "--database", shop.database,
        "--audit", tmp_path / "audit",
    ]  # fmt: skip
    server = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    )
    http = server.stdout.readline().split()[1]
    told = []
    url = f"{http}/api/v1/query?metrics=revenue&read_cache=false"
    asking = threading.Thread(target=lambda: told.append(httpx.get(url, timeout=60)))
    asking.start()
    asking.join(2 if is_busy else 60)
    begun = time.monotonic()
    server.send_signal(signal.SIGTERM)
    said = server.communicate(timeout=30)[1]
    asking.join()
    assert time.monotonic() - begun < 12
    assert told[0].status_code == (503 if is_busy else 200), told[0].text
    assert "Traceback" not in said
    assert "nanobind" not in said


def test_a_port_in_use_is_named(shop, capsys, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for flags in (["--port", str(port)], ["--port", "0", "--flight-port", str(port)]):
            code = main(
                ["serve", *flags, "--manifest", str(shop.semantic_manifest_path),
                 "--database", str(shop.database), "--audit", str(tmp_path / "audit")]
            )  # fmt: skip
            assert code == 2
            said = capsys.readouterr().err
            assert f"ort {port} of 127.0.0.1" in said or f"127.0.0.1:{port}" in said


def test_addresses_that_are_printed_work(shop, tmp_path):
    with serving(shop, settings(tmp_path, host="::1")) as running:
        assert running.http.startswith("http://[::1]:")
        for path in ("/", "/health", "/health/ready", "/api/v1", "/metrics"):
            assert httpx.get(running.http + path).status_code == 200, path
        named = httpx.get(f"{running.http}/").json()
        assert httpx.get(running.http + named["documentation"]).status_code == 200

"""The record of questions: whole lines whatever happens, and what is read out of it."""

from __future__ import annotations

import datetime as dt
import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cadran.access.authorize import audit
from cadran.audit import log, usage
from cadran.audit.log import Entry
from cadran.cli import main

ROOT = Path(__file__).resolve().parents[2]
NOVEMBER = dt.datetime(2026, 11, 23, 8, 30, tzinfo=dt.UTC)


def entry(**more):
    given = {
        "caller": "dashboard", "protocol": "rest", "kind": "query", "metrics": ("revenue@3",),
        "group_by": ("metric_time__month",), "where": ("order_id__channel = 'café ☕ \n'",),
        "role": "france", "token": "a1b2c3d4", "rows": 12, "seconds": 0.0123456789,
        "cached": True, "at": NOVEMBER,
    }  # fmt: skip
    return Entry(**(given | more))


def test_what_is_read_is_what_was_written(tmp_path):
    kept = audit(tmp_path / "audit")
    written = [
        entry(),
        entry(outcome="refused", reason="There is no metric 'x'.", metrics=("x",), rows=0),
        entry(caller="é\udc80", role=None, token=None, cached=False),
    ]
    for one in written:
        kept.write(one)
    kept.close()
    found = log.read(tmp_path / "audit")
    assert found.torn == ()
    assert found.entries[0] == entry(seconds=0.012346)
    assert found.entries[1].reason == "There is no metric 'x'."
    assert len(found.entries) == 3


def test_there_is_one_file_a_month_for_its_owner_alone_one_line_an_entry(tmp_path):
    kept = log.Record(tmp_path / "audit")
    for month in (10, 11, 10):
        kept.write(entry(at=NOVEMBER.replace(month=month)))
    kept.close()
    files = log.files(tmp_path / "audit")
    assert [file.name for file in files] == ["2026-10.jsonl", "2026-11.jsonl"]
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in files)
    assert stat.S_IMODE((tmp_path / "audit").stat().st_mode) == 0o700
    lines = files[0].read_text().splitlines()
    assert len(lines) == 2
    line = json.loads(lines[0])
    assert line["at"] == "2026-10-23T08:30:00.000+00:00"
    assert list(line) == [
        "at", "caller", "protocol", "kind", "metrics", "group_by", "where", "outcome", "role",
        "token", "rows", "seconds", "cached",
    ]  # fmt: skip


def test_an_instant_of_another_zone_is_recorded_in_utc(tmp_path):
    kept = log.Record(tmp_path)
    kept.write(entry(at=dt.datetime(2026, 11, 1, 0, 30, tzinfo=dt.timezone(dt.timedelta(hours=2)))))
    kept.close()
    (found,) = log.read(tmp_path).entries
    assert found.at.isoformat() == "2026-10-31T22:30:00+00:00"


def test_a_torn_line_is_skipped_and_told_and_does_not_tear_the_next(tmp_path):
    kept = log.Record(tmp_path)
    kept.write(entry())
    kept.close()
    file = tmp_path / "2026-11.jsonl"
    with file.open("ab") as stream:
        stream.write(file.read_bytes()[:40])
    kept = log.Record(tmp_path)
    kept.write(entry(caller="after"))
    kept.close()
    found = log.read(tmp_path)
    assert found.torn == ("2026-11.jsonl:2",)
    assert [one.caller for one in found.entries] == ["dashboard", "after"]


WRITER = """
import datetime as dt, sys
from pathlib import Path
from cadran.audit.log import Entry, Record
kept = Record(Path(sys.argv[1]))
for number in range(10**9):
    kept.write(Entry("killed", "rest", "query", ("revenue@1",), rows=number,
        at=dt.datetime(2026, 11, 23, tzinfo=dt.UTC)))
    if number == 200:
        print("going", flush=True)
"""


def test_a_server_that_is_killed_leaves_one_torn_line_at_most(tmp_path):
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, tmp_path], stdout=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT / "python")},
    )  # fmt: skip
    try:
        assert writer.stdout.readline() == "going\n"
        time.sleep(0.3)
    finally:
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
    kept = log.Record(tmp_path)
    kept.write(entry(caller="after"))
    kept.close()
    found = log.read(tmp_path)
    assert len(found.torn) <= 1
    *numbers, last = found.entries
    assert last.caller == "after"
    assert [one.rows for one in numbers] == list(range(len(numbers)))
    assert len(numbers) > 100


def test_threads_and_servers_that_share_a_folder_do_not_mix_their_lines(tmp_path):
    records = [log.Record(tmp_path) for _ in range(3)]

    def write(at):
        records[at % 3].write(entry(caller=f"c{at}", where=("x" * at,)))

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(write, range(600)))
    for kept in records:
        kept.close()
    found = log.read(tmp_path)
    assert found.torn == ()
    assert {one.caller for one in found.entries} == {f"c{at}" for at in range(600)}


class Slow(log.Record):
    """A record on a disk that stands still until it is let go on."""

    def __init__(self, folder):
        super().__init__(folder, most=5, wait=0.01)
        self.began, self.go_on = threading.Event(), threading.Event()

    def _append(self, one):
        self.began.set()
        self.go_on.wait()
        super()._append(one)


def test_what_a_full_queue_gives_up_is_counted_logged_and_recorded(tmp_path, caplog):
    kept = Slow(tmp_path)
    for at in range(10):
        kept.write(entry(caller=f"c{at}"))
        kept.began.wait()
    assert kept.lost == 4  # one is being written, five wait
    assert "1 entries were lost" in caplog.text
    kept.go_on.set()
    kept.close()
    *found, last = log.read(tmp_path).entries
    assert [one.caller for one in found] == [f"c{at}" for at in range(6)]
    assert (last.kind, last.reason[:22]) == ("lost", "4 entries before this ")


def test_a_disk_that_refuses_is_logged_and_does_not_stop_the_server(tmp_path, caplog):
    (tmp_path / "audit").write_text("a file where the folder should be")
    kept = log.Record(tmp_path / "audit")
    kept.write(entry())
    kept.close()
    assert kept.lost == 1
    assert "could not be recorded" in caplog.text


def test_usage_counts_questions_callers_and_refusals_of_each_kpi():
    entries = [
        entry(),
        entry(caller="ana", cached=False, at=NOVEMBER + dt.timedelta(days=1)),
        entry(metrics=("revenue@2", "amount_per_order@1")),
        entry(outcome="refused"),
        entry(outcome="failed"),
        entry(protocol="warm-up"),
        entry(metrics=("orders",)),
    ]
    found = usage.of(entries, ["revenue", "amount_per_order", "stock_level"])
    revenue = found["revenue"].row()
    assert (revenue["questions"], revenue["refused"], revenue["callers"]) == (3, 1, 2)
    assert revenue["asked_by"] == ["dashboard", "ana"]
    assert revenue["cached"] == 2
    assert revenue["last_asked"] == NOVEMBER + dt.timedelta(days=1)
    assert found["amount_per_order"].questions == 1
    assert found["stock_level"].row()["last_asked"] is None


@pytest.fixture
def place(guarded):
    database = guarded.parents[1] / "guarded.duckdb"
    return ["--manifest", str(guarded), "--database", str(database)]


def test_the_command_shows_who_uses_what_as_a_table_csv_and_json(tmp_path, place, capsys):
    kept = log.Record(tmp_path)
    kept.write(entry(at=NOVEMBER - dt.timedelta(days=60)))
    kept.write(entry(caller="ana"))
    kept.close()
    with (tmp_path / "2026-11.jsonl").open("ab") as stream:
        stream.write(b'{"at": "2026')
    asked = ["usage", *place, "--audit", str(tmp_path)]
    assert main([*asked, "--format", "json"]) == 0
    out = capsys.readouterr()
    first, *others = json.loads(out.out)
    assert (first["kpi"], first["questions"], first["callers"]) == ("revenue", 2, 2)
    assert [one["questions"] for one in others] == [0, 0, 0]
    assert "2026-11.jsonl:2 is torn" in out.err
    assert main([*asked, "--since", "2026-11-01", "--format", "csv"]) == 0
    assert "revenue,1,0,1,1,2026-11-23" in capsys.readouterr().out
    assert main(asked) == 0
    assert capsys.readouterr().out.splitlines()[2].split()[:2] == ["revenue", "2"]
    assert main([*asked, "--since", "later"]) == 2
    assert main(["usage", *place, "--audit", str(tmp_path / "none")]) == 0
    assert "no question is recorded" in capsys.readouterr().err


def test_the_folder_is_that_of_the_server(tmp_path, monkeypatch):
    assert usage.folder_of(tmp_path) == tmp_path / "audit"
    (tmp_path / "cadran_server.yml").write_text("audit: questions")
    assert usage.folder_of(tmp_path) == tmp_path / "questions"
    monkeypatch.setenv("CADRAN_SERVER_AUDIT", "elsewhere")
    assert usage.folder_of(tmp_path) == tmp_path / "elsewhere"

"""Heavy questions: within a share of the memory, spilled to disk, in a queue with an end."""

from __future__ import annotations

import asyncio
import threading

import pytest

from cadran.core.project import artifacts
from cadran.core.warehouse import Confinement
from cadran.errors import LimitError
from cadran.server import run
from cadran.server.settings import Settings
from cadran.serving import memory
from cadran.serving.snapshots import SnapshotStore

HEAVY = """select count(*) as n from (
    select (a.range * 7919) % 2999999 || 'xxxxxxxxxxxxxxxxxxxxxxxxxxx' as k, random() as r
    from range(3000000) a order by r
)"""
HUGE = "select array_agg(range::varchar) as everything from range(20000000)"


@pytest.fixture
def shop(tiny):
    return artifacts.find(None, tiny, tiny.parents[1] / "tiny.duckdb")


@pytest.fixture
def house(shop, tmp_path):
    made, _ = run.prepare(
        shop,
        Settings(
            port=0, flight_port=None, warm=False, refresh=0.0, workers=2, audit=tmp_path / "audit",
            tokens=tmp_path / "tokens.json", policy=tmp_path / "policy.yml",
        ),
    )  # fmt: skip
    yield made
    made.workers.shutdown()
    made.service.close()


def written(tmp_path, monkeypatch, container, machine="MemTotal:  8000000 kB\nMemFree: 1 kB\n"):
    files = [tmp_path / name for name in ("max", "bytes", "meminfo")]
    for file, text in zip(files, (container, None, machine), strict=True):
        if text is not None:
            file.write_text(text)
    monkeypatch.setattr(memory, "_LIMITS", tuple(files[:2]))
    monkeypatch.setattr(memory, "_MACHINE", files[2])


@pytest.mark.parametrize(
    ("container", "share"),
    [("2000000000\n", "1000MB"), ("max\n", "4096MB"), (None, "4096MB"), ("9" * 18, "4096MB")],
)
def test_the_share_is_of_the_container_and_else_of_the_machine(
    tmp_path, monkeypatch, container, share
):
    written(tmp_path, monkeypatch, container)
    assert memory.share() == share


def test_a_server_without_a_setting_takes_its_share(house):
    limit = house.service.snapshots.current.layer.warehouse.arrow(
        "select current_setting('memory_limit') as m, current_setting('temp_directory') as t"
    ).to_pylist()[0]
    number, unit = limit["m"].split()
    known = memory.available() / 2
    given = float(number) * {"MiB": 2**20, "GiB": 2**30, "TiB": 2**40}[unit]
    assert given == pytest.approx(known, rel=0.1)
    assert limit["t"] == str(house.service.snapshots.current.folder / "spill")


def test_what_is_too_much_for_the_memory_is_worked_on_on_disk_and_else_refused(shop):
    states = SnapshotStore(shop, confined=Confinement(memory="80MB", threads=1))
    try:
        warehouse = states.current.layer.warehouse
        assert warehouse.arrow(HEAVY).to_pylist() == [{"n": 3_000_000}]
        assert (states.current.folder / "spill").is_dir()
        with pytest.raises(LimitError, match="more memory than the warehouse may use"):
            warehouse.arrow(HUGE)
        assert warehouse.arrow("select 1 as n").to_pylist() == [{"n": 1}]
    finally:
        folder = states.current.folder
        states.close()
    assert not folder.exists()


def test_the_queue_of_questions_has_an_end(house):
    ready = threading.Event()

    async def many():
        waiting = [asyncio.ensure_future(house.run(ready.wait, 30)) for _ in range(100)]
        await asyncio.sleep(0.05)
        refused = [one for one in waiting if one.done()]
        with pytest.raises(LimitError) as caught:
            await house.run(lambda: 1)
        assert caught.value.retry_after
        ready.set()
        told = await asyncio.gather(*waiting, return_exceptions=True)
        assert await house.run(lambda: 1) == 1
        return refused, told

    refused, told = asyncio.run(many())
    assert len(refused) == sum(isinstance(one, LimitError) for one in told) == 100 - 2 * 17


def test_memory_is_given_back(monkeypatch):
    import pyarrow as pa

    pool = pa.default_memory_pool()
    table = pa.table({"a": list(range(1_000_000))})
    del table
    memory.give_back()
    assert pool.bytes_allocated() < 8_000_000
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda _: object())
    memory.give_back()  # where the system's allocator has no such call

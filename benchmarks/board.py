"""How quick the pages of the board are: one reader, fifty at once, bytes and statements a page.

Usage: python benchmarks/board.py, in a built project (`make demo`).
"""

from __future__ import annotations

import asyncio
import gzip
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import httpx

from cadran.core.project import artifacts
from cadran.server.run import serving
from cadran.server.settings import Settings

PAGES = ("/board", "/board/kpis", "/board/kpis/net_revenue", "/board/levels", "/board/incidents",
         "/board/impact", "/board/teams/support", "/board/search?q=revenue")  # fmt: skip
READERS, TIMES = 50, 20
PAUSE = 5.0  # seconds between two looks of a reader


def seconds(client: httpx.Client, page: str) -> float:
    """How long a page takes."""
    begun = time.perf_counter()
    client.get(page).raise_for_status()
    return time.perf_counter() - begun


def ninety_fifth(values: list[float]) -> float:
    """The 95th percentile."""
    return statistics.quantiles(values, n=20)[-1]


def main() -> None:
    """Print the table."""
    home = Path(tempfile.mkdtemp())
    settings = replace(
        Settings(), port=0, flight_port=None, audit=home / "audit", tokens=home / "tokens.json",
        policy=home / "policy.yml", warm=False,
    )  # fmt: skip
    project = artifacts.find(".", None, None)
    with serving(project, settings) as running:
        layer = running.server_context.service.snapshots.current.layer
        statements: list[str] = []
        run = layer.warehouse.arrow
        layer.warehouse.arrow = lambda sql, *rest: statements.append(sql) or run(sql, *rest)
        client = httpx.Client(base_url=running.http, timeout=120)
        print(f"{'page':30} {'first s':>8} {'statements':>10} {'warm ms':>8} {'kB gz':>6}")
        for page in PAGES:
            statements.clear()
            cold = seconds(client, page)
            asked = len(statements)
            # Another address each time: the page is made anew, of answers that are kept.
            mark = "&" if "?" in page else "?"
            warm = statistics.median(seconds(client, f"{page}{mark}q=r{n}") for n in range(TIMES))
            size = len(gzip.compress(client.get(page).content)) / 1000
            print(f"{page:30} {cold:8.2f} {asked:10} {warm * 1000:8.1f} {size:6.1f}", flush=True)
        alone = [seconds(client, "/board") for _ in range(READERS)]
        print(f"\np95 of /board, kept: one reader {ninety_fifth(alone) * 1000:.0f} ms")
        command = [sys.executable, __file__, "--read", f"{running.http}/board"]
        print(subprocess.run(command, capture_output=True, text=True, check=True).stdout, end="")


async def read(address: str) -> None:
    """Be 50 readers, each of whom looks every five seconds; then 50 who look at one moment."""
    limits = httpx.Limits(max_connections=READERS, max_keepalive_connections=READERS)
    async with httpx.AsyncClient(timeout=120, limits=limits) as client:

        async def looked() -> float:
            begun = time.perf_counter()
            (await client.get(address)).raise_for_status()
            return time.perf_counter() - begun

        async def reader(number: int) -> list[float]:
            await asyncio.sleep(number * PAUSE / READERS)
            times = []
            for _ in range(4):
                times.append(await looked())
                await asyncio.sleep(PAUSE)  # a person reads
            return times

        await asyncio.gather(*(looked() for _ in range(READERS)))  # connections are made
        each = await asyncio.gather(*(reader(number) for number in range(READERS)))
        spread = ninety_fifth([one for times in each for one in times]) * 1000
        burst = ninety_fifth(await asyncio.gather(*(looked() for _ in range(READERS)))) * 1000
    print(f"{READERS} readers who look every {PAUSE:.0f} s {spread:.0f} ms")
    print(f"{READERS} at the very same moment {burst:.0f} ms")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--read"]:
        asyncio.run(read(sys.argv[2]))
    else:
        main()

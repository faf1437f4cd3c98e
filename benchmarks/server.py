"""Time `cadran serve` against the layer in process, on the data of `make bench`.

    python benchmarks/server.py [--orders N] [--seconds S] [--soak MINUTES]

Server, clients and the layer in process run on one machine, one after the other, in one run. The
load over HTTP comes from wrk (Debian's package), the load over Flight SQL from ADBC in a process of
its own. Plans are compiled before; "uncached" questions are computed by the warehouse each time,
64 different ones in turn, so that none waits for another's answer; "as they come" are 14,000 of a
fact of instants, by day and country, each of which is asked for the first time.
"""

from __future__ import annotations

import argparse
import datetime as dt
import http.client
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from run import QUESTIONS, WORK, build, timed
from tabulate import tabulate

import cadran

CLIENTS = 16
TINY: dict[str, Any] = next(q.asked for q in QUESTIONS if q.name == "one day, one country")
DAYS = [f"2025-03-{day:02d}" for day in range(1, 9)]
COUNTRIES = ("FR", "DE", "ES", "IT", "BE", "NL", "GB", "US")
LARGE = {"metrics": ["revenue", "order_count"], "group_by": ["order_id"], "limit": 1_000_000}
LATENCY = re.compile(r"(\d+(?:\.\d+)?)(us|ms|s)$")
FLIGHT_LOAD = Path(__file__).with_name("flight_load.py")


def tiny(number: int) -> dict[str, Any]:
    """One of 64 tiny questions: one day and one country."""
    day, country = DAYS[number % 8], COUNTRIES[number // 8 % 8]
    return TINY | {
        "where": [f"{{{{ Dimension('order_id__country') }}}} = '{country}'"],
        "start": day, "end": day,
    }  # fmt: skip


def as_they_come(number: int) -> dict[str, Any]:
    """One of 14,000 tiny questions of a fact of instants: one to three days and one country."""
    day = dt.date(2024, 1, 2) + dt.timedelta(number // 8 % 600)
    return {
        "metrics": ["sold"],
        "group_by": ["metric_time__day"],
        "where": [f"{{{{ Dimension('sale__country') }}}} = '{COUNTRIES[number % 8]}'"],
        "start": f"{day}", "end": f"{day + dt.timedelta(number // 4800)}",
    }  # fmt: skip


def link(asked: dict[str, Any], **more: str) -> str:
    """The question as a link."""
    given = {
        name: ",".join(value) if isinstance(value, list) and name != "where" else value
        for name, value in asked.items()
    }
    return "/api/v1/query?" + urlencode(given | more, doseq=True)


class Server:
    """`cadran serve` on the bench warehouse, as a process of its own."""

    def __init__(self) -> None:
        """Start it and wait until it is ready."""
        command = [
            sys.executable, "-m", "cadran", "serve", "--port", "0", "--flight-port", "0",
            "--manifest", str(WORK / "target" / "semantic_manifest.json"),
            "--database", str(WORK / "bench.duckdb"),
        ]  # fmt: skip
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=WORK, text=True)
        told = self.process.stdout or sys.exit("the server says nothing")
        self.http = told.readline().split()[1]
        self.flight = told.readline().split()[2]

    def memory(self) -> float:
        """Megabytes of memory it holds."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) / 1000  # type: ignore[index]

    def stop(self) -> None:
        """Stop it as systemd would."""
        self.process.terminate()
        self.process.wait(30)


def overhead(server: Server, rounds: int) -> list[list[object]]:
    """The tiny question in process and over HTTP, in turn, both computed each time; ms."""
    layer = cadran.open(WORK, database=WORK / "bench.duckdb")
    address = urlsplit(server.http)
    client = http.client.HTTPConnection(str(address.hostname), address.port)

    def over_http(path: str) -> None:
        client.request("GET", path)
        answer = client.getresponse()
        body = answer.read()
        if answer.status != 200:  # noqa: PLR2004 - HTTP's OK
            sys.exit(f"{answer.status}: {body[:500]!r}")

    uncached, cached = link(TINY, read_cache="false"), link(TINY)
    ours: list[float] = []
    served: list[float] = []
    kept: list[float] = []
    for number in range(rounds + 5):
        pair = (
            timed(lambda: layer.query(**TINY).to_arrow()),
            timed(lambda: over_http(uncached)),
            timed(lambda: over_http(cached)),
        )
        if number >= 5:  # noqa: PLR2004 - the first ones compile and connect
            for figures, one in zip((ours, served, kept), pair, strict=True):
                figures.append(1000 * one)
    base, over, hit = map(statistics.median, (ours, served, kept))
    return [["tiny question, one client, p50", base, over, over - base, hit]]


def wrk(
    server: Server, name: str, paths: list[str], seconds: int, before: int | None = None
) -> list[object]:
    """A load of sixteen clients over HTTP: questions a second, p50 and p99 in ms, errors.

    Each question is asked once before, or so many of them, so that its plan is compiled.
    """
    address = urlsplit(server.http)
    client = http.client.HTTPConnection(str(address.hostname), address.port)
    for path in paths[:before]:
        client.request("GET", path)
        client.getresponse().read()
    script = WORK / f"{name.replace(' ', '_')}.lua"
    listed = ",\n".join(json.dumps(path) for path in paths)
    script.write_text(
        f"local paths = {{{listed}}}\nlocal at = 0\n"
        "request = function()\n  at = at % #paths + 1\n"
        '  return wrk.format("GET", paths[at])\nend\n'
    )
    command = [
        "wrk", "-t1", f"-c{CLIENTS}", f"-d{seconds}s", "--latency", "-s", script, server.http,
    ]  # fmt: skip
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", told)[1])  # type: ignore[index]
    half = _milliseconds(re.search(r"50%\s+(\S+)", told)[1])  # type: ignore[index]
    most = _milliseconds(re.search(r"99%\s+(\S+)", told)[1])  # type: ignore[index]
    errors = re.search(r"Non-2xx or 3xx responses: (\d+)", told)
    return [name, rate, half, most, most / half, int(errors[1]) if errors else 0]


def _milliseconds(text: str) -> float:
    number, unit = LATENCY.match(text).groups()  # type: ignore[union-attr]
    return float(number) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[unit]


def flight(server: Server, seconds: int) -> list[object]:
    """A load of sixteen clients over Flight SQL, cached."""
    command = [sys.executable, FLIGHT_LOAD, server.flight, str(CLIENTS), str(seconds)]
    told = json.loads(subprocess.check_output(command))
    return ["Flight SQL, cached", *told]


def large(server: Server, rounds: int) -> list[list[object]]:
    """A million rows to Arrow: in process, and over Flight SQL, in turn; seconds."""
    command = [sys.executable, FLIGHT_LOAD, server.flight, "large", str(rounds)]
    environment = os.environ | {"CADRAN_BENCH_LARGE": json.dumps(LARGE)}
    fetched = json.loads(subprocess.check_output(command, env=environment))
    layer = cadran.open(WORK, database=WORK / "bench.duckdb")
    layer.query(**LARGE)
    ours = [timed(lambda: layer.query(**LARGE).to_arrow()) for _ in range(rounds)]
    base = statistics.median(ours)
    return [
        ["1 M rows, computed", base, fetched["computed"], base / fetched["computed"]],
        ["1 M rows, kept", base, fetched["kept"], base / fetched["kept"]],
    ]


def soak(server: Server, minutes: float) -> list[list[object]]:
    """Memory while all sorts of questions come in, sampled ten times."""
    paths = [link(tiny(n), read_cache="false") for n in range(64)]
    paths += [link(tiny(n)) for n in range(64)]
    paths += [link(question.asked) for question in QUESTIONS[:2]]
    paths += ["/api/v1/kpis", "/api/v1/query?metrics=revenus", "/metrics"]
    rows: list[list[object]] = []
    for part in range(10):
        wrk(server, "soak", paths, max(int(minutes * 6), 1))
        rows.append([f"{(part + 1) * minutes / 10:.1f} min", server.memory()])
    return rows


def heavy(server: Server, seconds: float) -> list[list[object]]:
    """Memory before, at most during, and after twenty heavy questions that come at once.

    Each groups every order by its own number, with a range of its own, so that none is another's.
    """
    before, peak = server.memory(), 0.0
    answered: list[int] = []

    def ask(number: int) -> None:
        asked = LARGE | {"start": f"2024-01-{number + 1:02d}", "limit": 1000}
        address = urlsplit(server.http)
        host = http.client.HTTPConnection(str(address.hostname), address.port, timeout=600)
        host.request("GET", link(asked | {"order_by": ["-revenue"]}))
        answered.append(host.getresponse().status)
        host.close()

    with ThreadPoolExecutor(20) as clients:
        waiting = [clients.submit(ask, number) for number in range(20)]
        begun = time.monotonic()
        while not all(one.done() for one in waiting):
            peak = max(peak, server.memory())
            time.sleep(0.1)
        took = time.monotonic() - begun
    time.sleep(seconds)
    statuses = ", ".join(f"{answered.count(code)} x {code}" for code in sorted({*answered}))
    return [["before", before], [f"peak in {took:.0f} s ({statuses})", peak],
            [f"{seconds:.0f} s later", server.memory()]]  # fmt: skip


def main() -> int:
    """Run every part and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--orders", type=int, default=5_000_000)
    parser.add_argument("--seconds", type=int, default=10, help="of each load")
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--soak", type=float, default=10.0, metavar="MINUTES")
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("The load over HTTP comes from wrk: apt-get install wrk")
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()};"
        f" {options.orders:,} orders, {CLIENTS} clients",
        flush=True,
    )
    build(options.orders)
    server = Server()
    try:
        print("\nOne client (ms)")
        heads = ["what", "in process", "REST", "overhead", "REST, cached"]
        print(tabulate(overhead(server, options.rounds), heads, floatfmt=".2f"))
        print("wanted: overhead <= 2")

        print("\nSixteen clients", flush=True)
        rows = [
            wrk(server, "REST cached", [link(tiny(n)) for n in range(64)], options.seconds),
            wrk(
                server, "REST uncached",
                [link(tiny(n), read_cache="false") for n in range(64)], options.seconds,
            ),
            wrk(
                server, "REST as they come",
                [link(as_they_come(n)) for n in range(14_000)], options.seconds, before=1,
            ),
            flight(server, options.seconds),
        ]  # fmt: skip
        heads = ["what", "questions/s", "p50 ms", "p99 ms", "p99 / p50", "errors"]
        print(tabulate(rows, heads, floatfmt=("", ".0f", ".2f", ".2f", ".1f", ".0f")))
        print("wanted: REST cached >= 3000/s, others >= 700/s, Flight SQL >= 300/s, ratio <= 5")

        print("\nA million rows to Arrow (s)", flush=True)
        heads = ["what", "in process", "Flight SQL", "speed of in process"]
        print(tabulate(large(server, 5), heads, floatfmt=("", ".3f", ".3f", ".2f")))
        print("wanted: >= 0.60")

        print("\nMemory of twenty heavy questions at once (MB)", flush=True)
        print(tabulate(heavy(server, 60.0), ["when", "resident"], floatfmt=".0f"))

        if options.soak:
            print(f"\nMemory over {options.soak:g} minutes (MB)", flush=True)
            print(tabulate(soak(server, options.soak), ["after", "resident"], floatfmt=".0f"))
    finally:
        server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())

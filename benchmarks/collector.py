"""Time `cadran collect`: events a second, acknowledgements, CPU an event, start.

    python benchmarks/collector.py [--seconds S] [--rates 2000 10000 20000]

Real OTLP bodies of 512 SERVER spans, packed by gzip, come from a process of its own over four
connections at a steady rate; a body's time counts from the moment at which it was due. In the end
what was landed must be what was acknowledged, else the benchmark fails.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as pq
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from tabulate import tabulate

SPANS = 512
SENDERS = 4
ROUTES = [f"/api/v1/resource{number}/{{id}}" for number in range(20)]
_TICKS = os.sysconf("SC_CLK_TCK")


def body(number: int) -> bytes:
    """A body of spans that no other body has."""
    export = ExportTraceServiceRequest()
    resource = export.resource_spans.add()
    for key, value in (("service.name", f"service{number % 5}"), ("host.name", "a")):
        resource.resource.attributes.add(key=key).value.string_value = value
    scope = resource.scope_spans.add()
    now = time.time_ns()
    for index in range(SPANS):
        span = scope.spans.add(
            trace_id=number.to_bytes(8, "big") + os.urandom(8),
            span_id=index.to_bytes(8, "big"), kind=2, name="GET", start_time_unix_nano=now,
            end_time_unix_nano=now + (index * 7919 % 900) * 1_000_000,
        )  # fmt: skip
        for key, text in (
            ("http.route", ROUTES[index % 20]), ("http.request.method", "GET"),
            ("url.scheme", "https"), ("user_agent.original", "Mozilla/5.0"),
        ):  # fmt: skip
            span.attributes.add(key=key).value.string_value = text
        status = span.attributes.add(key="http.response.status_code")
        status.value.int_value = 500 if index % 100 == 0 else 200
    return gzip.compress(export.SerializeToString(), 1)


async def send(url: str, rate: int, seconds: float) -> dict[str, Any]:
    """Send at a rate; returns what was acknowledged and how long each body took."""
    due: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
    took: list[float] = []
    headers = {"content-type": "application/x-protobuf", "content-encoding": "gzip"}

    async def sender() -> None:
        async with httpx.AsyncClient(timeout=60) as client:
            while True:
                at, content = await due.get()
                response = await client.post(url, content=content, headers=headers)
                response.raise_for_status()
                took.append(time.perf_counter() - at)
                due.task_done()

    bodies = [body(number) for number in range(round(rate * seconds / SPANS))]
    tasks = [asyncio.create_task(sender()) for _ in range(SENDERS)]
    started = time.perf_counter()
    for number, content in enumerate(bodies):
        at = started + number * SPANS / rate
        await asyncio.sleep(max(0.0, at - time.perf_counter()))
        due.put_nowait((at, content))
    await due.join()
    elapsed = time.perf_counter() - started
    for task in tasks:
        task.cancel()
    cuts = statistics.quantiles(took, n=100)
    return {
        "events": len(bodies) * SPANS, "seconds": elapsed, "p50": cuts[49], "p95": cuts[94],
        "p99": cuts[98],
    }  # fmt: skip


class Collector:
    """`cadran collect` in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        """Start it and wait until it listens."""
        command = [
            sys.executable, "-m", "cadran", "collect", "--port", "0", "--project-dir", str(folder),
            "--folder", "landed",
        ]  # fmt: skip
        began = time.perf_counter()
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        told = self.process.stdout or sys.exit("the collector says nothing")
        self.address = told.readline().split()[1]
        self.start = time.perf_counter() - began
        self.start_cpu = self.cpu()

    def cpu(self) -> float:
        """Seconds of CPU that it took."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def memory(self) -> float:
        """Megabytes that it held at most."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(text.partition("VmHWM:")[2].split()[0]) / 1000

    def stop(self) -> None:
        """Stop it; what it took is landed then."""
        self.process.terminate()
        if self.process.wait(120) != 0:
            sys.exit("the collector did not end well")


def measure(rate: int, seconds: float) -> list[Any]:
    """One row of the table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        collector = Collector(folder)
        command = [sys.executable, __file__, "--send", collector.address]
        command += ["--rates", str(rate), "--seconds", str(seconds)]
        time.sleep(2)
        before = collector.cpu()
        sent = json.loads(
            subprocess.run(command, capture_output=True, text=True, check=True).stdout
        )
        time.sleep(2)
        cpu, memory = collector.cpu() - before, collector.memory()
        collector.stop()
        counted = sum(
            pq.read_table(file, partitioning=None)["request_count"].to_numpy().sum()
            for file in (folder / "landed" / "telemetry" / "requests").rglob("*.parquet")
        )
    if counted != sent["events"]:
        sys.exit(f"{sent['events']} were acknowledged and {counted} counted")
    return [
        rate, round(sent["events"] / sent["seconds"]), sent["events"],
        *(round(sent[name] * 1000, 1) for name in ("p50", "p95", "p99")),
        round(cpu / sent["events"] * 1e6, 1), round(cpu / sent["seconds"] * 100),
        round(memory), round(collector.start, 2), round(collector.start_cpu, 2),
    ]  # fmt: skip


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--rates", type=int, nargs="+", default=[2000, 10_000, 20_000])
    parser.add_argument("--send", metavar="ADDRESS", help="be the sender")
    parsed = parser.parse_args()
    if parsed.send:
        sent = send(f"{parsed.send}/v1/traces", parsed.rates[0], parsed.seconds)
        print(json.dumps(asyncio.run(sent)))
        return
    rows = [measure(rate, parsed.seconds) for rate in parsed.rates]
    headers = [
        "wanted/s", "events/s", "events", "ack p50 ms", "p95", "p99", "CPU us/event", "CPU %",
        "MB", "start s", "start CPU s",
    ]  # fmt: skip
    print(tabulate(rows, headers=headers, tablefmt="github"))
    load = os.getloadavg()[0]
    print(
        f"\n{os.cpu_count()} cores, load {load:.1f} at the end; what was acknowledged counted once."
    )


if __name__ == "__main__":
    main()

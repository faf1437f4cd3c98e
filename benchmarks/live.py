"""Time live numbers: from an event to the status of its SLO, at several rates.

    python benchmarks/live.py [--seconds S] [--rates 2000 10000 20000]

A process of its own sends real OTLP bodies of 512 SERVER spans to `cadran collect`; beside it a
server's state follows what lands, and its SLO status is asked again and again. An event was shown
when the status counts as many units as were sent up to it. In the end the status must count what
was acknowledged, else the benchmark fails. The project has to be built.
"""

from __future__ import annotations

import argparse
import asyncio
import bisect
import gzip
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import httpx
from collector import SENDERS, SPANS, Collector
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from tabulate import tabulate

from cadran.core.project import artifacts
from cadran.core.warehouse import Confinement
from cadran.serving.snapshots import SnapshotStore

# An SLO of the calendar month, in UTC: its units only grow.
SERVICE, SLO = "storefront", "latency_month"
_STATUS = f"select units, as_of from reliability.fct_slo_status where slo_id = '{SLO}'"
_BUILT = """
select coalesce(sum(total_count), 0) as n from reliability.int_sli_minutely
where kpi = 'fast_request_rate' and subject = 'all'
    and minute_at >= date_trunc('month', now() at time zone 'UTC')
"""
_REST = 30  # seconds in which everything that was acknowledged has to be shown


def body(number: int) -> bytes:
    """A body of spans of now that no other body has."""
    export = ExportTraceServiceRequest()
    resource = export.resource_spans.add()
    resource.resource.attributes.add(key="service.name").value.string_value = SERVICE
    scope = resource.scope_spans.add()
    now = time.time_ns()
    for index in range(SPANS):
        span = scope.spans.add(
            trace_id=number.to_bytes(8, "big") + os.urandom(8), span_id=index.to_bytes(8, "big"),
            kind=2, name="POST", start_time_unix_nano=now - (index * 7919 % 900) * 1_000_000,
            end_time_unix_nano=now,
        )  # fmt: skip
        span.attributes.add(key="http.route").value.string_value = f"/route{index % 20}"
        status = span.attributes.add(key="http.response.status_code")
        status.value.int_value = 500 if index % 100 == 0 else 200
    return gzip.compress(export.SerializeToString(), 1)


async def send(url: str, rate: int, seconds: float) -> dict[str, Any]:
    """Send at a rate; returns when each body's events happened and how long it took."""
    due: asyncio.Queue[bytes] = asyncio.Queue()
    took: list[float] = []
    headers = {"content-type": "application/x-protobuf", "content-encoding": "gzip"}

    async def sender() -> None:
        async with httpx.AsyncClient(timeout=60) as client:
            while True:
                content = await due.get()
                begun = time.perf_counter()
                response = await client.post(url, content=content, headers=headers)
                response.raise_for_status()
                took.append(time.perf_counter() - begun)
                due.task_done()

    tasks = [asyncio.create_task(sender()) for _ in range(SENDERS)]
    started, happened = time.perf_counter(), []
    for number in range(round(rate * seconds / SPANS)):
        await asyncio.sleep(max(0.0, started + number * SPANS / rate - time.perf_counter()))
        happened.append(time.time())
        due.put_nowait(body(number))
    await due.join()
    elapsed = time.perf_counter() - started
    for task in tasks:
        task.cancel()
    return {"happened": happened, "took": took, "seconds": elapsed}


def memory() -> float:
    """Megabytes that this process held at most."""
    text = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(text.partition("VmHWM:")[2].split()[0]) / 1000


def quantile(values: list[float], share: int) -> float:
    """A percentile."""
    return statistics.quantiles(values, n=100)[share - 1] if len(values) > 1 else values[0]


def measure(project: artifacts.Project, rate: int, seconds: float) -> list[Any]:
    """One row of the table."""
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        collector = Collector(home)
        states = SnapshotStore(
            project, confined=Confinement(), folder=home / "copies", landed=home / "landed"
        )
        states.refresh(force=True)
        hot = states.current.hot or sys.exit("the state is not live")
        ticks: list[float] = []
        tick = hot.tick

        def timed() -> frozenset[str]:
            begun = time.perf_counter()
            moved = tick()
            if moved:
                ticks.append(time.perf_counter() - begun)
            return moved

        hot.tick = timed  # type: ignore[method-assign]
        warehouse = states.current.layer.warehouse
        built = int(warehouse.arrow(_BUILT)["n"][0].as_py())
        states.follow()
        shown: list[tuple[int, float]] = []
        ended = threading.Event()

        def watch() -> None:
            while not ended.is_set():
                row = warehouse.arrow(_STATUS).to_pylist()[0]
                # Until something came, the status ends with the build.
                is_hot = row["as_of"] > hot.cut
                shown.append((row["units"] - built if is_hot else 0, time.time()))
                time.sleep(0.1)

        watcher = threading.Thread(target=watch)
        command = [sys.executable, __file__, "--send", collector.address]
        command += ["--rates", str(rate), "--seconds", str(seconds)]
        watcher.start()
        cpu = time.process_time()
        process = subprocess.run(command, capture_output=True, text=True, check=True)
        sent = json.loads(process.stdout)
        events = len(sent["happened"]) * SPANS
        until = time.monotonic() + _REST
        while not (shown and shown[-1][0] >= events) and time.monotonic() < until:
            time.sleep(0.1)
        cpu = time.process_time() - cpu
        ended.set()
        watcher.join()
        counted = shown[-1][0]
        collector_memory = collector.memory()
        collector.stop()
        states.close()
    if counted != events:
        sys.exit(f"{events} were acknowledged and {counted} shown")
    counts = [count for count, _ in shown]
    lags = [
        shown[bisect.bisect_left(counts, (number + 1) * SPANS)][1] - at
        for number, at in enumerate(sent["happened"])
    ]
    return [
        rate, round(events / sent["seconds"]), events,
        *(round(quantile(sent["took"], share) * 1000) for share in (50, 95)),
        *(round(quantile(lags, share), 2) for share in (50, 95)), round(max(lags), 2),
        *(round(quantile(ticks, share) * 1000) for share in (50, 95)),
        round(cpu / sent["seconds"] * 100), round(memory()), round(collector_memory),
    ]  # fmt: skip


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rates", type=int, nargs="+", default=[2000, 10_000, 20_000])
    parser.add_argument("--project-dir", type=Path, default=Path())
    parser.add_argument("--send", metavar="ADDRESS", help="be the sender")
    parsed = parser.parse_args()
    if parsed.send:
        sent = send(f"{parsed.send}/v1/traces", parsed.rates[0], parsed.seconds)
        print(json.dumps(asyncio.run(sent)))
        return
    project = artifacts.find(parsed.project_dir, None, None)
    rows = [measure(project, rate, parsed.seconds) for rate in parsed.rates]
    headers = [
        "wanted/s", "events/s", "events", "ack p50 ms", "p95", "event to status p50 s", "p95",
        "max", "tick p50 ms", "p95", "CPU %", "server MB", "collector MB",
    ]  # fmt: skip
    print(tabulate(rows, headers=headers, tablefmt="github"))
    load = os.getloadavg()[0]
    print(f"\n{os.cpu_count()} cores, load {load:.1f} at the end; all acknowledged, shown once.")


if __name__ == "__main__":
    main()

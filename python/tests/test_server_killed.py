"""A server that is killed under load: clients get an answer that is right, or a clean error."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
import time

import adbc_driver_flightsql.dbapi as flightsql
import httpx
from adbc_driver_manager import Error

RIGHT = [("2026-01-01", "30.30"), ("2026-02-01", "121.20")]
QUESTION = "metrics=revenue&group_by=metric_time__month&read_cache=false"
STATEMENT = (
    "select * from {{ semantic_layer.query(metrics=['revenue'],"
    " group_by=['metric_time__month'], read_cache=False) }}"
)


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def started(tiny, ports, home):
    command = [
        sys.executable, "-m", "cadran", "serve", "--manifest", tiny,
        "--database", tiny.parents[1] / "tiny.duckdb", "--audit", home / "audit",
        "--port", str(ports[0]), "--flight-port", str(ports[1]),
    ]  # fmt: skip
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=home)
    assert server.stdout.readline().startswith("HTTP"), "the server did not start"
    return server


def over_http(ports):
    answer = httpx.get(f"http://127.0.0.1:{ports[0]}/api/v1/query?{QUESTION}", timeout=10)
    assert answer.status_code == 200, answer.text
    return [
        (row["metric_time__month"], f"{float(row['revenue']):.2f}") for row in answer.json()["rows"]
    ]


def over_flight(ports):
    with (
        flightsql.connect(f"grpc://127.0.0.1:{ports[1]}", autocommit=True) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(STATEMENT)
        rows = cursor.fetch_arrow_table().to_pylist()
    return [(str(row["metric_time__month"]), str(row["revenue"])) for row in rows]


class Clients:
    """Ask by both ways until they are told to end, and sort what they get."""

    def __init__(self, ports):
        self.right, self.broken, self.wrong = [], [], []
        self._ports, self._ended = ports, threading.Event()
        self._threads = [
            threading.Thread(target=self._ask, args=(way,)) for way in (over_http, over_flight) * 2
        ]
        for thread in self._threads:
            thread.start()

    def _ask(self, way):
        while not self._ended.is_set():
            try:
                got = way(self._ports)
            except (httpx.TransportError, Error) as problem:
                self.broken.append(problem)
                time.sleep(0.02)
            except Exception as problem:  # noqa: BLE001 - whatever else it is, it is the finding
                self.wrong.append(problem)
            else:
                (self.right if got == RIGHT else self.wrong).append(got)

    def wait_for(self, more):
        """Wait until so many more right answers have come."""
        wanted, until = len(self.right) + more, time.monotonic() + 60
        while len(self.right) < wanted:
            assert time.monotonic() < until, (self.broken[-1:], self.wrong[:1])
            time.sleep(0.01)

    def end(self):
        self._ended.set()
        for thread in self._threads:
            thread.join()


def test_a_server_killed_and_started_again_under_load_never_gives_a_wrong_answer(tiny, tmp_path):
    ports = free_port(), free_port()
    server = started(tiny, ports, tmp_path)
    clients = Clients(ports)
    for _ in range(3):
        clients.wait_for(20)
        server.send_signal(signal.SIGKILL)
        server.wait()
        server = started(tiny, ports, tmp_path)
    clients.wait_for(20)
    clients.end()
    server.terminate()
    assert server.wait(20) == 0
    assert clients.wrong == []
    assert clients.broken
    # What a killed server had begun to record is whole, but for one line at most a time.
    lines = [line for file in (tmp_path / "audit").glob("*.jsonl") for line in file.open()]
    assert len(lines) >= 80
    assert sum(not line.endswith("}\n") for line in lines) <= 3
    # One that is told to end leaves no copy of the data behind.
    serving = tiny.parent / "cadran" / "serving"
    assert not list(serving.glob(f"{server.pid}-*"))

"""An evaluator over SLOs of one's own (see slo_lab), and somebody who is told."""

from __future__ import annotations

import contextlib
import datetime as dt
import http.server
import json
import threading
from types import SimpleNamespace

import duckdb
from slo_lab import Lab

from cadran.errors import ProjectError, WarehouseError
from cadran.reliability.alerts.delivery import is_signed
from cadran.reliability.alerts.evaluator import Evaluator
from cadran.reliability.alerts.policy import Policies
from cadran.reliability.alerts.store import Store

SECRET = "s3cret-of-the-hook"  # noqa: S105 - of a test
BURN = {"name": "burn", "burn": {}}


class LabLayer:
    """As much of a layer as SLOs need, over the laboratory's warehouse."""

    def __init__(self, lab):
        self.lab, self.problem, self.root = lab, None, None
        self.warehouse, self.project = SimpleNamespace(arrow=self._arrow), self

    def _arrow(self, sql):
        try:
            if self.problem:
                raise WarehouseError(self.problem)
            return self.lab.db.sql(sql).to_arrow_table()
        except duckdb.Error as problem:
            raise WarehouseError(str(problem)) from None

    fingerprint = "f" * 64

    @property
    def dbt_manifest(self):
        raise ProjectError("none")

    def card(self, _):
        return SimpleNamespace(version=3)

    def kpis(self):
        return []


class Hook(contextlib.AbstractContextManager):
    """A webhook on loopback that remembers what it was sent, and answers what it is to answer."""

    def __init__(self):
        hook = self
        self.received, self.answers, self.before_answer = [], [], lambda: None

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                content = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                hook.received.append((headers, content))
                hook.before_answer()
                self.send_response(hook.answers.pop(0) if hook.answers else 204)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_port}/hook"

    @property
    def bodies(self):
        return [json.loads(content) for _, content in self.received]

    @property
    def told(self):
        """Which steps arrived, as `status rule/subject/tier`."""
        return [
            f"{body['status']} {body['labels']['subject']}/{body['labels'].get('tier', '')}"
            for body in self.bodies
        ]

    def all_signed(self, now):
        return all(is_signed(SECRET, headers, content, now) for headers, content in self.received)

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


class Clock:
    """A clock that a test sets."""

    def __init__(self, text):
        self.now = dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)

    def __call__(self):
        return self.now

    def forward(self, **span):
        self.now += dt.timedelta(**span)


def policies(folder, hook=None, **changes):
    """Policies with one webhook, where there is one."""
    receivers = [
        {"name": "hook", "webhook": hook.url, "secret": {"variable": "HOOK_SECRET"}}
    ] if hook else []  # fmt: skip
    content = {"store": folder / "alerts.sqlite", "settle": 0, "receivers": receivers,
               "rules": [BURN]} | changes  # fmt: skip
    return Policies.model_validate(content)


@contextlib.contextmanager
def evaluating(rules, layer, folder, clock, name="one"):
    """An evaluator with a store of its own connection."""
    store = Store(rules.store, name)
    try:
        yield Evaluator(rules, store, lambda: contextlib.nullcontext(layer), folder, clock=clock)
    finally:
        store.close()


def outage(demo, start="2026-03-08 12:00", minutes=20, until="2026-03-09"):
    """Eight days of calm traffic with an outage in it, not built yet."""
    lab = Lab(demo.target / "manifest.json")
    lab.slo("a", 0.99)
    lab.every_minute("2026-03-01", until, 100, 100)
    lab.db.execute(
        "update int_sli_minutely set good_count = 0 where minute_at >= ?::timestamp"
        " and minute_at < ?::timestamp + ? * interval 1 minute", [start, start, minutes],
    )  # fmt: skip
    return lab


def cut(lab, until):
    """Leave no minute from an instant on, and build."""
    lab.db.execute("delete from int_sli_minutely where minute_at >= ?::timestamp", [until])
    return lab.build(watermark=until)

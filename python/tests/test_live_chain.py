"""The live chain as it is run: collector, server, demo and a real Alertmanager, killed on the way.

`make test-live-chain`; a tier takes minutes to fire and to resolve, however short its windows are.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import random
import re
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from decimal import Decimal
from itertools import pairwise
from types import SimpleNamespace
from unittest import mock

import duckdb
import httpx
import pytest
import yaml
from alert_lab import SECRET, Hook
from telemetry_fixtures import Process, Server, project_at
from test_alerts_prometheus import wait_for, with_alertmanager

from cadran.reliability.alerts.store import Store

pytestmark = pytest.mark.skipif(
    not os.environ.get("CADRAN_TEST_CHAIN"), reason="seven minutes: make test-live-chain"
)
SLO, TARGET = "availability_28d:checkout", Decimal("0.999")
# The tiers' factors are those of the policy; their windows are minutes, so that they end.
WINDOWS = {"fast": (4, 1), "medium": (5, 2), "slow": (6, 2)}
FACTORS = {"fast": "13.44", "medium": "5.6", "slow": "2.8"}
LEAST_UNITS, LEAST_BAD = 100, 5  # of the policy: below, a tier stays silent
# Seconds between kills: in the outage, and while tiers resolve.
KILLS = ((25, 55), (90, 110), (60, 90))
MINUTE = dt.timedelta(minutes=1)


@pytest.fixture(scope="module")
def home(demo, project_root, tmp_path_factory):
    """The demo's project with a warehouse of its own, whose tiers have short windows."""
    folder = project_at(tmp_path_factory.mktemp("home"), project_root, demo)
    with duckdb.connect(folder / "warehouse.duckdb") as db:
        for tier, (long, short) in WINDOWS.items():
            db.execute(
                "update reliability.slo_alert_tiers set long_minutes = ?, short_minutes = ?"
                " where tier = ?", [long, short, tier],
            )  # fmt: skip
    return folder


def log(text):
    """Say how far it is."""
    sys.stdout.write(f"{dt.datetime.now(dt.UTC):%H:%M:%S}  {text}\n")
    sys.stdout.flush()


def demo_sends(address, *arguments):
    """What `cadran demo --live` says at its end: requests, failed, taken."""
    done = subprocess.run(
        [sys.executable, "-m", "cadran", "demo", "--live", "--to", address, "--rate", "200",
         *arguments],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-500:] + done.stderr[-500:]
    said = re.findall(r"([\d,]+) (?:requests|failed|taken)", done.stdout.splitlines()[-1])
    return [int(number.replace(",", "")) for number in said]


def expected(folder, until):
    """When each tier begins and ceases to fire, by other SQL and a rule of five lines."""
    db = duckdb.connect()
    db.execute("set TimeZone = 'UTC'")
    rows = db.execute(
        f"""select minute_at, sum(request_count)::bigint,
            sum(error_5xx_count + timeout_count)::bigint
        from read_parquet('{folder}/telemetry/requests/**/*.parquet', union_by_name = true)
        where service_id = 'checkout' group by 1"""
    ).fetchall()
    counts = {minute: (units, bad) for minute, units, bad in rows}
    steps = []
    for tier, windows in WINDOWS.items():
        firing, quiet, at = False, None, min(counts) + MINUTE
        while at <= until:
            sums = {}
            for length in windows:
                minutes = [counts.get(at - (n + 1) * MINUTE, (0, 0)) for n in range(length)]
                sums[length] = [sum(column) for column in zip(*minutes, strict=True)]
            units, bad = sums[windows[0]]
            holds = units >= LEAST_UNITS and bad >= LEAST_BAD and all(
                b > Decimal(FACTORS[tier]) * u * (1 - TARGET) for u, b in sums.values()
            )  # fmt: skip
            if holds:
                quiet = None
                if not firing:
                    steps.append((at, tier, "firing"))
                firing = True
            elif firing:
                quiet = quiet or at
                if at - quiet >= MINUTE:
                    steps.append((at, tier, "resolved"))
                    firing, quiet = False, None
            at += MINUTE
    return sorted(steps)


def steps_of(home):
    """The steps that receivers are told of, in their order."""
    with contextlib.closing(Store(home / "alerts.sqlite", "reader")) as store:
        return [step for step in reversed(store.history(most=10_000)) if step["notifications"]]


def states_of(steps):
    """How often something fired and resolved."""
    return Counter(step["to_state"] for step in steps)


def heard(bodies):
    """The same, as whom the Alertmanager tells hears it: what it repeats counts once."""
    states, last = Counter(), {}
    for body in bodies:
        for alert in body["alerts"]:
            key = alert["labels"]["slo"], alert["labels"]["tier"], alert["startsAt"]
            states[alert["status"]] += last.get(key) != alert["status"]
            last[key] = alert["status"]
    return states


def break_and_mend(address, sent):
    """Requests of which many of one service fail, and then healthy ones again."""
    sent.append(demo_sends(address, "--outage", "checkout", "--seconds", "70"))
    log("the outage is over")
    sent.append(demo_sends(address, "--seconds", "300"))


@pytest.fixture(scope="module")
def ran(home, tool, tmp_path_factory):
    """What was sent, served, remembered and told, once everything has resolved."""
    folder = tmp_path_factory.mktemp("alertmanager")
    with with_alertmanager(tool, folder) as (url, chat), Hook() as hook:
        rules = {
            "store": "alerts.sqlite", "every": 2,
            "receivers": [
                {"name": "am", "alertmanager": url},
                {"name": "hook", "webhook": hook.url, "secret": {"variable": "HOOK_SECRET"}},
            ],
            "rules": [{"name": "burn", "burn": {"slos": [SLO], "tiers": [*WINDOWS]},
                       "keep_firing_for": "1 minute"}],
        }  # fmt: skip
        (home / "alerts.yml").write_text(yaml.safe_dump(rules))
        with contextlib.ExitStack() as running:
            running.enter_context(mock.patch.dict(os.environ, {"HOOK_SECRET": SECRET}))
            collector, server = Process(home), Server(home, "--alerts", "alerts.yml")
            for process in (collector, server):
                running.callback(process.kill)
            log("collector and server listen")
            sent = [demo_sends(collector.address, "--seconds", "20")]
            time.sleep(60 - time.time() % 60)
            log("the outage begins, at the start of a minute")
            demo = threading.Thread(target=break_and_mend, args=[collector.address, sent])
            demo.start()
            luck = random.Random()  # noqa: S311 - no secret
            for low, high in KILLS:
                time.sleep(luck.uniform(low, high))
                for process in (collector, server):
                    process.kill()
                for process in (collector, server):
                    process.start()
                log("killed both and started them again")
            demo.join()
            wait_for(lambda: states_of(steps_of(home))["resolved"] >= len(WINDOWS), 150)
            wait_for(lambda: heard(chat.bodies) == states_of(steps_of(home)), 60)
            log("all has resolved")
            time.sleep(5)  # what was sent last is landed after a second, and hot after another
            asked = {"metrics": "request_count", "start": f"{dt.datetime.now(dt.UTC):%Y-%m-%d}"}
            served = httpx.get(f"{server.address}/api/v1/query", params=asked, timeout=60).json()
            server.process.terminate()
            server.process.wait(30)
            collector.stop()
    assert len(sent) == 3, "the demo did not end well"
    requests, failed, taken = (sum(column) for column in zip(*sent, strict=True))
    return SimpleNamespace(
        folder=collector.folder, steps=steps_of(home), hook=hook.bodies, chat=chat.bodies,
        requests=requests, failed=failed, taken=taken,
        served=int(served["rows"][0]["request_count"]),
    )  # fmt: skip


def test_what_was_sent_is_landed_and_served_once(ran):
    files = f"'{ran.folder}/telemetry/requests/**/*.parquet', union_by_name = true"
    sums = "sum(request_count), sum(error_5xx_count + timeout_count)"
    landed, bad = duckdb.sql(f"select {sums} from read_parquet({files})").fetchall()[0]
    log(f"{ran.requests} sent, {ran.taken} taken, {landed} landed, {ran.served} served")
    assert ran.requests == ran.taken == landed == ran.served
    assert bad == ran.failed


def test_each_tier_fires_and_resolves_at_its_minutes(ran):
    for step in ran.steps:
        log(f"{step['at'][11:16]} {step['subject']} {step['tier']} {step['to_state']}")
    told = [
        (dt.datetime.fromisoformat(step["at"]).replace(tzinfo=None), step["tier"], step["to_state"])
        for step in ran.steps
    ]
    assert sorted(told) == expected(ran.folder, max(told)[0])
    assert {tier for _, tier, _ in told} == set(WINDOWS)


def test_each_step_is_told_once_and_in_its_order(ran):
    """A kill between an answer and the note of it tells a step again, under the same id."""
    assert all(step["sent"] == 2 for step in ran.steps)
    bodies = {body["id"]: body for body in ran.hook}
    assert len(bodies) == len(ran.steps)
    assert len(ran.hook) - len(bodies) <= len(KILLS)
    by_alert = defaultdict(list)
    for body in bodies.values():
        by_alert[body["labels"]["slo"], body["labels"]["tier"]].append(body["status"])
    for states in by_alert.values():
        assert states == [("firing", "resolved")[place % 2] for place in range(len(states))]
    log(f"{len(ran.chat)} notifications of the Alertmanager: {dict(heard(ran.chat))}")
    assert heard(ran.chat) == states_of(ran.steps)
    assert not [one for one, next_one in pairwise(ran.chat) if one["alerts"] == next_one["alerts"]]

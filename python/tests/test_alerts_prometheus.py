"""Alerts beside the programs that everybody trusts with them: promtool and Alertmanager."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import random
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import yaml
from alert_lab import BURN, Clock, Hook, LabLayer, evaluating, policies
from slo_lab import Lab

from cadran.reliability import prometheus_rules, status

MINUTES = 720  # the windows of six hours pass over them, the longer ones fill
START = dt.datetime(2026, 3, 1)  # noqa: DTZ001 - as the warehouse has it
MINUTE = dt.timedelta(minutes=1)


def counts(rng):
    """Good and valid events by minute: outages short and long, lulls, silence."""
    stretches = []  # (first minute, length, share of errors)
    for length, share in [(5, 1), (20, 0.5), (60, 0.2), (150, 0.08)] * 2:
        stretches.append((rng.randrange(MINUTES - length), length, share * rng.uniform(0.7, 1.3)))
    silences = [(rng.randrange(MINUTES), rng.randrange(5, 40)) for _ in range(3)]
    rows = []
    for minute in range(MINUTES):
        total = rng.randrange(0, 200)
        if any(first <= minute < first + length for first, length in silences):
            total = 0
        share = 0.004 + sum(s for first, n, s in stretches if first <= minute < first + n)
        bad = sum(rng.random() < share for _ in range(total))
        rows.append((START + minute * MINUTE, total - bad, total))
    return rows


@pytest.mark.parametrize(("days", "keep"), [(28, 0), (30, 5)])
def test_alerts_equal_those_of_promtool_at_every_minute(demo, tool, tmp_path, days, keep):
    promtool = Path(tool("prometheus")).with_name("promtool")
    rows = counts(random.Random(days))  # noqa: S311 - cases, not secrets
    lab = Lab(demo.target / "manifest.json")
    lab.slo("a", 0.99, window_minutes=days * 1_440)
    lab.minutes(rows)
    lab.build()
    layer = LabLayer(lab)
    steps = _steps(layer, tmp_path, keep)
    (slo,) = status.statuses(layer)
    group = prometheus_rules.group(slo, status.tiers(layer)["a"], {})
    for rule in group["rules"]:
        if "alert" in rule and keep:
            rule["keep_firing_for"] = f"{keep}m"
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [group]}))
    alerts = {rule["labels"]["tier"]: rule for rule in group["rules"] if "alert" in rule}
    tests = _tests(rows, alerts, steps)
    (tmp_path / "tests.yml").write_text(json.dumps(tests))
    done = subprocess.run(
        [promtool, "test", "rules", "tests.yml"], cwd=tmp_path, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, (done.stdout + done.stderr)[:3000]
    assert "SUCCESS" in done.stdout
    assert {tier for tier, _, firing in steps if firing} == set(alerts)
    assert len(steps) >= 12


def _steps(layer, folder, keep):
    """When each tier began or ceased to fire, as the evaluator wrote it down."""
    clock = Clock(f"{START:%Y-%m-%d} 00:01")
    rule = BURN | ({"keep_firing_for": f"{keep} minutes"} if keep else {})
    with evaluating(
        policies(folder, rules=[rule], catch_up="7 days"), layer, folder, clock
    ) as evaluator:
        evaluator.look()
        clock.now = (START + MINUTES * MINUTE).replace(tzinfo=dt.UTC)
        evaluator.look()
        history = evaluator._store.history(most=100_000)
    return [
        (step["tier"], dt.datetime.fromisoformat(step["at"]).replace(tzinfo=None),
         step["to_state"] == "firing")
        for step in reversed(history)
        if not (step["to_state"] == "keep firing" or (step["from_state"] == "keep firing"
                and step["to_state"] == "firing"))
    ]  # fmt: skip


def _tests(rows, alerts, steps):
    """The test of promtool in which every minute is expected as the steps say."""
    series = {}
    for name, column in (("good", 1), ("valid", 2)):
        total, values = 0, [0]
        for row in rows:
            total += row[column]
            values.append(total)
        series[f'cadran_sli_{name}_total{{kpi="availability"}}'] = " ".join(map(str, values))
    changes = {}
    for tier, at, firing in steps:
        changes.setdefault(at, []).append((tier, firing))
    firing, expected = set(), []
    for minute in range(1, MINUTES + 1):
        for tier, begins in changes.get(START + minute * MINUTE, ()):
            (firing.add if begins else firing.discard)(tier)
        expected.append(
            {
                "eval_time": f"{minute}m", "alertname": "ErrorBudgetBurn",
                "exp_alerts": [
                    {"exp_labels": alerts[tier]["labels"],
                     "exp_annotations": alerts[tier]["annotations"]}
                    for tier in sorted(firing)
                ],
            }
        )  # fmt: skip
    return {
        "rule_files": ["rules.yml"],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": n, "values": v} for n, v in series.items()],
                "alert_rule_test": expected,
            }
        ],
    }


def test_the_last_minute_is_as_the_status_has_it(demo):
    """What is read at the watermark equals what is read minute by minute, also within an hour."""
    lab = Lab(demo.target / "manifest.json")
    lab.slo("a", 0.99)
    lab.slo("b", 0.9, budgeting="timeslices", slice_target=0.95, no_data="bad")
    lab.exclude("2026-03-01 09:10", "2026-03-01 10:20")
    layer, rows = LabLayer(lab), counts(random.Random(1))  # noqa: S311 - cases, not secrets
    for watermark in ("2026-03-01 10:00", "2026-03-01 11:37"):
        until = dt.datetime.fromisoformat(watermark)
        lab.db.execute("delete from int_sli_minutely")
        lab.minutes([row for row in rows if row[0] < until])
        lab.build(watermark=watermark)
        lengths = {row["window_minutes"] for row in status.window_sums(layer)}
        by_minute = status.window_sums_by_minute(layer, ["a", "b"], lengths, until, until)
        assert len(by_minute) == 2
        for row in status.window_sums(layer):
            (other,) = (r for r in by_minute if r["slo_id"] == row["slo_id"])
            for name in ("units", "bad_units", "allowed_units"):
                assert row[name] == other[f"{name}_{row['window_minutes']}"], (watermark, row)


@pytest.fixture
def alertmanager(tool, tmp_path):
    """An Alertmanager with a receiver of its own: its address, and the receiver."""
    inhibit = {"source_matchers": ['severity="page"'], "target_matchers": ['severity="ticket"'],
               "equal": ["slo"]}  # fmt: skip
    with with_alertmanager(tool, tmp_path, inhibit_rules=[inhibit]) as both:
        yield both


@contextlib.contextmanager
def with_alertmanager(tool, folder, **more):
    """An Alertmanager that tells a webhook, as long as the block runs."""
    program = tool("alertmanager")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with Hook() as hook:
        config = {
            "route": {"receiver": "hook", "group_by": ["slo"], "group_wait": "300ms",
                      "group_interval": "300ms", "repeat_interval": "1h"},
            "receivers": [{"name": "hook", "webhook_configs": [{"url": hook.url}]}],
            **more,
        }  # fmt: skip
        (folder / "alertmanager.yml").write_text(yaml.safe_dump(config))
        process = subprocess.Popen(
            [program, f"--config.file={folder}/alertmanager.yml", f"--storage.path={folder}/am",
             "--cluster.listen-address=", f"--web.listen-address=127.0.0.1:{port}"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            url = f"http://127.0.0.1:{port}"
            wait_for(lambda: call(f"{url}/-/ready") is not None)
            yield url, hook
        finally:
            process.terminate()
            process.wait(10)


def call(url, body=None):
    request = urllib.request.Request(  # noqa: S310 - loopback
        url, data=None if body is None else json.dumps(body).encode(),
        headers={"content-type": "application/json"},
    )  # fmt: skip
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 - loopback
            return answer.read()
    except (urllib.error.URLError, ConnectionError):
        return None


def wait_for(condition, seconds=15):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it does not come"
        time.sleep(0.05)


def test_a_real_alertmanager_groups_inhibits_silences_and_resolves(demo, alertmanager, tmp_path):
    url, hook = alertmanager
    now = dt.datetime.now(dt.UTC).replace(second=0, microsecond=0)
    lab = Lab(demo.target / "manifest.json")
    for name in ("a", "b"):
        lab.slo(name, 0.99)
    begin = now.replace(tzinfo=None) - dt.timedelta(days=4)
    lab.every_minute(begin, now.replace(tzinfo=None), 100, 100)
    lab.db.execute("update int_sli_minutely set good_count = 0 where minute_at >= ?",
                   [now.replace(tzinfo=None) - dt.timedelta(minutes=45)])  # fmt: skip
    lab.build()
    silence = {
        "matchers": [{"name": "slo", "value": "b", "isRegex": False, "isEqual": True}],
        "startsAt": now.isoformat(), "endsAt": (now + dt.timedelta(hours=1)).isoformat(),
        "createdBy": "o@example.com", "comment": "maintenance",
    }  # fmt: skip
    assert call(f"{url}/api/v2/silences", silence)
    clock = Clock("2026-01-01")
    clock.now = dt.datetime.now(dt.UTC)
    rules = policies(tmp_path, receivers=[{"name": "am", "alertmanager": url, "lang": "fr"}])

    def alerts():
        every = json.loads(call(f"{url}/api/v2/alerts") or "[]")
        return {(a["labels"]["slo"], a["labels"]["tier"]): a for a in every}

    with evaluating(rules, LabLayer(lab), tmp_path, clock) as evaluator:
        look = evaluator.look()
        assert (len(look.transitions), look.sent) == (8, 8)
        wait_for(lambda: hook.received)
        wait_for(lambda: alerts()["a", "slow"]["status"]["inhibitedBy"])
        first = alerts()
        assert len(first) == 8
        assert {first["b", tier]["status"]["state"] for tier in ("fast", "slow")} == {"suppressed"}
        assert "fois trop vite" in first["a", "fast"]["annotations"]["summary"]
        assert first["a", "fast"]["labels"] == {
            "alertname": "burn", "severity": "page", "slo": "a", "kpi": "availability",
            "subject": "all", "tier": "fast",
        }  # fmt: skip
        # Pages of an SLO come together; its tickets stay behind them, and what is silenced too.
        told = {a["labels"]["tier"]: a["status"] for body in hook.bodies for a in body["alerts"]}
        assert told == {"fast": "firing", "medium": "firing"}
        assert {body["groupLabels"]["slo"] for body in hook.bodies} == {"a"}
        # Told again before it forgets, and no step written for it.
        clock.forward(minutes=1)
        evaluator.look()
        again = alerts()["a", "fast"]
        assert again["endsAt"] > first["a", "fast"]["endsAt"]
        assert again["startsAt"] == first["a", "fast"]["startsAt"]
        # A correction after the fact: the minutes were good.
        lab.db.execute("update int_sli_minutely set good_count = total_count")
        lab.build()
        clock.now = dt.datetime.now(dt.UTC)
        assert evaluator.look().sent == 8
    wait_for(lambda: hook.bodies[-1]["status"] == "resolved")
    wait_for(lambda: not alerts())

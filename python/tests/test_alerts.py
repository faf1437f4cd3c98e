"""Alerts as they live: one evaluator, one store, and somebody who is told once."""

from __future__ import annotations

import datetime as dt
import json
import logging
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from alert_lab import BURN, SECRET, Clock, Hook, LabLayer, cut, evaluating, outage, policies

from cadran.errors import AlertsError
from cadran.reliability.alerts.machine import Alert, Key, Observation, State, advance
from cadran.reliability.alerts.store import Change, LostLeaseError, Standing, Store, Transition

FIRING, KEEPS, RESOLVED = State.FIRING, State.KEEP_FIRING, State.RESOLVED
MINUTE = dt.timedelta(minutes=1)
START = dt.datetime(2026, 3, 8, 12, tzinfo=dt.UTC)
KEY = Key("burn", "a", "fast")


@pytest.fixture(autouse=True)
def _secret(monkeypatch):
    monkeypatch.setenv("HOOK_SECRET", SECRET)


@pytest.fixture
def hook():
    with Hook() as hook:
        yield hook


@pytest.fixture(scope="module")
def short_outage(demo):
    """Calm days, and twenty minutes in which everything fails."""
    return outage(demo).build()


def states(holds, **lengths):
    """The states of an alert over minutes in which its condition holds (x) or not (.)."""
    alert, seen = Alert(), []
    for number, letter in enumerate(holds):
        observation = Observation(KEY, START + number * MINUTE, holds=letter == "x")
        alert = advance(alert, observation, **{name: n * MINUTE for name, n in lengths.items()})
        seen.append(alert.state.value[0])
    return "".join(seen)


@pytest.mark.parametrize(
    ("holds", "lengths", "expected"),
    [
        (".x..x", {}, "ifrrf"),
        ("xx.xxx.", {"pending_for": 2}, "ppippfr"),
        # It fires on from the first minute of quiet, for so many minutes.
        ("x.....", {"keep_firing_for": 3}, "fkkkrr"),
        ("x.x....", {"keep_firing_for": 2}, "fkfkkrr"),
        ("x...xx", {"keep_firing_for": 1, "pending_for": 1}, "piiipf"),
    ],
)
def test_a_state_follows_from_the_one_before(holds, lengths, expected):
    assert states(holds, **lengths) == expected


def test_an_outage_fires_its_tier_once_and_resolves_it_across_a_restart(
    short_outage, hook, tmp_path
):
    layer, clock = LabLayer(short_outage), Clock("2026-03-08 12:08")
    rules = policies(tmp_path, hook, page="https://kpis.example.com/slo/{slo}")
    with evaluating(rules, layer, tmp_path, clock) as evaluator:
        assert evaluator.look().transitions == ()
        clock.forward(minutes=3)
        # Above 13.44 in an hour: 8.064 bad minutes of 60, so nine of them.
        assert [step.at for step in evaluator.look().transitions] == [START + 9 * MINUTE]
        assert hook.told == ["firing all/fast"]
        assert hook.all_signed(clock())
        assert evaluator.look().sent == 0
    with evaluating(rules, layer, tmp_path, clock, "after a restart") as evaluator:
        assert evaluator.look().transitions == ()
        clock.forward(minutes=13)
        assert evaluator.look().transitions == ()
        clock.forward(minutes=1)
        evaluator.look()
    # Above 13.44 in five minutes as long as one of them is bad: until 12:24.
    assert hook.told == ["firing all/fast", "resolved all/fast"]
    assert [body["starts_at"] for body in hook.bodies] == ["2026-03-08T12:09:00+00:00"] * 2
    assert hook.bodies[1]["ends_at"] == "2026-03-08T12:25:00+00:00"
    assert hook.bodies[0]["text"].splitlines() == [
        (
            "Availability burns its error budget 15.0 times too fast over 1 h and 100.0 times over"
            " 5 min; the alert begins above 13.4."
        ),
        "Since 8 Mar 2026, 12:09 (UTC).", "Left of the budget: 82.6%.",
        "Concerned: o@example.com.", "Page: https://kpis.example.com/slo/a",
    ]  # fmt: skip


def test_minutes_that_nobody_looked_at_are_evaluated_one_by_one(demo, hook, tmp_path):
    """An evaluator that was away tells the same steps at the same minutes as one that was not."""
    lab = outage(demo, minutes=60)
    lab.build()
    layer, clock = LabLayer(lab), Clock("2026-03-08 11:50")
    rules = policies(tmp_path, hook, rules=[BURN | {"keep_firing_for": "5 minutes"}])
    steps = []
    with evaluating(rules, layer, tmp_path, clock) as evaluator:
        evaluator.look()
        clock.forward(hours=8)
        steps = evaluator.look().transitions
    steps = sorted((f"{s.at:%H:%M}", s.key.tier, s.to_state) for s in steps)
    assert [(tier, state, at) for at, tier, state in steps] == [
        ("fast", FIRING, "12:09"), ("medium", FIRING, "12:21"), ("slow", FIRING, "12:41"),
        ("trickle", FIRING, "12:41"), ("fast", KEEPS, "13:05"), ("fast", RESOLVED, "13:10"),
        ("medium", KEEPS, "13:29"), ("medium", RESOLVED, "13:34"), ("slow", KEEPS, "14:57"),
        ("slow", RESOLVED, "15:02"), ("trickle", KEEPS, "18:57"), ("trickle", RESOLVED, "19:02"),
    ]  # fmt: skip
    # Of each tier in this order, each once.
    assert sorted(hook.told) == sorted(
        f"{step} all/{tier}" for tier in ("fast", "medium", "slow", "trickle")
        for step in ("firing", "resolved")
    )  # fmt: skip
    for tier in ("fast", "medium", "slow", "trickle"):
        assert next(step for step in hook.told if step.endswith(tier)).startswith("firing")


def test_a_minute_is_evaluated_when_it_has_settled_and_never_before_its_data(demo, tmp_path):
    lab = outage(demo, until="2026-03-08 13:00")
    cut(lab, "2026-03-08 12:09")
    layer, clock = LabLayer(lab), Clock("2026-03-08 12:09:05")
    rules = policies(tmp_path, settle=10)
    with evaluating(rules, layer, tmp_path, clock) as evaluator:
        assert evaluator.look().transitions == ()  # 12:08 to 12:09 ended five seconds ago
        clock.forward(seconds=5)
        assert [step.at for step in evaluator.look().transitions] == [START + 9 * MINUTE]
        clock.forward(hours=2)  # no data since: nothing is said of minutes that are not there
        assert evaluator.look().transitions == ()


def test_of_two_evaluators_one_evaluates_and_the_other_takes_over(short_outage, hook, tmp_path):
    layer, clock = LabLayer(short_outage), Clock("2026-03-08 12:10")
    rules = policies(tmp_path, hook)
    with (
        evaluating(rules, layer, tmp_path, clock, "one") as one,
        evaluating(rules, layer, tmp_path, clock, "two") as two,
    ):
        assert one.look().evaluates
        assert not two.look().evaluates
        assert hook.told == ["firing all/fast"]
        clock.forward(seconds=61)  # one is stopped, or hangs, and its lease runs out
        assert two.look().evaluates
        assert not one.look().evaluates
        clock.forward(minutes=20)
        assert two.look().sent == 1
    assert hook.told == ["firing all/fast", "resolved all/fast"]


def test_an_evaluator_that_lost_its_lease_writes_nothing(tmp_path):
    path = tmp_path / "alerts.sqlite"
    slow, quick = Store(path, "slow"), Store(path, "quick")
    assert slow.hold(0, 60)
    assert quick.hold(61, 60)
    with pytest.raises(LostLeaseError, match="taken over"):
        slow.write([change()], START)
    assert quick.standings() == {}
    slow.close()
    assert quick.holder() == ("quick", 121)  # who has lost it does not let go of it either
    quick.close()


def change(state=FIRING, before=State.INACTIVE, *, receivers=("hook",), at=START, fired=START):
    """A step as the evaluator writes it."""
    seen = Observation(KEY, at, holds=True, severity="page", values={"long_burn": 20.0})
    alert = Alert(state, at, at, fired, None, at if state is RESOLVED else None)
    status = "resolved" if state is RESOLVED else "firing"
    body = {
        "id": f"{status}-1", "status": status, "title": "t", "text": "t",
        "labels": {"subject": "a", "tier": "fast", "severity": "page"},
    }  # fmt: skip
    return Change(
        Standing(KEY, "page", alert, {"names": ["a"]}),
        Transition.of(seen, Alert(before), alert), tuple((name, body) for name in receivers),
    )  # fmt: skip


def remembered(folder, *changes):
    """A store in which steps were written by an evaluator that is no more."""
    store = Store(folder / "alerts.sqlite", "before")
    assert store.hold(START.timestamp(), 1)
    for one in changes:
        store.write([one], START)
    return store


CHILD = """
import contextlib, datetime as dt, sys
from pathlib import Path
from alert_lab import Clock, evaluating, policies
from cadran.errors import ProjectError

class Url:
    url = sys.argv[2]

def no_layer():
    raise ProjectError("there is none")

class Gone:
    def __enter__(self): no_layer()
    def __exit__(self, *_): pass

clock = Clock("2026-03-08 12:05")
with evaluating(policies(Path(sys.argv[1]), Url), None, Path(sys.argv[1]), clock, sys.argv[3]) as e:
    e._layer = Gone
    print(e.look().sent)
"""


def child(folder, url, name):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, folder, url, name], env=environment,
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_what_was_sent_but_not_written_down_is_sent_again_under_its_id(hook, tmp_path):
    """An evaluator is killed between the receiver's answer and its own note of it."""
    remembered(tmp_path, change()).close()
    first = child(tmp_path, hook.url, "killed")
    hook.before_answer = first.kill
    assert first.wait() == -9
    hook.before_answer = lambda: None
    store = Store(tmp_path / "alerts.sqlite", "reader")
    assert store.open_notifications() == 1
    # Its lease is not let go of: the next one waits until it has run out.
    with sqlite3.connect(tmp_path / "alerts.sqlite") as db:
        db.execute("update lease set until = 0")
    second = child(tmp_path, hook.url, "next")
    assert second.communicate()[0] == "1\n"
    assert store.open_notifications() == 0
    store.close()
    assert [headers["webhook-id"] for headers, _ in hook.received] == ["firing-1", "firing-1"]


def test_what_cannot_be_sent_is_tried_again_and_in_order(short_outage, hook, tmp_path, caplog):
    layer, clock = LabLayer(short_outage), Clock("2026-03-08 12:10")
    rules = policies(tmp_path, hook, give_up_after="1 hour")
    hook.answers = [500, 500]
    with evaluating(rules, layer, tmp_path, clock) as evaluator:
        assert evaluator.look().sent == 0
        clock.forward(minutes=20)  # it is resolved before anybody heard that it fires
        assert evaluator.look().sent == 0
        clock.forward(minutes=5)
        assert evaluator.look().sent == 2
        assert [b["status"] for b in hook.bodies] == ["firing", "firing", "firing", "resolved"]
        assert len({b["id"] for b in hook.bodies}) == 2
    rows = sqlite3.connect(tmp_path / "alerts.sqlite").execute(
        "select attempts, problem from outbox order by notification_id"
    )
    assert rows.fetchall() == [(3, None), (1, None)]
    assert "hook is not told of burn/a/fast: Receiver 'hook' answers 500." in caplog.text
    assert SECRET not in caplog.text


def test_what_nobody_takes_is_given_up_aloud(tmp_path, hook, caplog):
    remembered(tmp_path, change(receivers=["hook", "gone"])).close()
    clock = Clock("2026-03-08 14:00")
    hook.answers = [410]
    with evaluating(
        policies(tmp_path, hook, give_up_after="1 hour"), LabLayer(None), tmp_path, clock
    ) as evaluator:
        evaluator._deliver()
        assert evaluator._holds()
        evaluator._deliver()
        (row,) = evaluator._store.history()
    assert (row["notifications"], row["sent"], row["given_up"]) == (2, 0, 2)
    assert "gone is not told of burn/a/fast, for good" in caplog.text


def test_transitions_are_only_added(tmp_path):
    remembered(tmp_path, change()).close()
    with sqlite3.connect(tmp_path / "alerts.sqlite") as db:
        for statement in ("update transitions set at = 'x'", "delete from transitions"):
            with pytest.raises(sqlite3.IntegrityError, match="only added"):
                db.execute(statement)


def test_a_step_tells_by_which_values_and_versions_it_was_made(tmp_path):
    store = remembered(tmp_path, change(), change(RESOLVED, FIRING, at=START + MINUTE))
    newest, oldest = store.history("burn", "a")
    assert (oldest["from_state"], oldest["to_state"]) == ("inactive", "firing")
    assert (newest["from_state"], newest["to_state"]) == ("firing", "resolved")
    assert oldest["values"] == {"long_burn": 20.0}
    assert oldest["evaluator"] == "before"
    assert store.history("other") == []
    store.close()


def test_a_file_of_something_else_is_no_store(tmp_path):
    (tmp_path / "text").write_text("no database, but long enough to look like one" * 10)
    with sqlite3.connect(tmp_path / "other") as db:
        db.execute("create table x (y)")
    for name in ("text", "other"):
        with pytest.raises(AlertsError, match="store of alerts"):
            Store(tmp_path / name, "me")


def test_a_rule_that_cannot_be_evaluated_is_told_and_nothing_resolves(short_outage, hook, tmp_path):
    layer, clock = LabLayer(short_outage), Clock("2026-03-08 12:10")
    with evaluating(policies(tmp_path, hook), layer, tmp_path, clock) as evaluator:
        evaluator.look()
        layer.problem = "the disk is gone"
        clock.forward(minutes=30)
        assert evaluator.look().problems == (("burn", "the disk is gone"),)
        assert hook.told == ["firing all/fast"]
        clock.forward(minutes=5)
        evaluator.look()
        assert hook.told[1:] == ["firing burn/"]
        assert "the disk is gone" in hook.bodies[1]["text"]
        layer.problem = None
        evaluator.look()
        assert sorted(hook.told[2:]) == ["resolved all/fast", "resolved burn/"]


def test_an_alert_whose_rule_or_subject_is_gone_ends(short_outage, hook, tmp_path):
    layer, clock = LabLayer(short_outage), Clock("2026-03-08 12:10")
    with evaluating(policies(tmp_path, hook), layer, tmp_path, clock) as evaluator:
        evaluator.look()
    other = policies(tmp_path, hook, rules=[BURN | {"burn": {"tiers": ["slow"]}}])
    with evaluating(other, layer, tmp_path, clock) as evaluator:
        evaluator.look()
    assert hook.told == ["firing all/fast", "resolved all/fast"]
    assert "no longer watched" in hook.bodies[1]["text"]
    clock.forward(minutes=1)
    with evaluating(policies(tmp_path, hook), layer, tmp_path, clock) as evaluator:
        evaluator.look()
    with evaluating(policies(tmp_path, hook, rules=[]), layer, tmp_path, clock) as evaluator:
        evaluator.look()
    assert hook.told[2:] == ["firing all/fast", "resolved all/fast"], list(hook.told)


def test_the_log_of_a_look_holds_no_secret(short_outage, hook, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    clock = Clock("2026-03-08 12:10")
    with evaluating(policies(tmp_path, hook), LabLayer(short_outage), tmp_path, clock) as evaluator:
        evaluator.look()
    assert "burn/a/fast: firing, was inactive" in caplog.text
    stored = Path(tmp_path / "alerts.sqlite").read_bytes()
    assert SECRET not in caplog.text
    assert SECRET.encode() not in stored
    assert SECRET not in json.dumps(hook.bodies)

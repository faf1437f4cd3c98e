"""What rules see, what policies may say, and what a message says."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import logging
import re
import socket
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from alert_lab import SECRET, Clock, Hook, LabLayer, policies
from slo_lab import Lab

from cadran.cli import main
from cadran.core.project import artifacts
from cadran.errors import AlertsError, CadranError
from cadran.insight.scorecard import make
from cadran.reliability.alerts import delivery, message, policy
from cadran.reliability.alerts.conditions import Conditions, unlike
from cadran.reliability.alerts.evaluator import opened
from cadran.reliability.alerts.machine import Alert, Key, Observation, State
from cadran.reliability.alerts.store import Store
from cadran.server.run import serving
from cadran.server.settings import Settings

NOW = dt.datetime(2026, 2, 20, 12, tzinfo=dt.UTC)


def seen(layer, now=NOW, **rule):
    """What one rule sees."""
    content = {"name": "r", "severity": "ticket"} | rule
    return Conditions(layer, now).of(policy.Rule.model_validate(content), {})


@pytest.mark.parametrize(
    ("threshold", "holds"),
    [
        # Two orders of January: 10.10 and 20.20, both of the web.
        ({"below": 30.31}, True), ({"below": 30.3}, False), ({"above": 30.29}, True),
        ({"above": 30.3}, False), ({"below": 31, "where": ["order_id__channel = 'app'"]}, False),
        ({"above": 1, "events": {"metric": "orders", "at_least": 2}}, True),
        ({"above": 1, "events": {"metric": "orders", "at_least": 3}}, False),
        ({"target": "warning"}, False),
    ],
)  # fmt: skip
def test_a_value_of_the_last_whole_period_is_beyond_its_bound(shop, threshold, holds):
    (one,) = seen(shop, threshold={"kpi": "revenue", "grain": "month"} | threshold)
    assert one.holds is holds
    assert one.at == dt.datetime(2026, 2, 1, tzinfo=dt.UTC)
    assert one.versions["kpi"] == 3


def test_the_last_period_is_over_by_the_clock_too(shop):
    (one,) = seen(shop, now=dt.datetime(2026, 2, 3, 9, tzinfo=dt.UTC),
                  threshold={"kpi": "revenue", "grain": "day", "below": 71})  # fmt: skip
    assert (one.values["period"], one.values["value"]) == ("2026-02-02", None)
    (one,) = seen(shop, now=dt.datetime(2026, 2, 2, 9, tzinfo=dt.UTC),
                  threshold={"kpi": "revenue", "grain": "day", "below": 71})  # fmt: skip
    assert (one.values["value"], one.holds) == (70.7, True)


@pytest.mark.parametrize(
    ("before", "value", "holds"),
    [
        # Median 100, deviations 10, 0, 0, 10: their median 5, four of which are 20.
        ([90, 100, 100, 110], 79, True), ([90, 100, 100, 110], 80, False),
        # Always the same: a twentieth counts all the same.
        ([100, 100, 100, 100], 94, True), ([100, 100, 100, 100], 96, False),
        # One odd week does not widen it.
        ([90, 100, 100, 110, 1000], 59, True), ([90], 1, False),
    ],
)  # fmt: skip
def test_a_day_is_unlike_the_same_weekday_before(before, value, holds):
    weekday = policy.Weekday(weeks=4)
    assert unlike(weekday, value, [float(v) for v in before])[0] is holds
    assert not unlike(weekday, 1_000, [100.0] * 4)[0]
    assert unlike(policy.Weekday(weeks=4, side="both"), 1_000, [100.0] * 4)[0]


def test_a_kpi_is_worse_than_its_target_where_the_board_says_so(layer):
    board = make(layer, "month")
    now = dt.datetime(2026, 11, 2, tzinfo=dt.UTC)
    worse = {"target": {"near target", "warning", "critical"}, "critical": {"critical"}}
    holding = 0
    for row in board.rows:
        if row.target is None or row.card.direction == "band":
            continue
        for bound, statuses in worse.items():
            rule = {"kpi": row.card.name, "grain": "month", "target": bound}
            (one,) = seen(layer, now=now, threshold=rule)
            assert one.holds is (row.status.value in statuses), row.card.name
            holding += one.holds
    assert holding


def test_a_kpi_is_late_when_its_card_says_so(shop):
    # Orders end on February 3rd, and are promised three hours later at the latest.
    for hour, late in ((2, False), (4, True)):
        now = dt.datetime(2026, 2, 4, hour, tzinfo=dt.UTC)
        (one,) = seen(shop, now=now, freshness={"kpis": ["revenue"]})
        assert one.holds is late
    names = {one.key.subject for one in seen(shop, freshness={})}
    assert names == {card.name for card in shop.kpis()}


@pytest.fixture(scope="module")
def quiet(demo):
    """Two SLOs, one of which has been silent for 20 minutes at 13:00."""
    lab = Lab(demo.target / "manifest.json")
    for name in ("loud", "silent"):
        lab.slo(name, 0.9, subject=name, slice_rule=name)
        until = "2026-03-01 13:00" if name == "loud" else "2026-03-01 12:40"
        lab.every_minute("2026-03-01", until, 80, 100, subject=name)
    return LabLayer(lab.build())


@pytest.mark.parametrize(
    ("after", "now", "silent"),
    [
        ("20 minutes", "13:00", set()), ("19 minutes", "13:00", {"silent"}),
        ("20 minutes", "13:01", {"silent"}), ("2 days", "13:00", set()),
        ("30 minutes", "23:00", {"silent", "loud"}),
    ],
)  # fmt: skip
def test_silence_is_told_by_the_clock(quiet, after, now, silent):
    clock = dt.datetime.fromisoformat(f"2026-03-01 {now}+00:00")
    found = seen(quiet, now=clock, no_data={"after": after})
    assert {one.key.subject for one in found if one.holds} == silent


def test_a_budget_is_low_strictly_below_its_bound(quiet):
    now = dt.datetime(2026, 3, 1, 13, tzinfo=dt.UTC)
    # A fifth fails where a tenth may: the budget is spent once over.
    for bound, low in ((-1.0, 0), (-0.99, 2)):
        found = seen(quiet, now=now, budget={"remaining_below": bound})
        assert sum(one.holds for one in found) == low
        assert {one.values["remaining"] for one in found} == {-1.0}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"rules": [{"name": "a", "burn": {}, "severity": "page"}]}, "severity from its tiers"),
        ({"rules": [{"name": "a", "burn": {}, "budget": {"remaining_below": 0}}]}, "exactly one"),
        ({"rules": [{"name": "a", "budget": {"remaining_below": 0}}]}, "needs a severity"),
        ({"rules": [{"name": "a", "burn": {}}] * 2}, "more than once"),
        ({"rules": [{"name": "a", "burn": {}, "to": ["b"]}]}, "there are the receivers"),
        ({"rules": [{"name": "a", "burn": {}, "keep_firing_for": "soon"}]}, "a duration such as"),
        ({"rules": [{"name": "A", "burn": {}}]}, "a text of the form"),
        ({"rules": [{"name": "a", "burn": {"slo": "x"}}]}, "did you mean 'slos'"),
        ({"receivers": [{"name": "a", "webhook": "https://h.example.com"}]}, "with a secret"),
        ({"receivers": [{"name": "a"}]}, "exactly one of alertmanager"),
        ({"receivers": [{"name": "a", "alertmanager": "ftp://x"}]}, "it takes an address"),
        ({"receivers": [{"name": "a", "alertmanager": "http://u:p@x"}]}, "holds a password"),
        ({"receivers": [{"name": "a", "apprise": {"variable": "A", "file": "b"}}]}, "exactly one"),
        ({"page": "https://x.example.com/{team}"}, "{slo}"),
        ({"every": 0}, "from 0.1 to 3600"),
    ],
)  # fmt: skip
def test_what_a_policy_must_not_say_is_refused_in_a_sentence(tmp_path, changes, sentence):
    (tmp_path / policy.FILE).write_text(yaml.safe_dump(changes))
    with pytest.raises(AlertsError, match=re.escape(sentence)):
        policy.read(tmp_path)


def test_names_that_do_not_exist_are_refused_when_they_are_asked(quiet):
    for rule, name in (
        ({"burn": {"slos": ["lout"]}, "severity": None}, "Did you mean 'loud'"),
        ({"burn": {"tiers": ["quick"]}, "severity": None}, "no tier 'quick'"),
        ({"no_data": {"slos": ["x"], "after": "1 hour"}}, "no SLO 'x'"),
    ):
        with pytest.raises(CadranError, match=name):
            seen(quiet, **rule)


def test_the_policies_of_the_demo_can_be_read(project_root):
    rules = policy.read(project_root)
    assert {rule.name for rule in rules.rules} >= {"budget_burn", "budget_low", "late_data"}


def test_a_secret_stands_in_a_file_or_variable_and_is_missed_by_name(tmp_path, monkeypatch):
    (tmp_path / "key").write_text(f"{SECRET}\n")
    assert policy.Secret(file="key").read(tmp_path) == SECRET
    monkeypatch.setenv("KEY", SECRET)
    assert policy.Secret(variable="KEY").read(tmp_path) == SECRET
    for secret, place in (({"file": "none"}, "none"), ({"variable": "NONE"}, "variable NONE")):
        with pytest.raises(AlertsError, match=place):
            policy.Secret(**secret).read(tmp_path)
        rules = policies(tmp_path, receivers=[{"name": "chat", "apprise": secret}])
        with pytest.raises(AlertsError, match=place), opened(rules, None, tmp_path):
            pass


def test_a_signature_holds_for_this_body_this_id_and_not_for_long():
    # The example of the specification of Standard Webhooks.
    secret, at = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", dt.datetime.fromtimestamp(
        1614265330, dt.UTC
    )  # fmt: skip
    content = b'{"test": 2432232314}'
    headers = delivery.signed(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", content, at)
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert delivery.is_signed(secret, headers, content, at + dt.timedelta(minutes=5))
    for wrong in (
        (secret, headers, content + b" ", at),
        (secret, headers | {"webhook-id": "other"}, content, at),
        ("whsec_AAAA", headers, content, at),
        (secret, headers, content, at + dt.timedelta(minutes=6)),
        (secret, {}, content, at),
    ):
        assert not delivery.is_signed(*wrong)


def test_a_message_says_in_french_what_burns_and_since_which_deployment(quiet):
    """Every line of a message, in a service with a team, an incident and a deployment."""
    lab = quiet.lab
    lab.db.execute(
        """create schema warehouse.marts;
        create table warehouse.marts.dim_services as
            select 'loud' as service_id, 'paiement' as team;
        create table warehouse.marts.fct_deployments as
            select 'd1' as deployment_id, 'loud' as service_id, true as is_failed,
                timestamp '2026-03-01 11:58' as deployed_at;
        create table warehouse.marts.fct_incidents as
            select 'i7' as incident_id, 'loud' as service_id, 'sev1' as severity,
                'network' as cause, timestamp '2026-03-01 12:01' as started_at,
                cast(null as timestamp) as restored_at"""
    )
    rules = policies(Path(), page="https://kpis.example.com/slo/{slo}", rules=[
        {"name": "burn", "burn": {}, "runbook": "https://runbooks.example.com/burn"},
    ])  # fmt: skip
    now = dt.datetime(2026, 3, 1, 13, tzinfo=dt.UTC)
    conditions = Conditions(quiet, now)
    one = Observation(
        Key("burn", "loud", "fast"), now, holds=True, severity="page",
        values={"long_burn": 14.25, "short_burn": 20.0, "factor": 13.44, "long_minutes": 60,
                "short_minutes": 5},
    )  # fmt: skip
    fired = dt.datetime(2026, 3, 1, 12, 9, tzinfo=dt.UTC)
    alert = Alert(State.FIRING, now, fired, fired)
    facts = message.facts_of(quiet, rules, rules.rules[0], conditions.statuses(), one, alert)
    title, text = message.title_and_text(facts, "firing", "fr")
    plain = text.replace("\N{NARROW NO-BREAK SPACE}", " ").replace("\N{NO-BREAK SPACE}", " ")
    assert title == (
        "ALERTE (astreinte): Disponibilité\N{NO-BREAK SPACE}: Loud consomme son budget 14,3 fois"
        " trop vite"
    )
    assert plain.splitlines() == [
        (
            "Disponibilité : Loud consomme son budget d'erreur 14,3 fois trop vite sur 1 h et 20,0"
            " fois sur 5 min ; l'alerte commence au-dessus de 13,4."
        ),
        "Depuis le 1 mars 2026, 12:09 (UTC).", "Reste du budget : -100,0 %.",
        "Le budget est épuisé.", "Incident i7 (sev1) de loud depuis le 1 mars 2026, 12:01 (UTC).",
        "Dernier déploiement de loud, qui a échoué : d1, le 1 mars 2026, 11:58 (UTC).",
        "Personnes concernées : o@example.com, équipe paiement.",
        "Consignes : https://runbooks.example.com/burn",
        "Page : https://kpis.example.com/slo/loud",
    ]  # fmt: skip
    assert message.body(facts, "firing", rules.rules[0], "fr")["labels"]["team"] == "paiement"


def test_receivers_take_what_they_are_for():
    page = Observation(Key("burn", "a:checkout"), NOW, holds=True, severity="page")
    content = {
        "receivers": [
            {"name": name, "alertmanager": "http://127.0.0.1", **takes}
            for name, takes in {
                "all": {}, "tickets": {"severities": ["ticket"]}, "pages": {"severities": ["page"]},
                "checkout": {"subjects": ["checkout"]}, "search": {"subjects": ["search"]},
                "burns": {"rules": ["burn"]}, "blind": {"rules": ["cannot_evaluate"]},
            }.items()
        ],
        "rules": [{"name": "burn", "burn": {}}],
    }  # fmt: skip
    rules = policy.Policies.model_validate(content)
    names = ["a:checkout", "a", "checkout", "k"]
    assert [r.name for r in rules.receivers_of(page, names)] == [
        "all", "pages", "checkout", "burns",
    ]  # fmt: skip
    content["rules"][0]["to"] = ["all", "search"]
    rules = policy.Policies.model_validate(content)
    assert [r.name for r in rules.receivers_of(page, names)] == ["all"]


def test_a_receiver_that_answers_byte_by_byte_holds_up_nobody(tmp_path, monkeypatch):
    monkeypatch.setattr(delivery, "_WAIT", 0.5)
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip():
            client, _ = server.accept()
            with client, contextlib.suppress(OSError):
                for letter in b"HTTP/1.1 200 OK\r\n" + b"a" * 200:
                    client.sendall(bytes([letter]))
                    time.sleep(0.2)

        threading.Thread(target=drip, daemon=True).start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/token-in-the-path"
        receiver = policy.Receiver(name="slow", webhook=url, secret={"variable": "HOOK_SECRET"})
        began = time.monotonic()
        with pytest.raises(CadranError, match=r"'slow' cannot be reached: \w+\.$"):
            delivery.sender(receiver, tmp_path).send(message.trial("en", NOW), NOW)
        assert time.monotonic() - began < 10


def test_apprise_takes_a_message_and_its_url_is_nowhere_told(tmp_path, monkeypatch):
    pytest.importorskip("apprise")
    body, clock = message.trial("en", NOW), Clock("2026-02-20")
    with Hook() as hook:
        monkeypatch.setenv("CHAT", f"{hook.url.replace('http', 'json')}?password=hidden")
        receiver = policy.Receiver(name="chat", apprise={"variable": "CHAT"})
        delivery.sender(receiver, tmp_path).send(body, clock())
        assert json.loads(hook.received[0][1])["title"] == body["title"]
        hook.answers = [500]
        with pytest.raises(CadranError, match="did not take") as refused:
            delivery.sender(receiver, tmp_path).send(body, clock())
        assert "hidden" not in str(refused.value)
    monkeypatch.setenv("CHAT", "nothing://hidden")
    with pytest.raises(AlertsError, match=r"no URL of Apprise\.$"):
        delivery.sender(receiver, tmp_path).send(body, clock())


@pytest.fixture
def posted(monkeypatch):
    """Bodies that services on the internet would have been sent."""
    requests = pytest.importorskip("requests")
    pytest.importorskip("apprise")
    bodies = []

    def post(*_, data, **__):
        bodies.append(json.loads(data))
        return SimpleNamespace(status_code=200, content=b"ok", text="ok", headers={})

    monkeypatch.setattr(requests, "post", post)
    monkeypatch.setattr(requests, "request", post)
    return bodies


SLACK = "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/%23general"
TEAMS = "workflows://prod-1.westus.logic.azure.com/643e69f83c8944/J3NgUYkuqfbXo9gGOk6pWk1KU47pAmsA/"
PAGE = "https://kpis.example.com/slo/availability_28d:checkout?a=1&b=2"


def test_slack_and_teams_get_a_message_as_they_show_it(posted, tmp_path, monkeypatch):
    lines = ["Checkout burns <its> budget.", "Team: pay_ments_eu.", f"Page: {PAGE}"]
    body = message.trial("en", NOW) | {"title": "A title", "text": "\n".join(lines), "page": PAGE}
    for url in (SLACK, TEAMS):
        monkeypatch.setenv("CHAT", url)
        receiver = policy.Receiver(name="chat", apprise={"variable": "CHAT"})
        delivery.sender(receiver, tmp_path).send(body, NOW)
    slack, card = (sent["attachments"][0] for sent in posted)
    link = PAGE.replace("&", "&amp;")
    assert (slack["title"], slack["footer"]) == ("A title", "Cadran")
    assert slack["text"].splitlines() == [
        "Checkout burns &lt;its&gt; budget.", "", "- Team: pay_ments_eu.",
        f"- Page: <{link}|{link}>",
    ]  # fmt: skip
    (block,) = card["content"]["body"]  # no heading, which Teams cuts, and no picture of elsewhere
    assert block["wrap"]
    assert block["text"].splitlines() == [
        "**A title**", "", r"Checkout burns \<its\> budget.", "", r"- Team: pay\_ments\_eu.",
        f"- Page: [{PAGE}]({PAGE})",
    ]  # fmt: skip
    assert "http" not in json.dumps(posted).replace(PAGE, "").replace(link, "").replace(
        "http://adaptivecards.io", ""
    )


def test_a_digest_is_never_too_long_for_slack(posted, tmp_path, monkeypatch):
    monkeypatch.setenv("CHAT", f"{SLACK}?blocks=yes")
    chat = delivery.Chat(policy.Receiver(name="chat", apprise={"variable": "CHAT"}), tmp_path)
    for length in (3_000, 3_001):  # a block takes no more
        chat.send_letter(delivery.Letter("A title", "text", "x" * length))
    short, long = (sent["attachments"][0] for sent in posted)
    assert short["blocks"][1]["text"]["text"] == "x" * 3_000
    assert long["text"] == "x" * 3_001


def test_the_command_tests_runs_lists_and_tells_the_history(
    shop, tmp_path, capsys, caplog, monkeypatch
):
    caplog.set_level(logging.INFO)
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    root = tmp_path
    with Hook() as hook:
        content = {
            "store": str(root / "alerts.sqlite"),
            "receivers": [
                {"name": "hook", "webhook": hook.url, "secret": {"variable": "HOOK_SECRET"}}
            ],
            "rules": [
                {"name": "low", "severity": "page",
                 "threshold": {"kpi": "revenue", "grain": "month", "below": 31}},
            ],
        }  # fmt: skip
        (root / "p.yml").write_text(yaml.safe_dump(content))
        where = [
            "--policies", str(root / "p.yml"), "--manifest",
            str(shop.project.semantic_manifest_path), "--database", str(shop.project.database),
            "--project-dir", str(root),
        ]  # fmt: skip
        assert main(["alerts", "test", *where, "--format", "json"]) == 0
        (row,) = json.loads(capsys.readouterr().out)
        assert (row["subject"], row["holds"], row["values"]["value"]) == ("revenue", True, 30.3)
        assert main(["alerts", "list", *where]) == 0
        assert "(nothing)" in capsys.readouterr().out
        assert hook.received == []
        assert main(["alerts", "test", *where, "--send", "hook"]) == 0
        assert "test" in hook.bodies[0]["title"]
        caplog.clear()
        assert main(["alerts", "run", *where, "--once"]) == 0
        assert "low/revenue" in capsys.readouterr().out
        assert hook.url not in caplog.text  # a secret may stand in it
        text = hook.bodies[1]["text"]
        assert text.startswith("Revenue was €30.30 in January 2026. The bound is €31.00.")
        assert "sales@example.com" in text
    assert main(["alerts", "list", *where, "--firing", "--format", "json"]) == 0
    assert [row["state"] for row in json.loads(capsys.readouterr().out)] == ["firing"]
    assert main(["alerts", "history", "low", *where, "--format", "json"]) == 0
    (step,) = json.loads(capsys.readouterr().out)
    assert (step["to_state"], step["sent"], step["versions"]["kpi"]) == ("firing", 1, 3)
    assert main(["alerts", "test", *where, "--send", "hok"]) == 2
    assert "Did you mean 'hook'?" in capsys.readouterr().err


def test_a_server_evaluates_beside_its_answers_where_its_settings_say_so(tiny, tmp_path):
    found = artifacts.find(None, tiny, tiny.parents[1] / "tiny.duckdb")
    (tmp_path / "p.yml").write_text(yaml.safe_dump({
        "store": str(tmp_path / "alerts.sqlite"), "every": 0.1,
        "rules": [{"name": "low", "severity": "page",
                   "threshold": {"kpi": "revenue", "grain": "month", "below": 31}}],
    }))  # fmt: skip
    chosen = Settings(
        port=0, flight_port=None, warm=False, refresh=0.0, audit=tmp_path / "audit",
        tokens=tmp_path / "tokens.json", policy=tmp_path / "policy.yml",
        alerts=tmp_path / "p.yml",
    )  # fmt: skip
    with serving(found, chosen):
        end = time.monotonic() + 20
        while not (tmp_path / "alerts.sqlite").exists() or not (rows := _history(tmp_path)):
            assert time.monotonic() < end, "nothing is evaluated"
            time.sleep(0.05)
    assert [row["to_state"] for row in rows] == ["firing"]
    store = Store(tmp_path / "alerts.sqlite", "me")
    assert store.holder() is None  # it let go of the lease when it ended
    store.close()


def _history(folder):
    store = Store(folder / "alerts.sqlite", "reader")
    try:
        return store.history()
    finally:
        store.close()

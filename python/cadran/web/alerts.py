"""Open alerts and their history, in words, for those who may see what they are about."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from cadran.errors import CadranError
from cadran.insight.exposure import EXPOSED, exposure
from cadran.insight.readings import ENDING
from cadran.reliability.alerts.machine import Key, State
from cadran.reliability.alerts.message import headline
from cadran.reliability.status import service_name

if TYPE_CHECKING:
    from cadran.insight.readings import Reader
    from cadran.insight.wording import Words
    from cadran.reliability.alerts.store import Store

_TONES = {"page": "bad", "ticket": "near", "info": ""}
_MOST = 60


@dataclass(frozen=True, slots=True)
class OpenAlert:
    """An alert that fires: its title, its first sentence, since when, and what is at stake."""

    title: str
    text: str
    tone: str
    since: dt.datetime | None
    at_stake: str = ""


def open_alerts(reader: Reader, store: Store | None, w: Words) -> list[OpenAlert] | None:
    """The alerts that fire, the gravest and latest first; None where none are evaluated."""
    if store is None:
        return None
    alerts: dict[tuple[str, str], OpenAlert] = {}
    subjects: dict[tuple[str, str], str] = {}
    burning: dict[str, dt.datetime] = {}  # services, and since when the first alert of them fires
    for standing in store.standings().values():
        facts = standing.facts
        if (
            not standing.alert.state.is_firing
            or not facts
            or not _may_see(reader, facts, standing.key.subject)
        ):
            continue
        label = facts.get(f"label_{w.lang}") or facts["subject_id"]
        _, text = headline(facts, "firing", label, w.lang)
        tone = _TONES.get(standing.severity, "bad")
        found = OpenAlert(str(label), text, tone, standing.alert.fired_at)
        # An SLO may fire by several tiers: the gravest is told, that of the shortest window.
        key = standing.key.rule, standing.key.subject
        if key not in alerts or _order(found) < _order(alerts[key]):
            alerts[key] = found
        if facts.get("slo") and facts.get("active_at"):
            subject, began = str(facts["subject"]), _instant(facts["active_at"])
            subjects[key], burning[subject] = subject, min(began, burning.get(subject, began))
    stakes = {subject: _at_stake(reader, subject, began, w) for subject, began in burning.items()}
    # What is at stake is told once a service, whatever fires of it.
    return [
        replace(alert, at_stake=stakes.pop(subjects.get(key, ""), ""))
        for key, alert in sorted(alerts.items(), key=lambda item: _order(item[1]))
    ]


def _at_stake(reader: Reader, subject: str, began: dt.datetime, w: Words) -> str:
    """What the failing requests of a service put at stake; empty where nothing can be said."""
    source = reader.source
    if not all(map(reader.whole, EXPOSED)):
        return ""
    name = reader.cached(("service", subject), lambda: service_name(source.layer, subject))
    if name is None:
        return ""
    try:
        stake = reader.cached(("exposure", name, began), lambda: exposure(source, name, began))
    except ENDING:
        raise
    except CadranError:
        return ""  # an alert is worth more than what is said beside it
    if stake is None or stake.revenue is None:
        return ""
    if round(stake.orders) < 1:
        return w("at_stake_less")
    return w.count("at_stake", round(stake.orders), amount=w.short(stake.revenue, stake.unit))


def _order(alert: OpenAlert) -> tuple[bool, str, str]:
    return alert.tone != "bad", str(alert.since), alert.text


def history(reader: Reader, store: Store | None) -> list[dict[str, Any]]:
    """The last transitions of alerts, newest first, of what whoever asks may see."""
    if store is None:
        return []
    standings = store.standings()
    rows = []
    for row in store.history(most=_MOST):
        standing = standings.get(Key(row["rule"], row["subject"], row["tier"]))
        if _may_see(reader, standing.facts if standing else {}, row["subject"]):
            rows.append(row)
    return rows


@dataclass(frozen=True, slots=True)
class Firing:
    """A time for which an alert fired.

    Attributes:
        rule: in words, with the windows of its tier.
        subject: what it was about.
        tone: of its severity.
        began: the instant (UTC) of the data from which on.
        ended: the instant until which; None while it fires.
    """

    rule: str
    subject: str
    tone: str
    began: dt.datetime
    ended: dt.datetime | None


def firings(
    reader: Reader, store: Store | None, w: Words, names: dict[str, str]
) -> list[Firing] | None:
    """The times for which alerts fired, the open and the latest first; None where none are kept.

    Args:
        reader: of whoever asks.
        store: what alerts are remembered in.
        w: the words of the page.
        names: subjects in words.
    """
    if store is None:
        return None
    spans: list[Firing] = []
    began: dict[tuple[str, str, str], Firing] = {}
    for row in reversed(history(reader, store)):
        key, at = (row["rule"], row["subject"], row["tier"]), _instant(row["at"])
        if State(row["to_state"]).is_firing:
            subject = names.get(row["subject"]) or w.name(row["subject"])
            tone = _TONES.get(row["severity"], "bad")
            began.setdefault(key, Firing(_rule(row, w), subject, tone, at, None))
        elif key in began:
            spans.append(replace(began.pop(key), ended=at))
    latest = sorted(spans, key=lambda one: one.began, reverse=True)
    return [*sorted(began.values(), key=lambda one: one.began, reverse=True), *latest]


def _rule(row: dict[str, Any], w: Words) -> str:
    """A rule in words; the tiers of a burn are told apart by their windows."""
    values, rule = row["values"], w.name(row["rule"])
    if "long_minutes" not in values:
        return rule
    long, short = (w.hours(values[f"{name}_minutes"] / 60) for name in ("long", "short"))
    return f"{rule}, {long} · {short}"


def _instant(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


def _may_see(reader: Reader, facts: dict[str, Any], subject: str) -> bool:
    """Whether whoever asks sees what an alert is about: its KPI, else every incident."""
    kpi = facts.get("kpi")
    if kpi is None and any(card.name == subject for card in reader.source.layer.kpis()):
        kpi = subject
    return reader.whole(str(kpi or "incident_count"))

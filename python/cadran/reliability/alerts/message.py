"""What a message says of an alert, in French or English.

What burns, how fast, what is left, until when, since which deployment or incident, who is
concerned, what to do, and where to look.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import uuid
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from cadran.errors import WarehouseError
from cadran.formats import numbers, periods
from cadran.formats.words import words
from cadran.reliability import status
from cadran.reliability.alerts.policy import SELF

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cadran.core.layer import Layer
    from cadran.reliability.alerts.machine import Alert, Key, Observation
    from cadran.reliability.alerts.policy import Policies, Rule

_BEFORE = dt.timedelta(hours=6)  # an earlier deployment is not said to be the cause
_LABELS = ("severity", "slo", "kpi", "subject", "team", "tier")


def names_of(slos: dict[str, status.Status], key: Key) -> set[str]:
    """What the subject of an alert is called, by SLO, by service and by KPI."""
    slo = slos.get(key.subject)
    return {key.subject} if slo is None else {slo.slo_id, slo.slo, slo.subject, slo.kpi}


def facts_of(  # noqa: PLR0913, PLR0917 - everything that a message is made of
    layer: Layer | None,
    policies: Policies,
    rule: Rule | None,
    slos: dict[str, status.Status],
    observation: Observation,
    alert: Alert,
) -> dict[str, Any]:
    """What a message says, as JSON has it, before it is put into words.

    Args:
        layer: the layer; None where there is none, and where the alert is about no data.
        policies: where pages are.
        rule: the rule of the alert, if it is still there.
        slos: where each SLO stands.
        observation: what made it fire or resolve.
        alert: as it stands then.
    """
    key, values = observation.key, observation.values
    facts: dict[str, Any] = {
        "rule": key.rule, "subject_id": key.subject, "tier": key.tier,
        "severity": observation.severity, "values": values, "versions": observation.versions,
        "kind": _kind(rule, key, values), "runbook": rule.runbook if rule else None,
        "starts_at": _text(alert.fired_at), "active_at": _text(alert.active_at),
        "ends_at": _text(alert.resolved_at) if not alert.state.is_firing else None,
        "zone": "UTC", "owner": rule.owner if rule else None,
    }  # fmt: skip
    slo = slos.get(key.subject)
    if layer is not None and slo is not None:
        facts |= _of_slo(layer, slo, alert, facts)
    elif layer is not None and key.subject in {card.name for card in layer.kpis()}:
        card = layer.card(key.subject)
        facts |= {
            "kpi": card.name, "unit": card.unit, "decimals": card.decimals,
            "label_en": card.label, "label_fr": card.localized("fr").label,
            "owner": facts["owner"] or (
                card.owner.business if facts["kind"] == "threshold" else card.owner.technical
            ),
        }  # fmt: skip
    if policies.page and key.rule != SELF:
        place = {
            "rule": key.rule, "slo": facts.get("slo") or key.subject,
            "kpi": facts.get("kpi") or "", "subject": facts.get("subject") or key.subject,
        }  # fmt: skip
        facts["page"] = policies.page.format(**{k: quote(v, safe=":") for k, v in place.items()})
    labels = {"alertname": key.rule, "subject": key.subject}
    labels |= {name: facts[name] for name in _LABELS if facts.get(name)}
    return facts | {"labels": labels}


def ended(facts: dict[str, Any], alert: Alert) -> dict[str, Any]:
    """The facts of an alert that fired, when what it was about is no longer watched."""
    return facts | {"kind": "gone", "values": {}, "ends_at": _text(alert.resolved_at)}


def _kind(rule: Rule | None, key: Key, values: dict[str, Any]) -> str:
    if key.rule == SELF:
        return "cannot"
    if rule is None or values.get("gone"):
        return "gone"
    kinds = ("burn", "budget", "no_data", "freshness", "threshold")
    return next(kind for kind in kinds if getattr(rule, kind) is not None)


def _of_slo(
    layer: Layer, slo: status.Status, alert: Alert, facts: dict[str, Any]
) -> dict[str, Any]:
    """What is known of the SLO of an alert, and what happened about when it began."""
    of_slo: dict[str, Any] = {
        "slo": slo.slo_id, "kpi": slo.kpi, "subject": slo.subject,
        "label_en": slo.label("en"), "label_fr": slo.label("fr"), "zone": slo.time_zone,
        "owner": facts["owner"] or slo.owner,
        "remaining": None if slo.remaining_rate is None else float(slo.remaining_rate),
    }  # fmt: skip
    if slo.as_of is not None and slo.hours_to_exhaustion is not None:
        at = slo.as_of.replace(tzinfo=dt.UTC) + dt.timedelta(hours=float(slo.hours_to_exhaustion))
        of_slo["exhausted_at"] = _text(at)
    began = alert.active_at or alert.fired_at
    if began is not None:
        with contextlib.suppress(WarehouseError):  # an alert is worth more than what surrounds it
            of_slo |= _surroundings(layer, slo.subject, began)
    return of_slo


def _surroundings(layer: Layer, subject: str, began: dt.datetime) -> dict[str, Any]:
    """Who runs a service, and its last deployment and open incident when something began."""
    until = began.astimezone(dt.UTC).replace(tzinfo=None) + dt.timedelta(minutes=1)
    events: dict[str, Any] = {"team": None if subject == "all" else status.team(layer, subject)}
    deployment = status.last_deployment(layer, subject, until - _BEFORE, until)
    if deployment is not None:
        events["deployment"] = {
            "id": deployment["deployment_id"], "service": deployment["service_id"],
            "at": _utc(deployment["deployed_at"]), "is_failed": bool(deployment["is_failed"]),
        }  # fmt: skip
    incidents = [
        incident
        for incident in status.incidents(layer, subject, until - _BEFORE, until)
        if incident["restored_at"] is None or incident["restored_at"] >= until
    ]
    if incidents:
        incident = incidents[-1]
        events["incident"] = {
            "id": incident["incident_id"], "service": incident["service_id"],
            "severity": incident["severity"] or "?", "at": _utc(incident["started_at"]),
        }  # fmt: skip
    return events


def body(facts: dict[str, Any], state: str, rule: Rule | None, lang: str) -> dict[str, Any]:
    """What is sent to one receiver, in its language: labels, times, a title and a text.

    Args:
        facts: what `facts` gave.
        state: firing or resolved.
        rule: the rule of the alert, if it is still there.
        lang: en or fr.
    """
    title, text = title_and_text(facts, state, lang)
    return {
        "id": uuid.uuid4().hex, "status": state, "labels": facts["labels"], "lang": lang,
        "title": title, "text": text, "name": rule.called(lang) if rule else facts["rule"],
        "starts_at": facts["starts_at"], "ends_at": facts["ends_at"],
        "owner": facts.get("owner"), "runbook": facts.get("runbook"), "page": facts.get("page"),
        "values": facts["values"], "versions": facts["versions"],
    }  # fmt: skip


def trial(lang: str, now: dt.datetime) -> dict[str, Any]:
    """A message that says it is a test."""
    text = words("alerts", lang)["trial"]
    at = now.isoformat()
    return {
        "id": uuid.uuid4().hex, "status": "firing", "lang": lang,
        "labels": {"alertname": "cadran_test", "severity": "ticket", "subject": "test"},
        "title": text, "text": text, "name": text, "starts_at": at, "ends_at": None, "owner": None,
        "runbook": None, "page": None, "values": {}, "versions": {},
    }  # fmt: skip


def title_and_text(facts: dict[str, Any], state: str, lang: str) -> tuple[str, str]:
    """Title and text of a message."""
    word = words("alerts", lang)
    label = facts.get(f"label_{lang}") or facts["subject_id"]
    title, first = headline(facts, state, label, lang)
    lines = [first]
    if state == "resolved":
        starts, ends = (_instant(facts[name]) for name in ("starts_at", "ends_at"))
        if starts and ends:
            span = _span(ends - starts, lang)
            lines.append(word["ended"].format(at=_at(ends, facts["zone"], lang), span=span))
    elif facts.get("active_at"):
        lines.append(
            word["since"].format(at=_at(_instant(facts["active_at"]), facts["zone"], lang))
        )
    lines += _budget(facts, state, lang)
    for name in ("incident", "deployment"):
        if name in facts:
            event = facts[name] | {"at": _at(_instant(facts[name]["at"]), facts["zone"], lang)}
            failed = "_failed" if event.get("is_failed") else ""
            lines.append(word[name + failed].format(**event))
    team = word["team"].format(team=facts["team"]) if facts.get("team") else None
    who = [person for person in (facts.get("owner"), team) if person]
    if who:
        lines.append(word["who"].format(who=", ".join(who)))
    for name, key in (("runbook", "runbook"), ("look", "page")):
        if facts.get(key):
            lines.append(word[name].format(url=facts[key]))
    return f"{word[state]} ({word[facts['severity']]}): {title}", "\n".join(lines)


def headline(facts: dict[str, Any], state: str, label: str, lang: str) -> tuple[str, str]:
    """What a title and the first sentence say; the label is what the alert is about."""
    word, values, kind = words("alerts", lang), facts["values"], facts["kind"]
    if kind == "gone":
        return label, word["gone"]
    if kind == "burn" and state == "resolved":
        return label, word["no_burn"].format(label=label)
    title, sentence, parts = _HEADLINES[kind](values, facts, lang)
    parts = {"label": label, **parts}
    return word[title].format(**parts), " ".join(word[name].format(**parts) for name in sentence)


_Headline = tuple[str, tuple[str, ...], dict[str, str]]


def _of_burn(values: dict[str, Any], _: dict[str, Any], lang: str) -> _Headline:
    burns = {"long": "long_burn", "short": "short_burn", "factor": "factor"}
    parts = {n: numbers.number(values[key], decimals=1, lang=lang) for n, key in burns.items()}
    for name in ("long", "short"):
        parts[f"{name}_span"] = _span(dt.timedelta(minutes=values[f"{name}_minutes"]), lang)
    return "burn_title", ("burn",), parts


def _of_budget(values: dict[str, Any], _: dict[str, Any], lang: str) -> _Headline:
    names = ("remaining", "bound")
    parts = {n: numbers.measure(values[n], "%", decimals=1, lang=lang) for n in names}
    return "budget_title", ("budget",), parts


def _of_silence(values: dict[str, Any], facts: dict[str, Any], lang: str) -> _Headline:
    since = _instant(values["last_event_at"] or values["silent_since"])
    return "silence_title", ("silence",), {"since": _at(since, facts["zone"], lang)}


def _of_lateness(values: dict[str, Any], facts: dict[str, Any], lang: str) -> _Headline:
    if values["newest_at"] is None:
        return "late_title", ("no_rows",), {}
    newest = _at(_instant(values["newest_at"]), facts["zone"], lang)
    late_after = _span(periods.length(values["late_after"]), lang)
    return "late_title", ("late",), {"newest": newest, "late_after": late_after}


def _of_value(values: dict[str, Any], facts: dict[str, Any], lang: str) -> _Headline:
    def measure(value: Any) -> str:
        return numbers.measure(value, facts["unit"], decimals=facts["decimals"], lang=lang)

    period = periods.label(dt.date.fromisoformat(values["period"]), values["grain"], lang)
    parts = {"value": measure(values["value"]), "period": period}
    if values["value"] is None:
        return "no_value_title", ("no_value",), parts
    sentences = ["value"]
    for name, keys in _BOUNDS.items():
        if values.get(keys[0]) is not None:
            sentences.append(name)
            parts |= {key: measure(values[key]) for key in keys}
    return "value_title", tuple(sentences), parts


def _of_problem(values: dict[str, Any], facts: dict[str, Any], _: str) -> _Headline:
    parts = {"subject": facts["subject_id"], "problem": values.get("problem") or ""}
    return "cannot_title", ("cannot",), parts


_BOUNDS = {
    "bound": ("bound",), "target": ("target", "warning", "critical"),
    "usual": ("usual", "allowed_difference"),
}  # fmt: skip
_HEADLINES = {
    "burn": _of_burn, "budget": _of_budget, "no_data": _of_silence, "freshness": _of_lateness,
    "threshold": _of_value, "cannot": _of_problem,
}  # fmt: skip


def _budget(facts: dict[str, Any], state: str, lang: str) -> Iterable[str]:
    """What is left of the error budget, and until when."""
    word = words("alerts", lang)
    remaining = facts.get("remaining")
    if remaining is None:
        return
    yield word["left"].format(remaining=numbers.measure(remaining, "%", decimals=1, lang=lang))
    if remaining <= 0:
        yield word["spent"]
    elif state == "firing" and facts.get("exhausted_at"):
        yield word["exhausted"].format(at=_at(_instant(facts["exhausted_at"]), facts["zone"], lang))


def _at(instant: dt.datetime | None, zone: str, lang: str) -> str:
    """An instant in a zone, as a language writes it."""
    from babel.dates import format_datetime

    if instant is None:
        return numbers.DASH
    text = format_datetime(instant.astimezone(ZoneInfo(zone)), "d MMM y, HH:mm", locale=lang)
    return f"{text} ({zone})"


def _span(length: dt.timedelta, lang: str) -> str:
    """A length in days, hours or minutes, whichever says it whole."""
    minutes = round(length.total_seconds() / 60)
    word = words("alerts", lang)
    if minutes >= 2_880 and minutes % 1_440 == 0:  # noqa: PLR2004 - two days
        return f"{minutes // 1_440} {word['days']}"
    if minutes >= 60 and minutes % 60 == 0:  # noqa: PLR2004 - an hour
        return f"{minutes // 60} {word['hours']}"
    if minutes > 60:  # noqa: PLR2004 - an hour
        return f"{minutes // 60} {word['hours']} {minutes % 60} {word['minutes']}"
    return f"{minutes} {word['minutes']}"


def _utc(instant: dt.datetime) -> str:
    return instant.replace(tzinfo=dt.UTC).isoformat()


def _text(instant: dt.datetime | None) -> str | None:
    return None if instant is None else instant.isoformat()


def _instant(text: str | None) -> dt.datetime | None:
    return None if text is None else dt.datetime.fromisoformat(text)

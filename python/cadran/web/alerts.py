"""Open alerts and their history, in words, for those who may see what they are about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cadran.reliability.alerts.message import title_and_text

if TYPE_CHECKING:
    import datetime as dt

    from cadran.reliability.alerts.store import Store
    from cadran.web.readings import Reader
    from cadran.web.render import Words

_TONES = {"page": "bad", "ticket": "near", "info": ""}
_MOST = 60


@dataclass(frozen=True, slots=True)
class OpenAlert:
    """An alert that fires: its title, its first sentence, and since when."""

    title: str
    text: str
    tone: str
    since: dt.datetime | None


def open_alerts(reader: Reader, store: Store | None, w: Words) -> list[OpenAlert] | None:
    """The alerts that fire, the gravest and latest first; None where none are evaluated."""
    if store is None:
        return None
    alerts = []
    for standing in store.standings().values():
        facts = standing.facts
        if not standing.alert.state.is_firing or not facts or not _may_see(reader, facts):
            continue
        title, text = title_and_text(facts, "firing", w.lang)
        alerts.append(
            OpenAlert(
                title, text.partition("\n")[0], _TONES.get(standing.severity, "bad"),
                standing.alert.fired_at,
            )
        )  # fmt: skip
    return sorted(alerts, key=lambda one: (one.tone != "bad", str(one.since)))


def history(reader: Reader, store: Store | None) -> list[dict[str, Any]]:
    """The last transitions of alerts, newest first, of what whoever asks may see."""
    if store is None or not reader.whole("incident_count"):
        return []
    return store.history(most=_MOST)


def _may_see(reader: Reader, facts: dict[str, Any]) -> bool:
    kpi = facts.get("kpi")
    return reader.whole(kpi) if kpi else reader.whole("incident_count")

"""What is really in the data, written beside it, so that analyses can be judged."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from cadran_demo import helpdesk, world
from cadran_demo.lines import mean_amount
from cadran_demo.telemetry import Requests, first_request_day
from cadran_demo.world import (
    CATEGORIES,
    CAUSES,
    CHANNELS,
    COUNTRIES,
    SECOND,
    SERVICES,
    SEVERITIES,
    Ints,
    Plan,
)

if TYPE_CHECKING:
    from cadran_demo.helpdesk import Mood, Tickets
    from cadran_demo.platform import Incident
    from cadran_demo.shop import Shop


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything that was drawn and has a true effect to tell."""

    incidents: list[Incident]
    shop: Shop
    tickets: Tickets
    mood: Mood
    requests: Requests
    probes: tuple[Ints, Ints]
    faults: dict[str, int]


def _iso(instant: int) -> str:
    return datetime.fromtimestamp(instant / SECOND, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _share(part: float, whole: float) -> float | None:
    return round(float(part / whole), 6) if whole else None


def _incident(plan: Plan, outcome: Outcome, number: int, tickets: Counter[int]) -> dict[str, Any]:
    incident = outcome.incidents[number]
    shop, mood, requests = outcome.shop, outcome.mood, outcome.requests
    lost = float(shop.orders_expected[number] * incident.conversion_loss)
    has_requests = incident.started >= plan.utc_midnights[first_request_day(plan)]
    return {
        "incident_id": f"i{number + 1:04d}",
        "service_id": SERVICES[incident.service].service_id,
        "severity": SEVERITIES[incident.severity],
        "cause": CAUSES[incident.cause],
        "started_at": _iso(incident.started),
        "restored_at": _iso(incident.restored),
        "minutes": round(incident.hours * 60, 2),
        "commerce": {
            "conversion_loss": round(incident.conversion_loss, 6),
            "sessions_affected": int(shop.sessions_hit[number]),
            "orders_expected_without_incident": round(float(shop.orders_expected[number]), 3),
            "orders_placed": int(shop.orders_placed[number]),
            "orders_lost": round(lost, 3),
            "revenue_lost_eur": round(lost * mean_amount(shop, incident.started), 2),
        },
        "support": {
            "tickets_extra_expected": round(incident.tickets * plan.scale, 3),
            "tickets_extra": tickets[number],
        },
        "satisfaction": {
            "answers_affected": int(mood.answers[number]),
            "satisfied_share_usual": _share(mood.satisfied_usual[number], mood.answers[number]),
            "satisfied_share": _share(mood.satisfied[number], mood.answers[number]),
            "score_shift": _share(mood.points[number], mood.answers[number]),
        },
        "requests": {
            "requests": int(requests.count[number]),
            "error_ratio": round(incident.error_ratio, 6),
            "bad_requests": int(requests.bad[number]),
            "bad_requests_added": round(
                float(requests.bad[number] - requests.bad_expected[number]), 3
            ),
            "slower_by_factor": round(incident.slower, 4),
        }
        if has_requests
        else None,
        "probes": {
            "probes": int(outcome.probes[0][number]),
            "failed": int(outcome.probes[1][number]),
        },
    }


def tell(plan: Plan, outcome: Outcome) -> dict[str, Any]:
    """The truth as JSON-able values: the shape of demand, each incident, the faults put in."""
    numbers, counts = np.unique(outcome.tickets.incident, return_counts=True)
    tickets = Counter(dict(zip(numbers.tolist(), counts.tolist(), strict=True)))
    named = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
    holidays = plan.days[world.holidays(plan)].astype(str).tolist()
    return {
        "period": {
            "first_day": plan.start.isoformat(),
            "last_day": plan.end.isoformat(),
            "requests_from": str(plan.days[first_request_day(plan)]),
            "time_zone_of_business_days": "Europe/Paris",
        },
        "demand": {
            "by_month": dict(zip(range(1, 13), world.MONTH_DEMAND, strict=True)),
            "by_weekday": dict(zip(named, world.SHOP_WEEK, strict=True)),
            "by_weekday_of_offices": dict(zip(named, world.OFFICE_WEEK, strict=True)),
            "on_holidays": world.HOLIDAY_DEMAND,
            "holidays": holidays,
            "countries": [
                {"country": c.code, "share": c.share, "growth_per_year": c.growth}
                for c in COUNTRIES
            ],
            "channels": [
                {
                    "channel": c.name,
                    "share_of_sessions": c.share,
                    "growth_per_year": c.growth,
                    "conversion": c.conversion,
                }
                for c in CHANNELS
            ],
            "categories": [{"category": c.name, "margin": c.margin} for c in CATEGORIES],
        },
        "promotions": [
            {
                "name": p.name,
                "first_day": p.first.isoformat(),
                "last_day": p.last.isoformat(),
                "sessions_times": p.sessions,
                "conversion_times": p.conversion,
                "discount": p.discount,
            }
            for p in world.promotions(plan)
        ],
        "satisfaction": {
            "days_an_incident_is_remembered": helpdesk.MEMORY_DAYS,
            "score_shares_after_purchase": helpdesk.PURCHASE,
            "score_shares_after_support": helpdesk.SUPPORT,
        },
        "incidents": [
            _incident(plan, outcome, number, tickets) for number in range(len(outcome.incidents))
        ],
        "faults": outcome.faults,
    }

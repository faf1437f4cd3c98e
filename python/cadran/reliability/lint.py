"""What is wrong with an SLO before it hurts: tiers that cannot fire, budgets that mean nothing."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from cadran.errors import CardError, ProjectError
from cadran.reliability import status
from cadran.reliability.burn import Tier, exhaustion_minutes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cadran.core.layer import Layer
    from cadran.core.project.cards import Card

EVALUATED_EVERY = 1  # minutes; slices are minutes
_THRESHOLD = re.compile(r"_within_(\d+)_ms$")
_BUCKET = re.compile(r"le_(\d+)_count$")

# Code: severity and what it looks for.
RULES = {
    "SLO01": ("error", "a card whose SLOs cannot be read, a target of 100 % among them"),
    "SLO02": ("error", "a tier that can never fire"),
    "SLO03": ("error", "a budget that is gone before the fastest tier can tell"),
    "SLO04": ("warning", "too little traffic for the objective"),
    "SLO05": ("error", "a latency threshold that is no bucket boundary"),
    "SLO06": ("warning", "exclusions that overlap"),
    "SLO07": ("warning", "an exclusion that does not count"),
    "SLO08": ("error", "an alert policy that does not exist"),
    "SLO09": ("error", "a subject or member that has no data or does not exist"),
    "SLO10": ("warning", "members of a composite with different windows"),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: where, and in a sentence what and what would be right."""

    code: str
    slo: str
    message: str

    @property
    def severity(self) -> str:
        """Error or warning."""
        return RULES[self.code][0]


def lint(layer: Layer) -> list[Finding]:
    """What is wrong with the SLOs of a built project, by code and SLO."""
    findings = [
        *_cards(layer), *_tiers(layer), *_traffic(layer), *_thresholds(layer),
        *_exclusions(layer), *_members(layer),
    ]  # fmt: skip
    return sorted(findings, key=lambda finding: (finding.code, finding.slo, finding.message))


def _cards(layer: Layer) -> Iterator[Finding]:
    for metric in layer.metrics():
        if metric["is_kpi"]:
            try:
                layer.card(metric["name"])
            except CardError as problem:
                if problem.key == "slos":
                    yield Finding("SLO01", metric["name"], str(problem))


def _with_slos(layer: Layer) -> Iterator[Card]:
    """The cards with SLOs that can be read; SLO01 tells of the others."""
    for metric in layer.metrics():
        if metric["is_kpi"]:
            with suppress(CardError):
                card = layer.card(metric["name"])
                if card.slos:
                    yield card


def of_tiers(slo_id: str, target: Decimal, tiers: list[Tier], period: int) -> Iterator[Finding]:
    """What is wrong with the tiers of one SLO at a target."""
    for tier in tiers:
        if not tier.can_fire(target):
            yield Finding(
                "SLO02", slo_id,
                f"tier '{tier.tier}' fires above a burn of {tier.factor:.4g}, and an outage of"
                f" everything burns at {1 / (1 - target):.4g}: take a longer window or a smaller"
                " share of the budget.",
            )  # fmt: skip
    able = [tier for tier in tiers if tier.can_fire(target)]
    if not able:
        return
    lasts = exhaustion_minutes(target, period)
    detected = min(m for t in able if (m := t.detection_minutes(target, Decimal(1))) is not None)
    if lasts <= detected + EVALUATED_EVERY:
        yield Finding(
            "SLO03", slo_id,
            f"an outage spends the budget in {lasts:.4g} minutes, and the fastest tier tells after"
            f" {detected + EVALUATED_EVERY:.4g}: no alert can save this budget.",
        )  # fmt: skip


def _tiers(layer: Layer) -> Iterator[Finding]:
    tiers = status.tiers(layer)
    for slo in status.statuses(layer):
        if slo.is_composite or slo.target is None:
            continue
        of_slo = tiers.get(slo.slo_id, [])
        if not of_slo:
            yield Finding(
                "SLO08", slo.slo_id,
                "its alert policy has no tiers: name one of the seed alert_tiers.",
            )  # fmt: skip
            continue
        yield from of_tiers(slo.slo_id, slo.target, of_slo, of_slo[0].period_minutes)


def of_traffic(slo_id: str, units: float, allowed: float, tier: Tier) -> Iterator[Finding]:
    """What is wrong with an objective at so many units, and allowed bad ones, in its window."""
    if allowed < 1:
        yield Finding(
            "SLO04", slo_id,
            f"its window has {units:.0f} units, of which {allowed:.2g} may be bad: a single failure"
            " spends the budget. Lengthen the window or lower the objective.",
        )  # fmt: skip
        return
    in_long = allowed * tier.long_minutes / tier.period_minutes * float(tier.factor)
    if in_long < max(tier.min_bad_units, 1):
        yield Finding(
            "SLO04", slo_id,
            f"tier '{tier.tier}' would fire at {in_long:.2g} bad units in {tier.long_minutes}"
            f" minutes and waits for {max(tier.min_bad_units, 1)}: at this traffic its factor does"
            " not decide, the minimum does.",
        )  # fmt: skip


def _traffic(layer: Layer) -> Iterator[Finding]:
    tiers = status.tiers(layer)
    for slo in status.statuses(layer):
        of_slo = tiers.get(slo.slo_id)
        if slo.is_composite or not of_slo:
            continue
        if not slo.units or slo.allowed_units is None or not slo.window_starts_at or not slo.as_of:
            continue  # SLO09 says that it has no data
        # A calendar window that has just begun is judged as if it went on like this.
        elapsed = (slo.as_of - slo.window_starts_at).total_seconds() / 60
        scale = of_slo[0].period_minutes / elapsed
        yield from of_traffic(
            slo.slo_id, slo.units * scale, float(slo.allowed_units) * scale, of_slo[0]
        )


def _thresholds(layer: Layer) -> Iterator[Finding]:
    try:
        manifest = layer.project.dbt_manifest
    except ProjectError:
        return
    for card in _with_slos(layer):
        numerator = layer.metric(card.name)["type_params"].get("numerator") or {}
        matched = _THRESHOLD.search(str(numerator.get("name", "")))
        if not matched:
            continue
        bounds = _bounds(manifest, numerator["name"])
        if bounds and int(matched[1]) not in bounds:
            yield Finding(
                "SLO05", card.name,
                f"its threshold is {matched[1]} ms, and the buckets of its mart end at"
                f" {', '.join(map(str, sorted(bounds)))}: nothing is interpolated. Take one of"
                " these, or have the SDK record that bound with a view.",
            )  # fmt: skip


def _bounds(manifest: dict[str, Any], metric: str) -> set[int]:
    """The bucket bounds among the columns of the mart that a simple metric reads."""
    for node in manifest["metrics"].values():
        if node["name"] == metric:
            for key in node["depends_on"]["nodes"]:
                for mart in manifest["semantic_models"][key]["depends_on"]["nodes"]:
                    columns = manifest["nodes"][mart]["columns"]
                    return {int(m[1]) for name in columns if (m := _BUCKET.match(name))}
    return set()


def _exclusions(layer: Layer) -> Iterator[Finding]:
    for pair in status.overlapping_exclusions(layer):
        yield Finding(
            "SLO06", pair["first"],
            f"it overlaps '{pair['second']}': a minute counts once, so say why there are two.",
        )  # fmt: skip
    for row in status.exclusions(layer):
        if row["judgement"] != "counted":
            yield Finding(
                "SLO07", row["exclusion_id"],
                f"it does not count, {row['judgement']}: net figures are as without it.",
            )  # fmt: skip


def _members(layer: Layer) -> Iterator[Finding]:
    slos = {slo.slo_id: slo for slo in status.statuses(layer)}
    for slo in slos.values():
        if not slo.is_composite and not slo.units:
            yield Finding(
                "SLO09", slo.slo_id,
                f"KPI '{slo.kpi}' has no events of '{slo.subject}' in its window: is the subject"
                " written as the mart has it?",
            )  # fmt: skip
    for card in _with_slos(layer):
        for composite in card.slos:
            members = composite.composite.of if composite.composite else {}
            for member in members:
                if member not in slos:
                    yield Finding(
                        "SLO09",
                        composite.name,
                        f"it is made of '{member}', and there is no such SLO.",
                    )
            windows = {
                (slos[m].window_kind, slos[m].window_minutes, slos[m].calendar_grain)
                for m in members
                if m in slos
            }
            if len(windows) > 1:
                yield Finding(
                    "SLO10", composite.name,
                    "its members have different windows: consumed budgets of unlike lengths are"
                    " weighed against each other.",
                )  # fmt: skip

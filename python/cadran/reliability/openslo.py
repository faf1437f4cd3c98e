"""OpenSLO v1 documents from cards and back, without loss; what cannot be said is refused by name.

An SLO with several subjects is one document for each. What OpenSLO has no word for (no-data policy,
owner, French label, dated objectives) goes into annotations of the prefix `cadran/`, which OpenSLO
lets documents carry, and is read back from there.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field

from cadran.core.project.slos import ObjectiveStep, Slo
from cadran.errors import QueryError, UnknownNameError
from cadran.formats.strict_yaml import ExactLoader
from cadran.formats.validation import validated

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cadran.core.layer import Layer

_T = TypeVar("_T")
SOURCE = "cadran"
_METHODS = {
    "occurrences": "Occurrences", "timeslices": "Timeslices", "ratio_timeslices": "RatioTimeslices",
}  # fmt: skip
_CALENDARS = {"week": "1w", "month": "1M", "quarter": "1Q", "year": "1Y"}
_STEPS = {"m": "minute", "h": "hour", "d": "day", "w": "week"}
_ROLLING = re.compile(r"([1-9]\d*)([mhdw])")
# A label of RFC 1123, which names of OpenSLO are.
Name = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)]


class Block(BaseModel):
    """A block of a document; what the specification does not know is an error."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class Metadata(Block):
    """Name and annotations."""

    name: Name
    displayName: str | None = None
    labels: dict[str, Any] = {}
    annotations: dict[str, str] = {}


class MetricSource(Block):
    """Where events are counted."""

    type: str | None = None
    metricSourceRef: str | None = None
    spec: dict[str, Any]


class Counted(Block):
    """One side of a ratio."""

    metricSource: MetricSource


class RatioMetric(Block):
    """Good or bad of total."""

    counter: bool = True
    good: Counted | None = None
    bad: Counted | None = None
    total: Counted | None = None
    raw: Any = None
    rawType: str | None = None


class IndicatorSpec(Block):
    """An indicator; only ratios can be imported."""

    description: str | None = None
    ratioMetric: RatioMetric | None = None
    thresholdMetric: Any = None


class Indicator(Block):
    """An indicator written inside its SLO."""

    metadata: Metadata
    spec: IndicatorSpec


class Calendar(Block):
    """Where a calendar window starts."""

    startTime: str
    timeZone: str


class TimeWindow(Block):
    """Rolling or calendar."""

    duration: str
    isRolling: bool
    calendar: Calendar | None = None


class ObjectiveSpec(Block):
    """A target, as a share or in percent."""

    displayName: str | None = None
    op: str | None = None
    value: float | None = None
    target: Decimal | None = None
    targetPercent: Decimal | None = None
    timeSliceTarget: Decimal | None = None
    timeSliceWindow: str | None = None
    indicator: Any = None
    indicatorRef: str | None = None
    compositeWeight: float | None = None


class SloSpec(Block):
    """The body of an SLO."""

    description: str | None = None
    service: str
    indicator: Indicator | None = None
    indicatorRef: str | None = None
    timeWindow: list[TimeWindow] = Field(min_length=1, max_length=1)
    budgetingMethod: Literal["Occurrences", "Timeslices", "RatioTimeslices"]
    objectives: list[ObjectiveSpec] = Field(min_length=1)
    alertPolicies: list[Any] = []


class Document(Block):
    """One SLO of OpenSLO v1."""

    apiVersion: Literal["openslo/v1"]
    kind: Literal["SLO"]
    metadata: Metadata
    spec: SloSpec


def write(layer: Layer, names: Iterable[str] = ()) -> tuple[str, list[str]]:
    """The SLOs of a project, or those that are named, as YAML; and what could not be said.

    Raises:
        UnknownNameError: there is no such SLO.
    """
    documents, refusals, ids = [], [], set()
    chosen = set(names)
    for card in layer.kpis():
        for slo in card.slos:
            ids |= {slo.name, *slo.ids()}
            if chosen and not chosen & {slo.name, *slo.ids()}:
                continue
            if slo.composite:
                refusals.append(
                    f"SLO '{slo.name}' is a composite of consumed budgets, which OpenSLO v1 cannot"
                    " say: it is left out."
                )
                continue
            documents += [
                document(card.name, slo, subject)
                for slo_id, subject in zip(slo.ids(), slo.targets, strict=True)
                if not chosen or chosen & {slo.name, slo_id}
            ]
    for name in sorted(chosen - ids):
        raise UnknownNameError("SLO", name, ids)
    return yaml.safe_dump_all(documents, sort_keys=False, allow_unicode=True), refusals


def document(kpi: str, slo: Slo, subject: str) -> dict[str, Any]:
    """The document of one subject of an SLO, by the rules of the specification."""
    objective = slo.targets[subject]
    steps = objective if isinstance(objective, tuple) else ()
    target = steps[-1].target if steps else objective
    annotations = {
        "cadran/slo": slo.name, "cadran/subject": subject, "cadran/by": slo.by,
        "cadran/no_data": None if slo.no_data == "ignore" else slo.no_data,
        "cadran/owner": slo.owner,
        "cadran/label": slo.label,
        "cadran/label_fr": slo.fr.label if slo.fr else None,
        "cadran/alert_policy": slo.alert_policy,
        "cadran/time_zone": slo.window.time_zone,
        "cadran/rolling": slo.window.rolling,
        "cadran/steps": _steps_text(steps) if steps else None,
    }  # fmt: skip
    name = _label(slo.name if subject == "all" else f"{slo.name}-{subject}")
    counted = {
        side: {"metricSource": {"type": SOURCE, "spec": {"kpi": kpi, "events": events}}}
        for side, events in (("good", "good"), ("total", "valid"))
    }
    stated: dict[str, Any] = {"target": float(str(target))}
    if slo.slice_target is not None:
        stated["timeSliceTarget"] = float(slo.slice_target)
    if slo.budgeting != "occurrences":
        stated["timeSliceWindow"] = "1m"
    content = {
        "apiVersion": "openslo/v1",
        "kind": "SLO",
        "metadata": {
            "name": name,
            **({"displayName": slo.label} if slo.label else {}),
            "annotations": {key: value for key, value in annotations.items() if value is not None},
        },
        "spec": {
            "service": _label(subject) if subject != "all" else "all",
            "indicator": {
                "metadata": {"name": _label(kpi)},
                "spec": {"ratioMetric": {"counter": True, **counted}},
            },
            "timeWindow": [_window(slo)],
            "budgetingMethod": _METHODS[slo.budgeting],
            "objectives": [stated],
        },
    }
    Document.model_validate(content)
    return content


def _steps_text(steps: Iterable[ObjectiveStep]) -> str:
    return json.dumps([[f"{step.since}", str(step.target)] for step in steps])


def _label(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:63].strip("-")


def _window(slo: Slo) -> dict[str, Any]:
    if slo.window.rolling:
        count, step = slo.window.rolling.split()
        return {"duration": f"{count}{step[0]}", "isRolling": True}
    return {
        "duration": _CALENDARS[str(slo.window.calendar)],
        "isRolling": False,
        "calendar": {
            "startTime": "2024-01-01 00:00:00",  # a Monday, and the first of all longer periods
            "timeZone": slo.window.time_zone or "UTC",
        },
    }


def read(text: str, *, kpi: str | None = None) -> dict[str, list[Slo]]:
    """The SLOs of OpenSLO documents by KPI; documents of one SLO's subjects become one again.

    Args:
        text: YAML with one document or more.
        kpi: the KPI of indicators that come from elsewhere.

    Raises:
        QueryError: a document is not valid, or says what a card cannot; it is named.
    """
    try:
        raws = [raw for raw in yaml.load_all(text, ExactLoader) if raw is not None]
    except yaml.YAMLError as problem:
        raise QueryError(f"This is not YAML: {' '.join(str(problem).split())}.") from problem
    merged: dict[tuple[str, str], dict[str, Any]] = {}
    for place, raw in enumerate(raws, 1):
        name, entry = _entry(raw, place, kpi)
        key = (entry.pop("kpi"), entry["name"])
        if key not in merged:
            merged[key] = entry
            continue
        apart = {k: v for k, v in entry.items() if k != "objectives"}
        if "objectives" not in entry or apart != {
            k: v for k, v in merged[key].items() if k != "objectives"
        }:
            raise QueryError(
                f"OpenSLO document '{name}': it is of SLO '{key[1]}' like one before it, and"
                " differs from that in more than the subject."
            )
        merged[key]["objectives"] |= entry["objectives"]
    cards: dict[str, list[Slo]] = {}
    for (of_kpi, name), entry in merged.items():
        cards.setdefault(of_kpi, []).append(_read_as(Slo, entry, name))
    return cards


def _read_as(kind: type[_T], content: Any, name: str) -> _T:
    def wrong(key: str, sentence: str) -> QueryError:
        return QueryError(f"OpenSLO document '{name}': {f'{key} ' if key else ''}{sentence}.")

    return validated(kind, content, wrong)


def _entry(raw: Any, place: int, kpi: str | None) -> tuple[str, dict[str, Any]]:
    """One document as an entry of a card, with the KPI that it belongs to."""
    metadata = raw.get("metadata") if isinstance(raw, dict) else None
    name = str((metadata or {}).get("name", place)) if isinstance(metadata, dict) else str(place)
    parsed = _read_as(Document, raw, name)

    def refuse(part: str, instead: str) -> None:
        raise QueryError(
            f"OpenSLO document '{name}' has {part}, which a card cannot say: {instead}."
        )

    spec, notes = parsed.spec, parsed.metadata.annotations
    objective, target = _objective(spec, refuse)
    subject = notes.get("cadran/subject", "all")
    steps = notes.get("cadran/steps")
    stated: Any = (
        [{"from": day, "target": Decimal(number)} for day, number in json.loads(steps)]
        if steps
        else target
    )
    entry: dict[str, Any] = {
        "kpi": _kpi(spec, kpi, refuse),
        "name": notes.get("cadran/slo", parsed.metadata.name.replace("-", "_")),
        "label": notes.get("cadran/label", parsed.metadata.displayName),
        "window": _read_window(spec.timeWindow[0], notes, refuse),
        "owner": notes.get("cadran/owner"),
        "budgeting": {value: key for key, value in _METHODS.items()}[spec.budgetingMethod],
        "slice_target": objective.timeSliceTarget,
        "alert_policy": notes.get("cadran/alert_policy", "standard"),
        "no_data": notes.get("cadran/no_data", "ignore"),
    }
    if notes.get("cadran/label_fr"):
        entry["fr"] = {"label": notes["cadran/label_fr"]}
    if notes.get("cadran/by"):
        entry |= {"by": notes["cadran/by"], "objectives": {subject: stated}}
    else:
        entry["objective"] = stated
    return name, entry


def _objective(spec: SloSpec, refuse: Any) -> tuple[ObjectiveSpec, Decimal | None]:
    """The one objective and its target as a share."""
    if spec.indicator is None:
        refuse("no indicator of its own", "write it inside the SLO")
    if len(spec.objectives) != 1:
        refuse(f"{len(spec.objectives)} objectives", "write one SLO for each")
    objective = spec.objectives[0]
    for key in ("op", "value", "indicator", "indicatorRef", "compositeWeight"):
        if getattr(objective, key) is not None:
            refuse(
                f"an objective with {key}", "an indicator here is a ratio of good to valid events"
            )
    if objective.timeSliceWindow not in (None, "1m"):
        refuse(f"slices of {objective.timeSliceWindow}", "slices are of one minute, 1m")
    if spec.alertPolicies:
        refuse(
            "alertPolicies",
            "name a policy of the seed alert_tiers in annotation cadran/alert_policy",
        )
    target = objective.target
    if target is None and objective.targetPercent is not None:
        target = objective.targetPercent / 100
    if target is None:
        refuse("an objective without target", "a target is a share such as 0.999")
    return objective, target


def _kpi(spec: SloSpec, kpi: str | None, refuse: Any) -> str:
    ratio = spec.indicator.spec.ratioMetric if spec.indicator else None
    if ratio is None:
        refuse("a thresholdMetric", "an indicator here is a ratio of good to valid events")
    elif ratio.raw is not None:
        refuse("a raw ratio", "good and valid events are counted, never ratios")
    else:
        sides = [side for side in (ratio.good, ratio.bad, ratio.total) if side]
        kpis = {
            str(side.metricSource.spec.get("kpi"))
            for side in sides
            if side.metricSource.type == SOURCE
        }
        if len(kpis) == 1 and len(sides) > 1:
            return kpis.pop()
        if kpi is None:
            refuse("a metric source that is no KPI", "say which KPI it is with --kpi")
    return str(kpi)


def _read_window(window: TimeWindow, notes: dict[str, str], refuse: Any) -> dict[str, Any]:
    zone = notes.get("cadran/time_zone")
    if window.isRolling:
        matched = _ROLLING.fullmatch(window.duration)
        if window.calendar or not matched:
            refuse(
                f"a rolling window of {window.duration}",
                "rolling windows are of m, h, d or w without a calendar; 1M is a calendar month",
            )
        rolling = notes.get("cadran/rolling")
        if not rolling and matched:
            rolling = f"{matched[1]} {_STEPS[matched[2]]}s"
        return {"rolling": rolling, "time_zone": zone}
    grain = {value: key for key, value in _CALENDARS.items()}.get(window.duration)
    if not grain or not window.calendar:
        refuse(
            f"a calendar window of {window.duration}",
            "calendar windows are 1w, 1M, 1Q or 1Y, with a calendar",
        )
    stated = window.calendar.timeZone if window.calendar else "UTC"
    own = zone or (None if "cadran/slo" in notes and stated == "UTC" else stated)
    return {"calendar": grain, "time_zone": own}


def cards_text(cards: dict[str, list[Slo]]) -> str:
    """The SLOs as they stand on cards: YAML to paste under `config.meta.kpi`."""

    def plain(value: Any) -> Any:
        if isinstance(value, Decimal):
            return float(value)
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [plain(item) for item in value]
        return value

    lines = []
    for kpi, slos in cards.items():
        lines.append(f"# on the card of {kpi}\n")
        entries = [plain(slo.model_dump(exclude_defaults=True, by_alias=True)) for slo in slos]
        lines.append(yaml.safe_dump({"slos": entries}, sort_keys=False, allow_unicode=True))
    return "".join(lines)

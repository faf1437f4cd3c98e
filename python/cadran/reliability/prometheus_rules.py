"""The same SLOs as recording and alerting rules of Prometheus.

Only budgets of occurrences over rolling windows can be said in PromQL without changing what they
mean; time slices, calendars, dated objectives and composites are refused by name. Exclusions stay
here: Prometheus knows gross figures only.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import yaml

from cadran.errors import QueryError
from cadran.formats import strict_yaml
from cadran.reliability import status

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from cadran.core.layer import Layer
    from cadran.reliability.burn import Tier
    from cadran.reliability.status import Status

# Counters of good and of valid events, with a label for the subject.
SERIES = {
    "good": 'cadran_sli_good_total{{kpi="{kpi}"}}',
    "total": 'cadran_sli_valid_total{{kpi="{kpi}"}}',
    "subject_label": "subject",
}


def write(
    layer: Layer, names: Iterable[str] = (), series_file: Path | None = None
) -> tuple[str, list[str]]:
    """The rules as YAML, and what could not be said.

    Args:
        layer: the project.
        names: SLOs or `slo:subject`; none for all.
        series_file: YAML with `good`, `total` and `subject_label` by KPI.

    Raises:
        UnknownNameError: there is no such SLO.
        QueryError: the file of series cannot be read.
    """
    series = _read_series(series_file)
    tiers = status.tiers(layer)
    groups, refused = [], []
    steps = {
        f"{slo.name}:{subject}" if slo.by else slo.name
        for card in layer.kpis()
        for slo in card.slos
        for subject, objective in slo.targets.items()
        if isinstance(objective, tuple) and len(objective) > 1
    }
    for slo in status.statuses(layer, names):
        why = _cannot(slo)
        if why:
            refused.append(f"SLO '{slo.slo_id}' {why}, which PromQL cannot say: it is left out.")
            continue
        if slo.slo_id in steps:
            refused.append(f"SLO '{slo.slo_id}': its rules hold the target of today, none before.")
        groups.append(group(slo, tiers.get(slo.slo_id, []), series.get(slo.kpi, {})))
    text = yaml.safe_dump({"groups": groups}, sort_keys=False, allow_unicode=True, width=1_000)
    return text, refused


def _cannot(slo: Status) -> str | None:
    if slo.is_composite:
        return "is a composite of consumed budgets"
    if slo.budgeting != "occurrences":
        return f"budgets {slo.budgeting}"
    if slo.window_kind != "rolling":
        return f"has a window of the calendar ({slo.calendar_grain})"
    if slo.target is None:
        return "has no data yet"
    return None


def _read_series(file: Path | None) -> dict[str, dict[str, str]]:
    if file is None:
        return {}
    raw = strict_yaml.read(file, QueryError)
    for kpi, entry in (raw or {}).items():
        unknown = set(entry) - set(SERIES) if isinstance(entry, dict) else {"no mapping"}
        if unknown:
            raise QueryError(
                f"{file}, KPI '{kpi}': {', '.join(sorted(unknown))} is unknown; allowed:"
                f" {', '.join(SERIES)}."
            )
    return dict(raw or {})


def group(slo: Status, tiers: list[Tier], series: dict[str, str]) -> dict[str, Any]:
    """The group of one SLO: error ratios of all windows, the objective, an alert for each tier."""
    assert slo.target is not None  # noqa: S101 - SLOs without one are refused before
    budget = 1 - slo.target
    labels = {"slo": slo.slo_id, "kpi": slo.kpi, "subject": slo.subject}
    matchers = f'{{slo="{slo.slo_id}"}}'
    good, total = (
        _selector(series.get(side, SERIES[side]), slo, series) for side in ("good", "total")
    )
    lengths = sorted({m for tier in tiers for m in (tier.long_minutes, tier.short_minutes)})
    rules: list[dict[str, Any]] = [
        {
            "record": f"slo:sli_error:ratio_rate{_duration(minutes)}",
            "expr": f"1 - sum(rate({good}[{_duration(minutes)}]))"
            f" / sum(rate({total}[{_duration(minutes)}]))",
            "labels": dict(labels),
        }
        for minutes in lengths
    ]
    rules.append(
        {
            "record": "slo:objective:ratio",
            "expr": f"vector({slo.target.normalize():f})",
            "labels": dict(labels),
        }
    )
    for tier in tiers:
        above = f"{tier.factor.normalize():f} * {budget.normalize():f}"
        conditions = [
            f"slo:sli_error:ratio_rate{_duration(minutes)}{matchers} > ({above})"
            for minutes in (tier.long_minutes, tier.short_minutes)
        ]
        long = _duration(tier.long_minutes)
        if tier.min_units:
            conditions.append(f"sum(increase({total}[{long}])) >= {tier.min_units}")
        if tier.min_bad_units:
            conditions.append(
                f"sum(increase({total}[{long}])) - sum(increase({good}[{long}]))"
                f" >= {tier.min_bad_units}"
            )
        # The minima are sums without labels: they join on none.
        expression = conditions[0] + "".join(
            f" and {condition}" if n == 1 else f" and on() ({condition})"
            for n, condition in enumerate(conditions[1:], 1)
        )
        rules.append(
            {
                "alert": "ErrorBudgetBurn",
                "expr": expression,
                "labels": {**labels, "severity": tier.severity, "tier": tier.tier},
                "annotations": {
                    "summary": f"{slo.label('en')} burns its budget more than"
                    f" {Decimal(tier.factor).normalize():f} times too fast over {long}."
                },
            }
        )
    return {"name": f"cadran-slo-{slo.slo_id.replace(':', '-')}", "rules": rules}


def _selector(series: str, slo: Status, labels: dict[str, str]) -> str:
    """A series with the subject among its matchers."""
    selector = series.replace("{{", "{").replace("}}", "}").replace("{kpi}", slo.kpi)
    if slo.subject == "all":
        return selector
    label = labels.get("subject_label", SERIES["subject_label"])
    matcher = f'{label}="{slo.subject}"'
    if selector.endswith("}"):
        inside = selector[:-1]
        return f"{inside}{'' if inside.endswith('{') else ', '}{matcher}}}"
    return f"{selector}{{{matcher}}}"


def _duration(minutes: int) -> str:
    for length, unit in ((1_440, "d"), (60, "h")):
        if minutes % length == 0:
            return f"{minutes // length}{unit}"
    return f"{minutes}m"

"""Objectives and targets: every KPI serves something, and every target asks for something."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING

from cadran.formats import periods
from cadran.governance.rules.registry import Finding, rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cadran.governance.context import Context, SeedRow

TARGET_GRAINS = ("month", "quarter", "year")


def _serves(context: Context, tier: str) -> Iterator[Finding]:
    objectives = {row["objective"] for row in context.objectives}
    for name, card in context.raw.items():
        if card.get("tier") != tier:
            continue
        objective = card.get("objective")
        if not objective:
            yield Finding(kpi=name, message=f"the {tier} KPI names no objective")
        elif objective not in objectives:
            yield Finding(kpi=name, message=f"the objective '{objective}' is not among those known")


@rule("OBJ01")
def strategic_serves(context: Context) -> Iterator[Finding]:
    """Find strategic KPIs without a known objective."""
    yield from _serves(context, "strategic")


@rule("OBJ02")
def no_orphan(context: Context) -> Iterator[Finding]:
    """Find operational KPIs without a known objective."""
    yield from _serves(context, "operational")


@rule("OBJ03")
def objective_has_kpi(context: Context) -> Iterator[Finding]:
    """Find objectives that no KPI serves."""
    cards = [*context.raw.values(), *context.switched_off.values()]
    served = {card.get("objective") for card in cards}
    for row in context.objectives:
        if row["objective"] not in served:
            message = f"no KPI serves the objective '{row['objective']}'"
            yield Finding(message=message, file=row.file, line=row.line)


@rule("OBJ04")
def strategic_count(context: Context) -> Iterator[Finding]:
    """Count the strategic KPIs that are not deprecated, those of every domain."""
    strategic = [
        card
        for card in (*context.raw.values(), *context.switched_off.values())
        if card.get("tier") == "strategic" and card.get("status") != "deprecated"
    ]
    least, most = context.settings.strategic_kpis
    if not least <= len(strategic) <= most:
        yield Finding(
            message=f"there are {len(strategic)} strategic KPIs; wanted are {least} to {most}"
        )


@rule("OBJ05")
def target_is_whole(context: Context) -> Iterator[Finding]:
    """Find rows of the seed of targets that lack something."""
    for row in context.targets:
        wrong = []
        start, grain, owner = row.date("period_start"), row["period_grain"], row["owner"]
        if row["kpi"] not in context.raw and row["kpi"] not in context.switched_off:
            wrong.append(f"'{row['kpi']}' is no KPI")
        if grain not in TARGET_GRAINS:
            wrong.append(f"the period '{grain}' is none of {', '.join(TARGET_GRAINS)}")
        elif start is None or periods.start_of(start, grain) != start:
            wrong.append(f"'{row['period_start']}' is not the first day of a {grain}")
        wrong += [
            f"the {column} is missing or no number"
            for column in ("target", "baseline")
            if row.number(column) is None
        ]
        owners = context.settings.owners
        if not owner:
            wrong.append("nobody is named as owner")
        elif owners is not None and owner not in owners:
            wrong.append(f"the owner {owner} is not known to the project")
        if wrong:
            yield _of_row(context, row, "; ".join(wrong))


def _judged(context: Context) -> Iterator[tuple[SeedRow, int]]:
    """The targets that can be judged, with the sign that makes higher better."""
    for row in context.targets:
        direction = context.raw.get(row["kpi"], {}).get("direction")
        if direction in {"up", "down"} and row.number("target") is not None:
            yield row, 1 if direction == "up" else -1


def _of_row(context: Context, row: SeedRow, message: str) -> Finding:
    kpi = row["kpi"] if row["kpi"] in context.raw else None
    about = f"target of {row['period_grain']} {row['period_start']}: {message}"
    return Finding(kpi=kpi, message=about, file=row.file, line=row.line)


@rule("OBJ06")
def target_side(context: Context) -> Iterator[Finding]:
    """Find targets that are worse than their baseline."""
    for row, sign in _judged(context):
        target, baseline = row.number("target"), row.number("baseline")
        if target is not None and baseline is not None and sign * target < sign * baseline:
            message = f"{row['target']} is worse than the baseline {row['baseline']}"
            yield _of_row(context, row, message)


@rule("OBJ07")
def thresholds_in_order(context: Context) -> Iterator[Finding]:
    """Find targets whose warning or critical threshold is out of order."""
    for row, sign in _judged(context):
        numbers = [(name, row.number(name)) for name in ("target", "warning", "critical")]
        steps = [(name, value) for name, value in numbers if value is not None]
        for (better, first), (worse, second) in pairwise(steps):
            if sign * first < sign * second:
                message = f"{worse} {second:g} is on the better side of {better} {first:g}"
                yield _of_row(context, row, message)


@rule("OBJ08")
def not_met_already(context: Context) -> Iterator[Finding]:
    """Find targets that their baseline, or all of the year before, meets already."""
    agreements: dict[tuple[str, str, int], list[tuple[SeedRow, int]]] = defaultdict(list)
    for row, sign in _judged(context):
        if row.number("baseline") == row.number("target"):
            yield _of_row(context, row, f"the baseline is {row['baseline']} already")
        start, grain = row.date("period_start"), row["period_grain"]
        if start and grain in TARGET_GRAINS:
            agreements[row["kpi"], grain, start.year].append((row, sign))
    if context.with_values:
        for (kpi, grain, year), rows in agreements.items():
            if context.today.year <= year and _met_before(context, kpi, grain, rows):
                first = rows[0][0]
                yield Finding(
                    kpi=kpi,
                    message=f"every target by {grain} of {year} was met in {year - 1} already",
                    file=first.file,
                    line=first.line,
                )


def _met_before(context: Context, kpi: str, grain: str, rows: list[tuple[SeedRow, int]]) -> bool:
    values = context.values(kpi, grain)
    compared = []
    for row, sign in rows:
        start, target = row.date("period_start"), row.number("target")
        before = values.get(periods.year_before(start, grain)) if start else None
        if before is not None and target is not None:
            compared.append(sign * before >= sign * target)
    return len(compared) * 2 >= len(rows) and all(compared)

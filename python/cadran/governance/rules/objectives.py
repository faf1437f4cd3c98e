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


@rule(
    "OBJ01",
    title="Each strategic KPI serves an objective",
    rationale="""A strategic KPI takes the committee's attention. Without an objective behind it,
        nobody can say what should be done when it moves.""",
    example="""
# wrong: no row `sell_more` in seeds/objective_definitions.csv
kpi: {tier: strategic, objective: sell_more}
# right
kpi: {tier: strategic, objective: grow_profitably}
""",
    remedy="Name an objective of the seed of objectives, or add the objective there.",
)
def strategic_serves(context: Context) -> Iterator[Finding]:
    """Find strategic KPIs without a known objective."""
    yield from _serves(context, "strategic")


@rule(
    "OBJ02",
    title="No KPI is an orphan",
    rationale="""A metric becomes a KPI because it serves an objective. An orphan KPI is upkeep
        without a reader: either it serves something, or its card can go.""",
    example="""
# wrong
kpi: {tier: operational, objective: ""}
# right
kpi: {tier: operational, objective: satisfy_customers}
""",
    remedy="Name the objective it serves, or take the card off and keep the metric.",
)
def no_orphan(context: Context) -> Iterator[Finding]:
    """Find operational KPIs without a known objective."""
    yield from _serves(context, "operational")


@rule(
    "OBJ03",
    title="Each objective has a KPI",
    rationale="""An objective that nothing measures is a wish: nobody will know whether it was
        reached.""",
    example="""
# wrong: no card says `objective: be_green`
objective,label_en,...
be_green,Be green,...
# right: one does, or the row goes
""",
    remedy="Give the objective a KPI, or take its row out of the seed.",
)
def objective_has_kpi(context: Context) -> Iterator[Finding]:
    """Find objectives that no KPI serves."""
    served = {card.get("objective") for card in context.raw.values()}
    for row in context.objectives:
        if row["objective"] not in served:
            message = f"no KPI serves the objective '{row['objective']}'"
            yield Finding(message=message, file=row.file, line=row.line)


@rule(
    "OBJ04",
    title="There are 5 to 10 strategic KPIs",
    rationale="""Fewer leave a part of the company unseen; more are not looked at. The limits are
        `strategic_kpis` in cadran_checks.yml.""",
    example="""
# wrong: 14 cards with
tier: strategic
# right: the 8 that the committee decides on are strategic, the others
tier: operational
""",
    remedy="""Choose: make the KPIs that no committee decides on operational, or name the missing
        ones.""",
)
def strategic_count(context: Context) -> Iterator[Finding]:
    """Count the strategic KPIs that are not deprecated."""
    strategic = [
        name
        for name, card in context.raw.items()
        if card.get("tier") == "strategic" and card.get("status") != "deprecated"
    ]
    least, most = context.settings.strategic_kpis
    if not least <= len(strategic) <= most:
        yield Finding(
            message=f"there are {len(strategic)} strategic KPIs; wanted are {least} to {most}"
        )


@rule(
    "OBJ05",
    title="Each target has KPI, period, value, baseline and owner",
    rationale="""A target without a baseline cannot be judged as ambitious or idle; one without
        an owner was agreed by nobody; one for an unknown KPI or a day that starts no period
        is never shown.""",
    example="""
kpi,period_grain,period_start,target,warning,critical,baseline,owner
# wrong: 15 January starts no month, and there is no baseline
net_revenue,month,2027-01-15,650000,620000,580000,,head.of.sales@example.com
# right
net_revenue,month,2027-01-01,650000,620000,580000,600000,head.of.sales@example.com
""",
    remedy="Complete the row of the seed of targets.",
)
def target_is_whole(context: Context) -> Iterator[Finding]:
    """Find rows of the seed of targets that lack something."""
    for row in context.targets:
        wrong = []
        start, grain, owner = row.date("period_start"), row["period_grain"], row["owner"]
        if row["kpi"] not in context.raw:
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


@rule(
    "OBJ06",
    title="A target lies on the right side of its baseline",
    rationale="""A KPI that should fall needs a target below where it stands. A target on the
        other side is nearly always a sign or a unit that was mixed up (5 for 5 %).""",
    example="""
# wrong: error_rate should go down
kpi,period_grain,period_start,target,warning,critical,baseline,owner
error_rate,month,2027-01-01,0.004,0.005,0.006,0.002,head.of.platform@example.com
# right: 0.001
""",
    remedy="Set the target beyond the baseline in the KPI's direction, or mend the baseline.",
)
def target_side(context: Context) -> Iterator[Finding]:
    """Find targets that are worse than their baseline."""
    for row, sign in _judged(context):
        target, baseline = row.number("target"), row.number("baseline")
        if target is not None and baseline is not None and sign * target < sign * baseline:
            message = f"{row['target']} is worse than the baseline {row['baseline']}"
            yield _of_row(context, row, message)


@rule(
    "OBJ07",
    title="The thresholds of a target are in order",
    rationale="""Target, warning, critical: each must be further on the bad side than the one
        before. In another order a KPI is critical before it is in warning, or in warning
        while on target.""",
    example="""
# wrong for a KPI that should rise: critical above warning
target,warning,critical
100,90,95
# right
100,95,90
""",
    remedy="Order target, warning and critical away from the KPI's direction.",
)
def thresholds_in_order(context: Context) -> Iterator[Finding]:
    """Find targets whose warning or critical threshold is out of order."""
    for row, sign in _judged(context):
        numbers = [(name, row.number(name)) for name in ("target", "warning", "critical")]
        steps = [(name, value) for name, value in numbers if value is not None]
        for (better, first), (worse, second) in pairwise(steps):
            if sign * first < sign * second:
                message = f"{worse} {second:g} is on the better side of {better} {first:g}"
                yield _of_row(context, row, message)


@rule(
    "OBJ08",
    title="No target is already met at its start",
    rationale="""A target that is met before it begins changes nothing and turns the board green
        for nothing. The baseline tells; with `--values` the warehouse is asked as well: where
        a KPI met all targets of a running or coming year in the same periods of the year
        before, they ask for nothing.""",
    example="""
# wrong: it stands at 0.039 already
kpi,period_grain,period_start,target,warning,critical,baseline,owner
conversion_rate,month,2027-01-01,0.039,0.036,0.033,0.039,head.of.marketing@example.com
# right: 0.041
""",
    remedy="Ask for more than there is, or write the true baseline.",
)
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

"""Measures that stand beside a KPI: what it was in earlier periods, its target and its status."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cadran.core.targets import Status, target_of, targets
from cadran.exports.powerbi import dates
from cadran.exports.powerbi import model as words
from cadran.exports.powerbi.dates import BLANK, guarded, in_scope
from cadran.exports.powerbi.model import (
    Column,
    Kind,
    Measure,
    Relationship,
    Table,
    measure_reference,
    reference,
)
from cadran.formats import periods
from cadran.formats.words import words as words_of

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Collection, Iterable

    import pyarrow as pa

    from cadran.core.layer import Layer
    from cadran.core.project.cards import Card

TARGETS = "Targets"
_BEFORE = {
    "day": f"PREVIOUSDAY({dates.DAY})",
    "week": f"DATEADD({dates.DAY}, -7, DAY)",
    "month": f"PREVIOUSMONTH({dates.DAY})",
    "quarter": f"PREVIOUSQUARTER({dates.DAY})",
    "year": f"PREVIOUSYEAR({dates.DAY})",
}


def year_before(of: Measure, taken: set[str]) -> Measure:
    """A KPI in the same month, quarter or year a year before, where the period is whole.

    Weeks and days are not those of the same weekdays there, so they are blank.

    Args:
        of: the KPI's measure.
        taken: names that are given, in lower case; added to.
    """
    shifted = f"CALCULATE({measure_reference(of.name)}, SAMEPERIODLASTYEAR({dates.DAY}))"
    whole = f"IF({dates.IS_WHOLE}, {shifted}, {BLANK})"
    months = [grain for grain in dates.COLUMNS if grain in periods.MONTHS]
    dax = guarded(whole, (), (), months)
    return _named(of, "year_before", dax, words.YEAR_BEFORE, words.OF_YEAR_BEFORE, taken)


def period_before(of: Measure, grains: Collection[str], taken: set[str]) -> Measure:
    """A KPI in the period before the one that is looked at, where both are whole.

    Args:
        of: the KPI's measure.
        grains: those of its card.
        taken: names that are given, in lower case; added to.
    """
    value = f"IF({dates.IS_WHOLE}, {measure_reference(of.name)})"
    branches = ",\n".join(
        f"\t\t{in_scope(grain, fiscal=False)}, CALCULATE({value}, {before})"
        for grain, before in _BEFORE.items()
        if grain in grains
    )
    dax = f"IF(\n\t{dates.IS_WHOLE},\n\tSWITCH(\n\t\tTRUE(),\n{branches}\n\t)\n)"
    return _named(of, "period_before", dax, words.PERIOD_BEFORE, words.OF_PERIOD_BEFORE, taken)


def target(
    of: Measure, tables: Iterable[Table], grains: Collection[str], taken: set[str]
) -> Measure:
    """What was set for a KPI and the period that is looked at; blank by any dimension.

    Args:
        of: the KPI's measure.
        tables: all tables of the model.
        grains: those of its card.
        taken: names that are given, in lower case; added to.
    """
    own = reference(TARGETS, "").removesuffix("[]")
    amount = f"IF(COUNTROWS({own}) == 1, MAX({reference(TARGETS, 'Target')}))"
    dax = f"{_GRAIN}\nRETURN\n\t{_set_for(of, amount)}"
    body = guarded(dax, tables, (), grains)
    return _named(of, "target", body, words.TARGET, words.OF_TARGET, taken)


def status(of: Measure, set_by: Measure, direction: str, taken: set[str]) -> Measure:
    """Where a KPI stands against its target, in words of the reader's language.

    Args:
        of: the KPI's measure.
        set_by: the measure of its target.
        direction: up or down, whichever is better.
        taken: names that are given, in lower case; added to.
    """
    reached, short = (">=", "<") if direction == "up" else ("<=", ">")
    thresholds = "\n".join(
        f"VAR _{name.lower()} = {_set_for(of, f'MAX({reference(TARGETS, name)})')}"
        for name in ("Warning", "Critical")
    )
    dax = (
        f"VAR _value = {measure_reference(of.name)}\n"
        f"VAR _target = {measure_reference(set_by.name)}\n"
        f"{_GRAIN}\n{thresholds}\n"
        'VAR _is_french = LEFT(USERCULTURE(), 2) == "fr"\n'
        "RETURN\n\tIF(\n"
        f"\t\tNOT(ISBLANK(_value)) && NOT(ISBLANK(_target)) && {dates.IS_WHOLE},\n"
        "\t\tSWITCH(\n\t\t\tTRUE(),\n"
        f"\t\t\t_value {reached} _target, {_said(Status.ON_TARGET)},\n"
        f"\t\t\tNOT(ISBLANK(_critical)) && _value {short} _critical, {_said(Status.CRITICAL)},\n"
        f"\t\t\tNOT(ISBLANK(_warning)) && _value {short} _warning, {_said(Status.WARNING)},\n"
        f"\t\t\t{_said(Status.NEAR)}\n\t\t)\n\t)"
    )
    measure = _named(of, "status", dax, words.STATUS, words.OF_STATUS, taken)
    return replace(measure, format=None)


_SCOPES = ",\n".join(f'\t\t{in_scope(grain, fiscal=False)}, "{grain}"' for grain in dates.COLUMNS)
_GRAIN = f"VAR _grain =\n\tSWITCH(\n\t\tTRUE(),\n{_SCOPES}\n\t)"


def _set_for(of: Measure, amount: str) -> str:
    """An amount of the one target that was set for the KPI and the period in scope."""
    kpi, grain = reference(TARGETS, "KPI"), reference(TARGETS, "Grain")
    filters = f'KEEPFILTERS({kpi} == "{of.metric}"), KEEPFILTERS({grain} == _grain)'
    return f"CALCULATE({amount}, {filters})"


def _said(status_of: Status) -> str:
    english, french = (words_of("status", lang)[status_of.value] for lang in ("en", "fr"))
    return f'IF(_is_french, "{french}", "{english}")'


def _named(  # noqa: PLR0913, PLR0917 - what a measure is made of
    of: Measure,
    what: str,
    dax: str,
    title: dict[str, str],
    description: dict[str, str],
    taken: set[str],
) -> Measure:
    """A measure beside a KPI's, with its folder, its format and what it says of itself."""
    return replace(
        of,
        name=words.unique(f"{of.name}{title['en']}", taken, f"{of.metric}__{what}"),
        metric=f"{of.metric}__{what}",
        version=None,
        dax=dax,
        description=f"{description['en']}\n{of.description}",
        caption_fr=f"{of.caption_fr}{title['fr']}",
        description_fr=f"{description['fr']}\n{of.description_fr}",
    )


def target_rows(layer: Layer, cards: Iterable[Card], days: pa.Table) -> pa.Table:
    """What holds for each KPI in each period of its card: KPI, grain, period, and three amounts.

    A rate that was set for a year holds in its months too, as on the board.

    Args:
        layer: the layer of a built project.
        cards: of the KPIs.
        days: the rows of the date table.
    """
    import pyarrow as pa

    covered = [
        row["date"] for row in days.select(["date", "covered"]).to_pylist() if row["covered"]
    ]
    starts = {
        grain: sorted({periods.start_of(day, grain) for day in covered}) for grain in dates.COLUMNS
    }
    all_targets = targets(layer)
    found: list[tuple[str | dt.date | float | None, ...]] = []
    for card in cards:
        own = [entry for entry in all_targets if entry.kpi == card.name]
        for grain in (grain for grain in card.grains if own and grain in dates.COLUMNS):
            for start in starts[grain]:
                entry = target_of(own, card, grain, start)
                if entry is not None:
                    amounts = (entry.target, entry.warning, entry.critical)
                    found.append((card.name, grain, start, *map(_double, amounts)))
    schema = pa.schema(
        [
            ("kpi", pa.string()), ("grain", pa.string()), ("period", pa.date32()),
            ("target", pa.float64()), ("warning", pa.float64()), ("critical", pa.float64()),
        ]
    )  # fmt: skip
    return pa.Table.from_pylist(
        [dict(zip(schema.names, row, strict=True)) for row in found], schema=schema
    )


def _double(amount: Any) -> float | None:
    return None if amount is None else float(amount)


def target_table() -> tuple[Table, Relationship]:
    """The hidden table of what was set, and its relationship to the dates."""
    kinds: dict[str, Kind] = {
        "KPI": "string", "Grain": "string", "Period": "date", "Target": "double",
        "Warning": "double", "Critical": "double",
    }  # fmt: skip
    columns = tuple(Column(name, name.lower(), kind, name.lower()) for name, kind in kinds.items())
    text = "What was set for each KPI and period. Read it by the measures beside the KPI."
    table = Table(TARGETS, "targets", columns, description=text)
    return table, Relationship(TARGETS, "Period", dates.TABLE, dates.DATE)

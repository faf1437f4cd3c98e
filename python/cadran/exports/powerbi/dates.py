"""The marked date table, its rows, and the periods that a measure is looked at by."""

from __future__ import annotations

import calendar
import datetime as dt
from typing import TYPE_CHECKING, Any

from cadran.errors import ProjectError
from cadran.exports.powerbi.model import Column, Table, reference
from cadran.formats import periods

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    import pyarrow as pa

    from cadran.core.layer import Layer

BLANK = "BLANK()"
TABLE, DATE, COVERED = "Date", "Date", "Covered"
COLUMNS = {"day": DATE, "week": "Week", "month": "Month", "quarter": "Quarter", "year": "Year"}
# Other columns of one period each, by its grain; a fiscal period is none of the layer's.
_ALSO = {"week": "ISO week"}
_FISCAL = {"quarter": "Fiscal quarter", "year": "Fiscal year"}
DAY = reference(TABLE, DATE)
IS_COVERED = f"MAX({reference(TABLE, COVERED)}) == 1"
IS_WHOLE = f"MIN({reference(TABLE, COVERED)}) == 1"
_JANUARY = 1


def in_scope(grain: str, *, fiscal: bool = True) -> str:
    """Whether a value is looked at by periods of a grain, in DAX.

    Args:
        grain: day, week, month, quarter or year.
        fiscal: whether a fiscal quarter or year is a period of the grain.
    """
    names = [COLUMNS[grain], _ALSO.get(grain), _FISCAL.get(grain) if fiscal else None]
    return " || ".join(f"ISINSCOPE({reference(TABLE, name)})" for name in names if name)


def table(*, fiscal_start: int = _JANUARY) -> Table:
    """The marked date table.

    Years are whole, as Power BI's functions of time want them; `Covered` is 1 on the days that the
    time spine has, so that nothing is said of days beyond the data.

    Args:
        fiscal_start: the month in which a fiscal year begins.
    """

    def column(  # noqa: PLR0913, PLR0917 - what a column is made of
        name: str,
        kind: Any,
        caption: str | None,
        fr: str | None,
        text: str,
        sort_by: str | None = None,
    ) -> Column:
        source = name.lower().replace(" ", "_")
        return Column(
            name, source, kind, source, is_hidden=fr is None, is_key=name == DATE,
            description=text, format=caption, caption_fr=fr, sort_by=sort_by,
            layer=f"metric_time__{named[name]}" if name in named else None,
        )  # fmt: skip

    named = {column: grain for grain, column in COLUMNS.items()}
    begins = "January" if fiscal_start == _JANUARY else f"month {fiscal_start}"
    named_after = "" if fiscal_start == _JANUARY else ", named after the year in which it ends"

    return Table(
        TABLE,
        "date",
        (
            column(DATE, "date", "Short Date", "Date", "The day."),
            column("Week", "date", "Short Date", "Semaine", "Monday of the week."),
            column("ISO week", "string", None, "Semaine ISO", "Year and number of the week by ISO"
                   " 8601: its year is that of its Thursday."),
            column("Month", "date", "mmm yyyy", "Mois", "First day of the month."),
            column("Month name", "string", None, "Nom du mois", "January to December, whatever the"
                   " year.", "Month number"),
            column("Month number", "int64", "0", "Numéro du mois", "1 to 12, whatever the year."),
            column("Quarter", "string", None, "Trimestre", "Year and quarter."),
            column("Year", "int64", "0", "Année", "The year."),
            column("Fiscal quarter", "string", None, "Trimestre fiscal", "Fiscal year and its"
                   " quarter."),
            column("Fiscal year", "int64", "0", "Exercice", f"The fiscal year, which begins in"
                   f" {begins}{named_after}."),
            *(
                column(f"Complete {grain}", "boolean", None, fr, f"Whether every day of the {grain}"
                       " has data.")
                for grain, fr in _COMPLETE.items()
            ),
            column(COVERED, "int64", "0", None, "1 on the days that have data, 0 beyond them."),
        ),
        description="One row per day of every year that has data.",
        is_date=True,
        caption_fr="Date",
        hierarchy=("Year", "Quarter", "Month", DATE),
    )  # fmt: skip


_COMPLETE = {
    "week": "Semaine complète", "month": "Mois complet", "quarter": "Trimestre complet",
    "year": "Année complète",
}  # fmt: skip


def rows(layer: Layer, *, fiscal_start: int = _JANUARY) -> pa.Table:
    """The rows of the date table, from the project's daily time spine.

    Args:
        layer: the layer of a built project.
        fiscal_start: the month in which a fiscal year begins.

    Raises:
        ProjectError: the project has no daily time spine, or an empty one.
    """
    import pyarrow as pa

    first, last = _bounds(layer)
    # The week of 1 January may begin in December, and the week is a period of its own.
    day = min(dt.date(first.year, 1, 1), periods.start_of(first, "week"))
    days = []
    while day <= dt.date(last.year, 12, 31):
        days.append(day)
        day += dt.timedelta(days=1)
    weeks = [day.isocalendar() for day in days]
    fiscal = [
        # Months into the fiscal year, and the year in which it ends.
        ((day.month - fiscal_start) % 12, day.year + (day.month >= fiscal_start > _JANUARY))
        for day in days
    ]
    return pa.table(
        {
            "date": pa.array(days, pa.date32()),
            "week": pa.array([periods.start_of(day, "week") for day in days], pa.date32()),
            "iso_week": [f"{week.year}-W{week.week:02}" for week in weeks],
            "month": pa.array([periods.start_of(day, "month") for day in days], pa.date32()),
            "month_name": [calendar.month_name[day.month] for day in days],
            "month_number": pa.array([day.month for day in days], pa.int64()),
            "quarter": [f"{day.year} Q{(day.month + 2) // 3}" for day in days],
            "year": pa.array([day.year for day in days], pa.int64()),
            "fiscal_quarter": [f"{year} Q{months // 3 + 1}" for months, year in fiscal],
            "fiscal_year": pa.array([year for _, year in fiscal], pa.int64()),
            **{
                f"complete_{grain}": [
                    first <= periods.start_of(day, grain)
                    and periods.last_of(periods.start_of(day, grain), grain) <= last
                    for day in days
                ]
                for grain in _COMPLETE
            },
            "covered": pa.array([int(first <= day <= last) for day in days], pa.int64()),
        }
    )


def _bounds(layer: Layer) -> tuple[dt.date, dt.date]:
    spines = layer.project.semantic_manifest["project_configuration"]["time_spines"]
    daily = [s for s in spines if s["primary_column"]["time_granularity"] == "day"]
    if not daily:
        raise ProjectError("The project has no daily time spine, which the date table is made of.")
    name = daily[0]["primary_column"]["name"]
    relation = daily[0]["node_relation"]["relation_name"]
    sql = f"select cast(min({name}) as date) as a, cast(max({name}) as date) as b from {relation}"
    bounds = layer.warehouse.arrow(sql).to_pylist()[0]
    if bounds["a"] is None:
        raise ProjectError(f"The time spine {relation} is empty: build the project first.")
    return bounds["a"], bounds["b"]


def guarded(
    dax: str,
    tables: Iterable[Table],
    allowed: Collection[tuple[str, str]],
    grains: Collection[str],
) -> str:
    """The measure that is blank by any column that is not on the card.

    Args:
        dax: what it gives otherwise.
        tables: all tables of the model.
        allowed: tables and columns of the card's dimensions.
        grains: the card's grains.
    """
    refused = []
    for table in tables:
        names = [c.name for c in table.columns if not c.is_hidden]
        if table.is_date or not names:
            continue
        outside = [name for name in names if (table.name, name) not in allowed]
        if outside == names:
            refused.append(f"ISFILTERED({reference(table.name, '').removesuffix('[]')})")
        else:
            refused += [f"ISFILTERED({reference(table.name, name)})" for name in outside]
    order = list(COLUMNS)
    for grain in order:
        if grain not in grains:
            finer = [f"NOT({in_scope(term)})" for term in order[: order.index(grain)]]
            scope = in_scope(grain)
            refused.append(" && ".join([f"({scope})" if "||" in scope else scope, *finer]))
    if not refused:
        return dax
    conditions = "\n\t\t|| ".join(f"({term})" if "&&" in term else term for term in refused)
    body = dax.replace("\n", "\n\t")
    return f"IF(\n\t{conditions},\n\t{BLANK},\n\t{body}\n)"

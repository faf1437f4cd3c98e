"""The date table: every day of the years that the time spine touches, with its periods."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from cadran import periods
from cadran.errors import ProjectError
from cadran.exports.powerbi.model import Column, Table, reference

if TYPE_CHECKING:
    import pyarrow as pa

    from cadran.layer import Layer

TABLE, DATE, COVERED = "Date", "Date", "Covered"
COLUMNS = {"day": DATE, "week": "Week", "month": "Month", "quarter": "Quarter", "year": "Year"}
DAY = reference(TABLE, DATE)
IS_COVERED = f"MAX({reference(TABLE, COVERED)}) == 1"


def table() -> Table:
    """The marked date table.

    Years are whole, as Power BI's functions of time want them; `Covered` is 1 on the days that the
    time spine has, so that nothing is said of days beyond the data.
    """

    def column(name: str, kind: Any, shown: str | None, fr: str | None, text: str) -> Column:
        return Column(
            name, name.lower(), kind, name.lower(), is_hidden=fr is None, is_key=name == DATE,
            description=text, format=shown, caption_fr=fr,
            layer=f"metric_time__{named[name]}" if name in named else None,
        )  # fmt: skip

    named = {column: grain for grain, column in COLUMNS.items()}

    return Table(
        TABLE,
        "date",
        (
            column(DATE, "date", "Short Date", "Date", "The day."),
            column("Week", "date", "Short Date", "Semaine", "Monday of the week."),
            column("Month", "date", "mmm yyyy", "Mois", "First day of the month."),
            column("Quarter", "string", None, "Trimestre", "Year and quarter."),
            column("Year", "int64", "0", "Année", "The year."),
            column(COVERED, "int64", "0", None, "1 on the days that have data, 0 beyond them."),
        ),
        description="One row per day of every year that has data.",
        is_date=True,
        caption_fr="Date",
        hierarchy=("Year", "Quarter", "Month", DATE),
    )


def rows(layer: Layer) -> pa.Table:
    """The rows of the date table, from the project's daily time spine.

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
    return pa.table(
        {
            "date": pa.array(days, pa.date32()),
            "week": pa.array([periods.start_of(day, "week") for day in days], pa.date32()),
            "month": pa.array([periods.start_of(day, "month") for day in days], pa.date32()),
            "quarter": [f"{day.year} Q{(day.month + 2) // 3}" for day in days],
            "year": pa.array([day.year for day in days], pa.int64()),
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
    found = layer.warehouse.arrow(sql).to_pylist()[0]
    if found["a"] is None:
        raise ProjectError(f"The time spine {relation} is empty: build the project first.")
    return found["a"], found["b"]

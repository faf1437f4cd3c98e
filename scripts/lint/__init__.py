"""What sqlfluff puts in the place of the project's macros: SQL of the same shape.

It lets every model be linted without a warehouse, a profile or a compiled project. The macros
themselves are proved by the tests of `tests/macros` on the warehouse.
"""

from __future__ import annotations


class cadran:  # noqa: N801, it stands for the package as the models name it
    """The macros of this project."""

    @staticmethod
    def accepted_rows(checked: object) -> str:
        """A query in brackets."""
        return f"(select * from {checked}) as accepted"

    @staticmethod
    def business_date(timestamp: str) -> str:
        """A date."""
        return f"cast({timestamp} as date)"

    @staticmethod
    def checked_rows(staged: object, **_: object) -> str:
        """A query of the staged rows."""
        return f"select * from {staged}"

    @staticmethod
    def contract_fault(_source: str, _table: str) -> str:
        """A text."""
        return "cast(null as text)"

    @staticmethod
    def hours_between(start: str, stop: str) -> str:
        """A number."""
        return f"datediff('hour', {start}, {stop})"

    @staticmethod
    def kpi_lineage(_metric: object) -> dict[str, list[str]]:
        """Nothing: there is no graph here."""
        return {"models": [], "sources": []}

    @staticmethod
    def kpi_nodes() -> list[object]:
        """Nothing: there is no graph here."""
        return []

    @staticmethod
    def literal_rows(columns: dict[str, str], _rows: object) -> str:
        """A query of these columns."""
        return "select " + ", ".join(f"null as {name}" for name in columns)

    @staticmethod
    def local_time(timestamp: str, _zone: str) -> str:
        """A clock."""
        return f"cast({timestamp} as timestamp)"

    @staticmethod
    def text() -> str:
        """A type."""
        return "varchar"

    @staticmethod
    def utc_time(local_timestamp: str, _zone: str) -> str:
        """An instant."""
        return f"cast({local_timestamp} as timestamp)"

    @staticmethod
    def quarter_hour(timestamp: str) -> str:
        """An instant."""
        return f"date_trunc('hour', {timestamp})"

    @staticmethod
    def share(part: str, whole: str) -> str:
        """A quotient."""
        return f"{part} / nullif({whole}, 0)"

    @staticmethod
    def registered(name: str) -> str:
        """A table of the register."""
        return f"reliability.{name}"

    @staticmethod
    def slo_entries() -> list[object]:
        """None are known without dbt."""
        return []

    @staticmethod
    def sli_counts() -> list[object]:
        """None are known without dbt."""
        return []

    @staticmethod
    def slo_slices(sli_minutes: str, _minutes: str) -> str:
        """Rows by SLO and minute."""
        return f"select minute_at from {sli_minutes}"

    @staticmethod
    def has_settled(column: str) -> str:
        """A condition."""
        return f"coalesce({column} < cast('2026-01-01' as timestamp), true)"

    @staticmethod
    def read_again_from(_relation: object, _column: str) -> str:
        """A time."""
        return "cast(null as timestamp)"

    @staticmethod
    def changed_rows(time: str, _period: str) -> str:
        """A condition."""
        return f"{time} is not null"

    @staticmethod
    def resolution_target_hours(priority: str) -> str:
        """A number."""
        return f"case when {priority} = 'high' then 24 end"

    @staticmethod
    def safe_cast(field: str, type: str) -> str:  # noqa: A002, the macro's own word
        """A value of that type."""
        return f"try_cast({field} as {type})"

    @staticmethod
    def seed_rows(_variable: str, columns: dict[str, str]) -> str:
        """A query of these columns."""
        return "select " + ", ".join(columns) + " from seed"

    @staticmethod
    def source_rows(source: str, table: str) -> str:
        """A table."""
        return f"{source}_{table}"

    @staticmethod
    def time_series(grain: str, first: str, _last: str) -> str:
        """A query of instants."""
        return f"select date_trunc('{grain}', {first}) as instant"


class dbt:  # noqa: N801, it stands for the package as the models name it
    """The macros of dbt that are used here."""

    @staticmethod
    def concat(fields: list[str]) -> str:
        """A text."""
        return " || ".join(fields)

    @staticmethod
    def date_trunc(part: str, date: str) -> str:
        """A time."""
        return f"date_trunc('{part}', {date})"

    @staticmethod
    def dateadd(part: str, interval: object, start: str) -> str:
        """A time."""
        return f"date_add({start}, interval ({interval}) {part})"

    @staticmethod
    def datediff(first: str, second: str, part: str) -> str:
        """A number."""
        return f"datediff('{part}', {first}, {second})"

    @staticmethod
    def type_int() -> str:
        """A type."""
        return "integer"

    @staticmethod
    def type_string() -> str:
        """A type."""
        return "text"

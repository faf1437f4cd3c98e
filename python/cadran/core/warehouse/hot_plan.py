"""How hot rows are made: what the live warehouse of each engine runs, in the build's dialect."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

HOT = "_hot"  # the database of hot rows
CUT = "{cut}"  # stands in the SQL of a plan for the instant from which on rows are hot


@dataclass(frozen=True, slots=True)
class HotTable:
    """A table that has hot rows.

    Attributes:
        schema: where it is built.
        name: its name there.
        each: `minute` or `hour`: its rows of one are made from its inputs' rows of that one;
            `whole`: it is made anew from all rows when an input changed.
        time: the column that tells the minute or hour; None where `whole` has none.
        sql: makes its rows of what was touched.
        inputs: keys of hot tables and sources that it reads.
        is_daily: whether a `whole` one follows the days alone, and not the minutes.
    """

    schema: str
    name: str
    each: str
    time: str | None
    sql: str
    inputs: frozenset[str]
    is_daily: bool = False

    @property
    def key(self) -> str:
        """Its name among the hot tables."""
        return f"{self.schema}__{self.name}"

    def is_due(self, last: dt.datetime | None, made_at: dt.datetime | None) -> bool:
        """Whether one that is made whole is made anew, once a minute or once a day.

        Args:
            last: the last minute that was touched.
            made_at: the last one that was when such tables were made.
        """
        if last is None or made_at is None:
            return last is not None
        return last.date() > made_at.date() if self.is_daily else last > made_at


@dataclass(frozen=True, slots=True)
class HotPlan:
    """How hot rows are made and where they show.

    Attributes:
        sources: DDL of the columns of each source table that rows come from, by name.
        tables: in the order in which they are made.
        views: SQL of what lies between, by schema and name in the database of hot rows; in order.
        served: SQL of tables that are computed when asked, by schema and name.
        moves: for each relation as compiled SQL names it, the hot tables that its rows rest on.
    """

    sources: Mapping[str, str]
    tables: tuple[HotTable, ...]
    views: tuple[tuple[str, str, str], ...]
    served: Mapping[tuple[str, str], str]
    moves: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @property
    def made_whole(self) -> frozenset[str]:
        """The hot tables whose rows may be of any time."""
        return frozenset(table.key for table in self.tables if table.each == "whole")

    def read_by(self, sql: str) -> frozenset[str]:
        """The hot tables that a compiled question reads."""
        return frozenset(
            key for relation, keys in self.moves.items() if relation in sql for key in keys
        )

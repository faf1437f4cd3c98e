"""An answer: Arrow first, other forms on request."""

from __future__ import annotations

import html
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from cadran.core.query.request import DAY_OR_COARSER
from cadran.errors import CadranError, QueryError, StoppedError, UnknownNameError
from cadran.formats import periods
from cadran.formats.numbers import measure

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Mapping

    import pandas as pd
    import polars as pl
    import pyarrow as pa

    from cadran.core.project.cards import Card
    from cadran.core.query.request import Query

_MOST_ROWS_SHOWN = 20
Decimals = Literal["float", "exact"]

# Kinds of versions by which every value stays what it was: no series breaks at them.
KEEPING = ("equivalent", "wording", "renamed")

COMPLETE = "is_complete"  # the column that says whether the period of a row is whole


@dataclass(frozen=True, slots=True)
class Break:
    """Where the meaning of a KPI changed.

    Attributes:
        kpi: the KPI.
        period: start of the first period of the new version.
        before: the version up to there.
        after: the version from there on.
        kind: policy, estimate, error, source or equivalent; None where nobody recorded it.
        reason: why, in words.
        value_before: the last value by the old version, as exact text.
        in_series: whether the values of this answer change their meaning there. When False they
            are all of one version, and others were published for one side of the break.
    """

    kpi: str
    period: dt.datetime
    before: int
    after: int
    kind: str | None
    reason: str | None
    value_before: str | None
    in_series: bool

    def __str__(self) -> str:
        """One sentence."""
        why = f" ({self.kind}: {self.reason})" if self.kind else ""
        end = "" if self.in_series else "; the values here are of one version, the published not"
        return (
            f"{self.kpi} changed its meaning from version {self.before} to {self.after} with the"
            f" period of {self.period:%Y-%m-%d}{why}{end}"
        )


class Provenance(Protocol):
    """By which versions the values of an answer were computed; read when it is asked."""

    @property
    def versions(self) -> dict[str, tuple[int, ...]]:
        """The versions of the values of each KPI."""

    @property
    def breaks(self) -> tuple[Break, ...]:
        """Where a KPI's meaning changed within the periods of the answer, earliest first."""


@dataclass(frozen=True, slots=True)
class Told:
    """A provenance that is known already."""

    versions: dict[str, tuple[int, ...]]
    breaks: tuple[Break, ...] = ()


class Rows(Protocol):
    """What those who work with an answer need of it: `Result` has it, and `Answer` of a server."""

    @property
    def table(self) -> pa.Table:
        """The rows."""

    @property
    def breaks(self) -> tuple[Break, ...]:
        """Where a KPI changed its meaning within them."""

    @property
    def note(self) -> str:
        """What has to be said beside them."""


class Result:
    """The answer to a question.

    Attributes:
        query: the question, in its one form.
        governed: whether every KPI in it was asked as its card allows. When False the numbers are
            those of the metrics behind the KPIs, and must not be quoted as the KPIs.
        note: what a reader must know of where the numbers come from; mostly empty.
        watermark: the instant (UTC) up to which what landed is in a live answer; None where the
            numbers are those of the last build.
        drawer: what draws answers, of an answer, a KPI and a language; pictures stand above
            answers, so that who opens a layer hands it down.
        source: what was read: facts by their names, a pre-aggregate or the ledger; empty where
            that is the frozen SQL of a version.
    """

    drawer: ClassVar[Callable[[Result, str | None, str], Any] | None] = None

    def __init__(  # noqa: PLR0913 - an answer carries what it was asked and by what it is judged
        self,
        table: pa.Table,
        sql: str | Callable[[], str],
        query: Query,
        cards: dict[str, Card],
        *,
        governed: bool,
        history: Provenance | None = None,
        note: str = "",
        watermark: dt.datetime | None = None,
        source: str = "",
        reach: Callable[[str], dt.date | None] | None = None,
    ) -> None:
        """Wrap rows that the layer has computed."""
        self._reach = reach
        self.note = note
        self.watermark = watermark
        self.source = source
        self._history = history
        self._table = table
        self._cards = cards
        self._sql = sql
        self.query = query
        self.governed = governed

    @cached_property
    def sql(self) -> str:
        """What the warehouse ran."""
        return self._sql if isinstance(self._sql, str) else self._sql()

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics in it, in the order asked."""
        return self.query.metrics

    @property
    def table(self) -> pa.Table:
        """The rows, as `to_arrow` gives them."""
        return self._table

    @property
    def columns(self) -> list[str]:
        """Column names: what it is grouped by, then the metrics."""
        return list(self._table.column_names)

    def card(self, name: str) -> Card:
        """The card of one of its KPIs.

        Raises:
            UnknownNameError: no KPI of that name is in the answer.
        """
        if name not in self._cards:
            raise UnknownNameError("KPI", name, self._cards, where=" in this answer")
        return self._cards[name]

    @property
    def versions(self) -> dict[str, tuple[int, ...]]:
        """The versions by which the values of each KPI were computed."""
        return self._history.versions if self._history else {}

    @property
    def breaks(self) -> tuple[Break, ...]:
        """Where a KPI's meaning changed within the periods of the answer, earliest first."""
        return self._history.breaks if self._history else ()

    @cached_property
    def complete_through(self) -> dict[str, dt.date | None]:
        """The last day that is whole in every source of each metric, read when it is asked.

        A period that ends later is still running. None where the sources are empty or do not tell;
        no metric is named where the values are those that were published.
        """
        return {name: self._day_of(name) for name in self.metrics} if self._reach else {}

    def _day_of(self, metric: str) -> dt.date | None:
        try:
            return self._reach(metric) if self._reach else None
        except StoppedError:
            raise
        except CadranError:
            return None

    @cached_property
    def running_note(self) -> str:
        """Which metrics are not complete in the last period of the answer; empty where all are."""
        column, grain = self.query.period or ("", "")
        if column not in self.columns or not self._reach:
            return ""
        import pyarrow.compute as pc

        last = pc.max(self._table.column(column)).as_py()
        if last is None:
            return ""
        end = periods.last_of(last, grain)
        running = [
            f"{name} holds data until {day}"
            for name, day in self.complete_through.items()
            if day is not None and day < end
        ]
        period = f"The {grain} of {last} is not complete: "
        return f"{period}{', '.join(running)}." if running else ""

    @property
    def like_for_like(self) -> bool:
        """Whether every value can be compared with every other: no break lies between them."""
        return not any(change.in_series for change in self.breaks)

    def comparable(self, kpi: str, day: dt.date, other: dt.date) -> bool:
        """Whether the values of two periods, given by their starts, have the same meaning."""
        first, last = sorted((day.isoformat(), other.isoformat()))
        return not any(
            broken.kpi == kpi
            and broken.in_series
            and first < broken.period.isoformat()[: len(last)] <= last
            for broken in self.breaks
        )

    @property
    def units(self) -> dict[str, str]:
        """The unit of each of its KPIs."""
        return {name: card.unit for name, card in self._cards.items()}

    def chart(self, kpi: str | None = None, lang: str = "en") -> Any:
        """Its picture; see `cadran.notebook.chart`.

        Raises:
            QueryError: no chart shows such an answer, or its layer was opened without pictures.
        """
        draw = type(self).drawer
        if draw is None:
            raise QueryError(
                "This layer draws no charts: cadran.open and cadran.connect give one that does."
            )
        return draw(self, kpi, lang)

    def to_arrow(self) -> pa.Table:
        """The rows: DECIMAL exact, counts int64, grains date32 (day and up) or timestamp."""
        return self._table

    def to_pandas(self, *, decimals: Decimals = "float") -> pd.DataFrame:
        """The rows as a DataFrame whose columns take the usual arithmetic.

        Args:
            decimals: "float" gives amounts as float64, dates as datetime64 and counts as int64
                (Int64 where some are NULL); "exact" keeps Arrow's types, whose decimals have every
                digit and refuse much of what pandas does (division, `resample`, `pct_change`).

        Raises:
            ImportError: pandas is not installed.
            QueryError: there is no such form of decimals.
        """
        _need("pandas")
        import pandas as pd
        import pyarrow as pa

        if _exact(decimals):
            return self._table.to_pandas(types_mapper=pd.ArrowDtype)
        table = _floats(self._table)
        nullable = {
            pa.int8(): pd.Int8Dtype(), pa.int16(): pd.Int16Dtype(), pa.int32(): pd.Int32Dtype(),
            pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype(),
        }  # fmt: skip
        with_null = {field.type for field, column in zip(table.schema, table.columns, strict=True)
                     if column.null_count}  # fmt: skip
        frame: pd.DataFrame = table.to_pandas(
            types_mapper={kind: nullable[kind] for kind in with_null & nullable.keys()}.get,
            date_as_object=False,
        )
        return frame

    def to_polars(self, *, decimals: Decimals = "float") -> pl.DataFrame:
        """The rows as a Polars DataFrame.

        Args:
            decimals: "float" gives amounts as Float64, "exact" as Decimal.

        Raises:
            ImportError: Polars is not installed.
            QueryError: there is no such form of decimals.
        """
        _need("polars")
        import polars as pl

        frame = pl.from_arrow(self._table if _exact(decimals) else _floats(self._table))
        return frame if isinstance(frame, pl.DataFrame) else frame.to_frame()

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def __repr__(self) -> str:
        kind = "" if self.governed else ", not governed"
        return f"<Result {len(self)} rows: {', '.join(self.columns)}{kind}>"

    def _repr_html_(self) -> str:
        def heading(column: str) -> str:
            card = self._cards.get(column)
            if card is None:
                return html.escape(column)
            return f"{html.escape(card.label)} <small>({html.escape(card.unit)})</small>"

        def cell(column: str, value: Any) -> str:
            card = self._cards.get(column)
            text = measure(value, card.unit, decimals=card.decimals) if card else value
            align = "right" if column in self.metrics else "left"
            content = html.escape("" if text is None else str(text))
            return f'<td style="text-align:{align}">{content}</td>'

        rows = self._table.slice(0, _MOST_ROWS_SHOWN).to_pylist()
        body = "".join(
            "<tr>" + "".join(cell(name, value) for name, value in row.items()) + "</tr>"
            for row in rows
        )
        heads = "".join(f"<th>{heading(column)}</th>" for column in self.columns)
        versions = ", ".join(f"{c.label} version {c.version}" for c in self._cards.values())
        notes = [f"{len(self):,} rows" + (f", {len(rows)} shown" if len(rows) < len(self) else "")]
        notes += [versions] if versions and self.governed else []
        notes += [f"<b>{html.escape(str(change))}</b>" for change in self.breaks]
        notes += [html.escape(note) for note in (self.note, self.running_note) if note]
        if not self.governed:
            notes.append("<b>not the governed KPI: asked outside its card</b>")
        return f"<table><tr>{heads}</tr>{body}</table><p>{'; '.join(notes)}</p>"


def arranged(table: pa.Table, query: Query) -> pa.Table:
    """The warehouse's rows with what they are grouped by first, then the metrics as asked.

    What was divided by zero is NULL: no reader takes an infinity for a value.
    """
    metrics = [name for name in query.metrics if name in table.column_names]
    columns = [name for name in table.column_names if name not in metrics] + metrics
    return _finite(table if columns == table.column_names else table.select(columns))


def with_complete(table: pa.Table, query: Query, through: Mapping[str, dt.date | None]) -> pa.Table:
    """Rows by a period with whether it is whole in the data of every metric, as the last column.

    As they were where they are by no period of days, or where the data do not tell.

    Args:
        table: the rows.
        query: what they answer.
        through: the last whole day of each metric.
    """
    import pyarrow as pa

    known = [day for day in through.values() if day is not None]
    if len(known) < max(1, len(through)) or COMPLETE in table.column_names:
        return table
    column, grain = query.period or ("", "")
    if column not in table.column_names:
        return table
    whole = [
        None if start is None else periods.last_of(start, grain) <= min(known)
        for start in table.column(column).to_pylist()
    ]
    return table.append_column(COMPLETE, pa.array(whole, pa.bool_()))


def _finite(table: pa.Table) -> pa.Table:
    import pyarrow as pa
    import pyarrow.compute as pc

    for place, field in enumerate(table.schema):
        if not pa.types.is_floating(field.type):
            continue
        column = table.column(place)
        finite = pc.is_finite(column)
        if not pc.all(finite, min_count=0).as_py():
            nulled = pc.if_else(finite, column, pa.scalar(None, field.type))
            table = table.set_column(place, field, nulled)
    return table


def _floats(table: pa.Table) -> pa.Table:
    """The rows with decimals as the nearest binary numbers."""
    import pyarrow as pa

    fields = [
        field.with_type(pa.float64()) if pa.types.is_decimal(field.type) else field
        for field in table.schema
    ]
    return table.cast(pa.schema(fields))


def _exact(decimals: str) -> bool:
    if decimals not in {"float", "exact"}:
        raise QueryError(f"decimals is {decimals!r}; it takes 'float' or 'exact'.")
    return decimals == "exact"


def dates(query: Query) -> set[str]:
    """The columns that hold dates: times at a day or coarser, also where no grain was given."""
    times = [group for group in query.group_by if not group.date_part]
    bases = [group.base for group in times if not group.asked_grain]
    names = {group.column for group in times if group.asked_grain in DAY_OR_COARSER}
    names |= {f"{base}__{grain}" for base in bases for grain in DAY_OR_COARSER}
    if query.min_max_only:
        names |= {f"{name}__{end}" for name in names for end in ("min", "max")}
    return names


def _need(package: str) -> None:
    import importlib.util

    if importlib.util.find_spec(package) is None:
        raise ImportError(
            f"to_{package} needs {package}: install it with `pip install cadran[{package}]`."
        )

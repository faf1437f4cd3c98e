"""What comes in over a network: models that validate it, and whose JSON Schemas describe it."""

from __future__ import annotations

import datetime as dt
import re
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    ValidationInfo,
)

from cadran.core.days import COMPARISONS
from cadran.core.ledger.reader import VIEWS
from cadran.core.project.cards import LANGUAGES, TIERS
from cadran.core.query.request import GRAINS, GroupBy, Query, ask
from cadran.formats.validation import Takes, one_of
from cadran.governance.notes import LONGEST
from cadran.insight.anomalies import SHOWN as DAYS
from cadran.insight.drivers import SHOWN
from cadran.insight.forecast import PERIODS
from cadran.insight.impact import BYS
from cadran.insight.search import SHOWN as FOUND
from cadran.serving.response import MEDIA, PAGE_ROWS

_MOST_ITEMS = 50
_LONGEST = 300  # characters of a name
_LONGEST_FILTER = 2000
_LARGEST_WHOLE = 2**31 - 1
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}([Tt ]\d{2}:\d{2}|$)")
_TIMES = "an ISO date such as 2026-01-31, or an instant such as 2026-01-31T18:00:00Z"
_DATE_PARTS = ("year", "quarter", "month", "day", "dow", "doy")


def _of_text(text: str) -> str:
    if "\0" in text:
        raise ValueError("holds a character that no text has")
    return text


def _time(text: str) -> str:
    try:
        if not _TIME.match(text):
            raise ValueError(text)  # noqa: TRY301 - as any other text that is no time
        if len(text) == len("2026-01-31"):
            dt.date.fromisoformat(text)
        else:
            dt.datetime.fromisoformat(text.upper()).astimezone(dt.UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"is '{text[:80]}'; it takes {_TIMES}") from None
    return text


def _day(text: str) -> str:
    try:
        if len(text) != len("2026-01-31"):
            raise ValueError(text)  # noqa: TRY301 - as any other text that is no date
        dt.date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"is '{text[:80]}'; it takes an ISO date such as 2026-01-31") from None
    return text


def _of_link(value: Any, info: ValidationInfo) -> Any:
    """A number or a switch, which a link holds as text; JSON knows no difference of 10 and 10.0."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if not info.context or not isinstance(value, str):
        return value
    if value in ("true", "false"):
        return value == "true"
    digits = value.removeprefix("-")
    return int(value[:12]) if digits.isascii() and digits.isdigit() else value


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _texts(most: int) -> Any:
    return StringConstraints(strict=True, min_length=1, max_length=most)


Count = Annotated[int, Field(strict=True, ge=0, le=_LARGEST_WHOLE), BeforeValidator(_of_link)]
Ordinal = Annotated[int, Field(strict=True, ge=1, le=_LARGEST_WHOLE), BeforeValidator(_of_link)]
Thousand = Annotated[int, Field(strict=True, ge=1, le=1000), BeforeValidator(_of_link)]
Name = Annotated[str, _texts(_LONGEST), AfterValidator(_of_text)]
Names = Annotated[tuple[Name, ...], Field(max_length=_MOST_ITEMS)]
Time = Annotated[
    Name,
    Takes(_TIMES, _time, schema={"anyOf": [{"format": "date"}, {"format": "date-time"}]}),
]
Day = Annotated[Name, Takes("an ISO date such as 2026-01-31", _day, schema={"format": "date"})]
Switch = Annotated[bool, BeforeValidator(_of_link), Field(strict=True)]
Lang = Annotated[Name, one_of(*LANGUAGES), Field(description="Language of the words.")]
Format = Annotated[
    Name, one_of(*MEDIA), Field(description="Form of the answer, before what Accept says.")
]


class Request(BaseModel):
    """What an operation or a tool takes; one name more is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @property
    def arguments(self) -> dict[str, Any]:
        """What was given, by name."""
        return {name: getattr(self, name) for name in self.model_fields_set}


class Group(Request):
    """Something to group by, with its grain or date part apart."""

    name: Name
    grain: Annotated[Name, BeforeValidator(_lower), one_of(*GRAINS)] | None = None
    date_part: Annotated[Name, BeforeValidator(_lower), one_of(*_DATE_PARTS)] | None = None


GroupItem = Annotated[
    Annotated[Name, Tag("by name")] | Annotated[Group, Tag("in parts")],
    Discriminator(lambda item: "in parts" if isinstance(item, dict | Group) else "by name"),
]
Metrics = Annotated[
    Names, Field(description="Names of metrics or KPIs.", examples=[["net_revenue", "order_count"]])
]
Where = Annotated[
    tuple[Annotated[str, _texts(_LONGEST_FILTER), AfterValidator(_of_text)], ...],
    Field(
        max_length=_MOST_ITEMS,
        description="Conditions that all hold.",
        examples=[["order_id__channel = 'web'"]],
    ),
]
OrderBy = Annotated[
    Names,
    Field(description="Columns, with - before the descending ones.", examples=[["-net_revenue"]]),
]
Limit = Annotated[
    Count,
    Field(description="At most so many rows of the answer.", examples=[10]),
]
_WIDENED = (
    "Grouped by a time, a range is widened to whole periods of the finest grain asked, and the note"
    " of the answer says so; by a calendar of the project it is not, and the first and last period"
    " hold the days of the range only. Without a time in group_by the range is taken as it is."
)
Start = Annotated[
    Time,
    Field(description=f"First day or instant, included. {_WIDENED}", examples=["2026-01-01"]),
]
End = Annotated[
    Time, Field(description="Last day or instant, included; see start.", examples=["2026-06-30"])
]


Complete = Annotated[
    Switch,
    Field(
        description="true gives only periods that are whole in the data of every metric asked, and"
        " leaves out the running one; it needs metric_time by day or longer in group_by."
    ),
]


Compare = Annotated[
    Name,
    one_of(*COMPARISONS),
    Field(
        description="Sets earlier values beside: of the period before, of the same one a year"
        " before, or of as many days before on the same weekdays. For each metric come its base,"
        " the change in its unit (in points where that is %), the change in percent, and whether"
        " both are like for like. A running period is compared with the same days."
    ),
]


class QueryRequest(Request):
    """A question."""

    metrics: Metrics = ()
    group_by: Annotated[
        tuple[GroupItem, ...],
        Field(
            max_length=_MOST_ITEMS,
            description="Dimensions; times with a grain.",
            examples=[["metric_time__month", "customer__country"]],
        ),
    ] = ()
    where: Where = ()
    order_by: OrderBy = ()
    limit: Limit | None = None
    start: Start | None = None
    end: End | None = None
    saved_query: Annotated[
        Name, Field(description="Start from this saved query; the rest adds to it.")
    ] | None = None  # fmt: skip
    version: (
        Annotated[
            Ordinal,
            Field(description="A version of the one KPI asked."),
        ]
        | None
    ) = None
    known_at: Annotated[
        Time, Field(description="What had been published by then, instead of now.")
    ] | None = None  # fmt: skip
    view: Annotated[
        Name,
        one_of(*VIEWS),
        Field(description="Values as published, restated, both or spliced."),
    ] | None = None  # fmt: skip

    complete: Complete = False
    compare: Compare | None = None

    @property
    def query(self) -> Query:
        """The question in its one form.

        Raises:
            QueryError: it makes no sense.
        """
        groups = [
            group if isinstance(group, str) else GroupBy(group.name, group.grain, group.date_part)
            for group in self.group_by
        ]
        return ask(
            self.metrics, groups, self.where, self.order_by, self.limit, self.start, self.end,
            saved_query=self.saved_query, version=self.version, known_at=self.known_at,
            view=self.view, complete=self.complete, compare=self.compare,
        )  # fmt: skip


Cursor = Annotated[
    Name,
    Field(
        description="next_cursor of the page before; it ends when the numbers are replaced.",
        json_schema_extra={"pattern": r"^[0-9a-f]{16}\.[0-9a-f]{16}\.[0-9]{1,12}$"},
    ),
]


Safe = Annotated[
    Switch,
    Field(description="true puts ' before texts of CSV that a spreadsheet takes for formulas."),
]


class ShapedQueryRequest(QueryRequest):
    """A question, and the form of its answer."""

    format: Format | None = None
    lang: Lang = "en"
    safe: Safe = False
    read_cache: Annotated[Switch, Field(description="false computes the answer again.")] = True
    page_size: Annotated[
        Ordinal,
        Field(
            description=f"Rows of one page. JSON gives {PAGE_ROWS:,} where it is not said, the"
            " other formats all."
        ),
    ] | None = None  # fmt: skip
    cursor: Cursor | None = None


class SavedFileRequest(Request):
    """A saved query as a file."""

    name: Annotated[Name, Field(description="Its name.", examples=["kpi_monthly_strategic"])]
    format: Annotated[
        Name, one_of(*MEDIA), Field(description="Form of the file.", examples=["csv"])
    ]
    where: Where = ()
    order_by: OrderBy = ()
    limit: Limit | None = None
    start: Start | None = None
    end: End | None = None
    complete: Complete = False
    lang: Lang = "en"
    safe: Safe = False


class PagesRequest(Request):
    """A list, in pages."""

    page_size: Annotated[
        Thousand, Field(description="Items of one page.", examples=[100])
    ] | None = None  # fmt: skip
    cursor: Cursor | None = None


class KpisRequest(PagesRequest):
    """The cards."""

    lang: Lang = "en"
    tier: Annotated[Name, one_of(*TIERS), Field(description="Only those of this tier.")] | None = (
        None
    )
    scope: Annotated[
        Name, Field(description="Only those of this scope.", examples=["global"])
    ] | None = None  # fmt: skip
    search: Annotated[
        Name,
        Field(
            description="Only those whose cards have words of this question, the best first.",
            examples=["how much did we sell"],
        ),
    ] | None = None  # fmt: skip


class KpiRequest(Request):
    """One card."""

    name: Annotated[Name, Field(description="Its name.", examples=["net_revenue"])]
    lang: Lang = "en"


class DimensionsRequest(PagesRequest):
    """What metrics can be grouped by."""

    metrics: Metrics = ()


class ValuesRequest(DimensionsRequest):
    """The values of a dimension."""

    dimension: Annotated[
        Name,
        Field(description="Its name; a time with its grain.", examples=["customer__country"]),
    ]


class _Analysed(Request):
    """A KPI whose values are looked into."""

    where: Where = ()
    lang: Lang = "en"


class _Change(_Analysed):
    """A change of a KPI."""

    by: Annotated[
        Name,
        Field(
            description="A dimension on its card, whose members are told; without it the factors of"
            " which the KPI is made.",
            examples=["customer__country"],
        ),
    ] | None = None  # fmt: skip
    period: Annotated[
        Name,
        Field(
            description="The period now: 2026, 2026-Q4, 2026-10, 2026-W44 or 2026-10-31; the month"
            " of the last whole day where nothing is said. Running, it is compared with the same"
            " days of the other one.",
            examples=["2026-10"],
        ),
    ] | None = None  # fmt: skip
    start: Annotated[Day, Field(description="The first day now, instead of a period.")] | None = (
        None
    )
    end: Annotated[Day, Field(description="The last day now.")] | None = None
    compare: Annotated[
        Name,
        one_of(*COMPARISONS),
        Field(
            description="With the period before, the same one a year before, or as many days before"
            " on the same weekdays."
        ),
    ] = "previous"
    top: Annotated[Thousand, Field(description="Members shown; the rest are others.")] = SHOWN


class _Ahead(_Analysed):
    """A running period of a KPI."""

    grain: Annotated[Name, one_of(*PERIODS), Field(description="Length of the period.")] = "month"


class _Days(_Analysed):
    """Days of a KPI."""

    days: Annotated[Thousand, Field(description="The last whole days that are judged.")] = DAYS


class DriversRequest(KpiRequest, _Change):
    """A change of a KPI, and what contributes to it."""


class ForecastRequest(KpiRequest, _Ahead):
    """A KPI at the end of a running period."""


class AnomaliesRequest(KpiRequest, _Days):
    """The unusual days of a KPI."""


_Incident = Annotated[
    Name, Field(description="One incident; without it, every one.", examples=["i0025"])
]
_By = Annotated[Name, one_of(*BYS), Field(description="Sums, with bounds of their own.")]
_Since = Annotated[Day, Field(description="Only incidents that began on this day (UTC) or later.")]
_Until = Annotated[Day, Field(description="Only incidents that began on this day or before.")]


class ImpactRequest(PagesRequest):
    """What incidents cost."""

    incident: _Incident | None = None
    by: _By | None = None
    start: _Since | None = None
    end: _Until | None = None


_About = Annotated[Name, Field(description="The KPI.", examples=["net_revenue"])]
_Period = Annotated[
    str,
    StringConstraints(max_length=10),
    Field(description="2026, 2026-Q4, 2026-10, 2026-W44 or 2026-10-31.", examples=["2026-Q3"]),
]


_Said = Annotated[
    str,
    StringConstraints(max_length=LONGEST["text"]),
    Field(description="What there is to say.", examples=["The sale began a week late."]),
]
_Short = Annotated[str, StringConstraints(max_length=LONGEST["cause"])]


class NotesRequest(PagesRequest):
    """What was said about a KPI."""

    kpi: _About
    period: _Period | None = None


class NoteRequest(Request):
    """What somebody has to say about a KPI and a period."""

    kpi: _About
    period: _Period
    text: _Said
    cause: Annotated[_Short, Field(description="Of what happened, as far as it is known.")] = ""
    action: Annotated[_Short, Field(description="What is done about it.")] = ""
    owner: Annotated[
        str, StringConstraints(max_length=LONGEST["owner"]), Field(description="Who does it.")
    ] = ""
    due: Annotated[Day, Field(description="Until when.")] | None = None
    incident: Annotated[
        str, StringConstraints(max_length=64), Field(description="The incident that it is about.")
    ] = ""


class ImpactTool(Request):
    """What incidents cost, for an agent."""

    incident: _Incident | None = None
    by: _By | None = None
    start: _Since | None = None
    end: _Until | None = None


class ListTool(Request):
    """The cards, for an agent."""

    tier: Annotated[
        Name, one_of(*TIERS), Field(description="Only strategic or only operational ones.")
    ] | None = None  # fmt: skip
    scope: Annotated[
        Name, Field(description="Only those of this scope, such as global.")
    ] | None = None  # fmt: skip
    lang: Lang = "en"


class SearchTool(Request):
    """KPIs by the words of a question, for an agent."""

    question: Annotated[
        Name,
        Field(
            description="The question as it was asked, in English or French.",
            examples=["How much did we sell last month?"],
        ),
    ]
    top: Annotated[Thousand, Field(description="KPIs given at most.")] = FOUND
    lang: Lang = "en"


class CardTool(Request):
    """One card, for an agent."""

    kpi: Annotated[Name, Field(description="Name of the KPI, such as net_revenue.")]
    lang: Lang = "en"


class QueryTool(QueryRequest):
    """A question of an agent."""

    max_rows: Annotated[
        Thousand,
        Field(description="Rows given at most; 200 where it is not said."),
    ] = 200  # fmt: skip


class ValuesTool(Request):
    """The values of a dimension, for an agent."""

    dimension: Annotated[Name, Field(description="Such as customer__country.")]
    metrics: Metrics = ()


class ExplainTool(CardTool):
    """How a KPI is computed, or why a value changed."""

    period: Annotated[
        Name, Field(description="2026, 2026-Q4, 2026-10, 2026-W44 or 2026-10-31.")
    ] | None = None  # fmt: skip
    known_at: Annotated[
        Time, Field(description="The value published by then; else the first.")
    ] | None = None  # fmt: skip
    by: Annotated[
        Name, Field(description="Dimension that splits the effect of a changed definition.")
    ] | None = None  # fmt: skip


class DriversTool(CardTool, _Change):
    """A change of a KPI, for an agent."""


class ForecastTool(CardTool, _Ahead):
    """A forecast, for an agent."""


class AnomaliesTool(CardTool, _Days):
    """Unusual days, for an agent."""

"""Every operation under `/api/v1`, once: it is read, checked and told in OpenAPI from here."""

from __future__ import annotations

from dataclasses import dataclass

from cadran.cards import LANGUAGES, TIERS
from cadran.published import VIEWS
from cadran.server.parameters import Parameter
from cadran.serving.forms import MEDIA, PAGE_ROWS

_LANG = Parameter("lang", "Language of the words.", "choice", choices=LANGUAGES)
_NAME = Parameter("name", "Its name.", in_path=True, required=True, example="net_revenue")
_METRICS = Parameter(
    "metrics", "Names of metrics or KPIs.", "names", example=["net_revenue", "order_count"]
)
NARROWING = (
    Parameter(
        "where", "Conditions that all hold.", "texts", example=["order_id__channel = 'web'"]
    ),
    Parameter(
        "order_by", "Columns, with - before the descending ones.", "names",
        example=["-net_revenue"],
    ),
    Parameter("limit", "At most so many rows of the answer.", "whole", example=10),
    Parameter("start", "First day or instant, included.", "time", example="2026-01-01"),
    Parameter("end", "Last day or instant, included.", "time", example="2026-06-30"),
)  # fmt: skip
ASKING = (
    _METRICS,
    Parameter(
        "group_by", "Dimensions; times with a grain.", "groups",
        example=["metric_time__month", "customer__country"],
    ),
    *NARROWING,
    Parameter("saved_query", "Start from this saved query; the rest adds to it."),
    Parameter("version", "A version of the one KPI asked.", "whole", least=1),
    Parameter("known_at", "What had been published by then, instead of now.", "time"),
    Parameter("view", "Values as published, restated, both or spliced.", "choice", choices=VIEWS),
)  # fmt: skip
_CURSOR = Parameter(
    "cursor", "next_cursor of the page before; it ends when the numbers are replaced.",
    pattern=r"^[0-9a-f]{16}\.[0-9a-f]{16}\.[0-9]{1,12}$",
)  # fmt: skip
SHAPING = (
    Parameter("format", "Form of the answer, before what Accept says.", "choice",
              choices=tuple(MEDIA)),
    _LANG,
    Parameter("read_cache", "false computes the answer again.", "switch"),
    Parameter(
        "page_size",
        f"Rows of one page. JSON gives {PAGE_ROWS:,} where it is not said, the other formats all.",
        "whole", least=1,
    ),
    _CURSOR,
)  # fmt: skip
_PAGES = (
    Parameter("page_size", "Items of one page.", "whole", least=1, most=1000, example=100),
    _CURSOR,
)


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that can be done at one address.

    Attributes:
        id: its name, also that of what does it.
        method: of HTTP; GET includes HEAD.
        path: below `/api/v1`, with names in braces.
        summary: one line.
        scope: what the caller's token has to allow; empty for everybody.
        takes: its parameters.
        gives: the schema of its JSON, by name; `Answer` also comes in other formats.
        in_body: whether the parameters stand in a body.
        is_file: whether the format stands in the path and is the only one.
    """

    id: str
    method: str
    path: str
    summary: str
    scope: str
    takes: tuple[Parameter, ...] = ()
    gives: str = "Answer"
    in_body: bool = False
    is_file: bool = False


OPERATIONS = (
    Operation("index", "GET", "", "What there is at this address.", "", gives="Index"),
    Operation("openapi", "GET", "/openapi.json", "This description.", "", gives="OpenApi"),
    Operation("docs", "GET", "/docs", "This description as a page.", "", gives="Page"),
    Operation(
        "kpis", "GET", "/kpis", "The KPIs with their cards.", "metadata",
        (
            _LANG,
            Parameter("tier", "Only those of this tier.", "choice", choices=TIERS),
            Parameter("scope", "Only those of this scope.", example="global"),
            *_PAGES,
        ),
        gives="Kpis",
    ),
    Operation(
        "kpi", "GET", "/kpis/{name}", "One KPI: card, versions, breaks, targets.", "metadata",
        (_NAME, _LANG), gives="Kpi",
    ),
    Operation("metrics", "GET", "/metrics", "The metrics.", "metadata", _PAGES, gives="Metrics"),
    Operation(
        "dimensions", "GET", "/dimensions", "What these metrics can be grouped by together.",
        "metadata", (_METRICS, *_PAGES), gives="Dimensions",
    ),
    Operation(
        "saved_queries", "GET", "/saved-queries", "The saved queries, with links.", "metadata",
        _PAGES, gives="SavedQueries",
    ),
    Operation(
        "saved_file", "GET", "/saved-queries/{name}.{format}",
        "A saved query as a file: a link for a sheet that refreshes.", "query",
        (
            Parameter("name", "Its name.", in_path=True, required=True,
                      example="kpi_monthly_strategic"),
            Parameter("format", "Form of the file.", "choice", choices=tuple(MEDIA),
                      in_path=True, required=True, example="csv"),
            *NARROWING, _LANG,
        ),
        is_file=True,
    ),
    Operation(
        "query", "GET", "/query", "The answer to a question, as a link.", "query",
        (*ASKING, *SHAPING),
    ),
    Operation(
        "query_body", "POST", "/query", "The answer to a question, as a body.", "query",
        (*ASKING, *SHAPING), in_body=True,
    ),
    Operation(
        "values", "GET", "/values", "The values of a dimension.", "query",
        (
            Parameter("dimension", "Its name; a time with its grain.", required=True,
                      example="customer__country"),
            _METRICS, *_PAGES,
        ),
        gives="Values",
    ),
    Operation(
        "sql", "GET", "/sql", "The SQL of a question; nothing is run.", "query", ASKING,
        gives="Sql",
    ),
    Operation(
        "sql_body", "POST", "/sql", "The SQL of a question; nothing is run.", "query", ASKING,
        gives="Sql", in_body=True,
    ),
    Operation(
        "refresh", "POST", "/refresh", "Take over a new build now.", "admin", gives="Refreshed",
    ),
)  # fmt: skip

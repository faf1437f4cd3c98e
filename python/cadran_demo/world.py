"""The demo company: where it sells, what it sells, what it runs. Only constants."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
from numpy.random import PCG64, Generator, SeedSequence
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence


class Country(NamedTuple):
    """A market: share of demand, growth a year, conversion, hours its clock is behind Paris."""

    code: str
    share: float
    growth: float
    conversion: float
    behind: int


class Channel(NamedTuple):
    """A way to buy: share of sessions, growth a year, share of sessions that order."""

    name: str
    share: float
    growth: float
    conversion: float
    devices: tuple[float, float, float, float]  # desktop, mobile, tablet, api
    without_session: float  # share of the orders that come without a session


class Category(NamedTuple):
    """A shelf: share of products, middle price, margin, share of lines refunded, peak of demand."""

    name: str
    share: float
    price: float
    margin: float
    refunds: float
    peak_month: int
    peak: float


class Service(NamedTuple):
    """A service of the platform; `region` is where it is probed from."""

    service_id: str
    name: str
    team: str
    tier: str
    region: str
    deployments: float
    incidents: float
    conversion_loss: tuple[float, float, float]  # of a session during a sev1, sev2, sev3
    tickets: float


class Route(NamedTuple):
    """A route: requests a minute, middle latency and its spread, how often 4xx."""

    service: int
    method: str
    path: str
    rate: float
    median_ms: float
    spread: float
    client_errors: float
    office: bool  # follows office hours rather than shopping hours


COUNTRIES = (
    Country("FR", 0.34, 0.12, 1.06, 0),
    Country("DE", 0.18, 0.20, 1.02, 0),
    Country("ES", 0.11, 0.26, 0.92, 0),
    Country("IT", 0.10, 0.18, 0.90, 0),
    Country("BE", 0.07, 0.10, 1.08, 0),
    Country("NL", 0.06, 0.22, 1.05, 0),
    Country("GB", 0.08, 0.06, 0.94, 1),
    Country("US", 0.06, 0.45, 0.86, 7),
)

DEVICES = ("desktop", "mobile", "tablet", "api")
DEVICE_CONVERSION = (1.25, 0.86, 0.98, 1.0)
CHANNELS = (
    Channel("web", 0.56, 0.10, 0.0352, (0.52, 0.40, 0.08, 0.0), 0.00),
    Channel("mobile_app", 0.32, 0.34, 0.0410, (0.0, 0.88, 0.12, 0.0), 0.00),
    Channel("marketplace", 0.09, 0.20, 0.0410, (0.45, 0.48, 0.07, 0.0), 0.45),
    Channel("partner_api", 0.03, 0.28, 0.0735, (0.0, 0.0, 0.0, 1.0), 0.40),
)
PARTNER = 3

SEGMENTS = ("consumer", "business", "developer")
SEGMENT_SHARE = (0.79, 0.14, 0.07)
BUSINESS, DEVELOPER = 1, 2

CATEGORIES = (
    Category("electronics", 0.18, 89.0, 0.20, 0.082, 12, 1.5),
    Category("home", 0.22, 34.0, 0.40, 0.043, 10, 1.2),
    Category("outdoor", 0.14, 45.0, 0.36, 0.051, 7, 1.8),
    Category("beauty", 0.14, 19.0, 0.56, 0.018, 5, 1.2),
    Category("books", 0.14, 14.0, 0.29, 0.012, 12, 1.6),
    Category("toys", 0.13, 22.0, 0.38, 0.033, 12, 2.6),
    Category("api_credits", 0.05, 60.0, 0.82, 0.009, 3, 1.1),
)
API_CREDITS = 6

SERVICES = (
    Service(
        "storefront", "Storefront", "web", "critical", "eu-west-paris",
        0.28, 0.24, (0.70, 0.32, 0.09), 1.0,
    ),
    Service(
        "checkout", "Checkout", "payments", "critical", "eu-central-frankfurt",
        0.22, 0.26, (0.88, 0.42, 0.12), 1.3,
    ),
    Service(
        "search", "Search", "web", "standard", "eu-west-paris",
        0.15, 0.16, (0.42, 0.20, 0.06), 0.6,
    ),
    Service(
        "public_api", "Public API", "api", "critical", "eu-west-dublin",
        0.22, 0.22, (0.0, 0.0, 0.0), 0.8,
    ),
    Service(
        "accounts", "Accounts", "identity", "standard", "eu-central-frankfurt",
        0.13, 0.12, (0.0, 0.0, 0.0), 0.7,
    ),
)  # fmt: skip
STOREFRONT, CHECKOUT, SEARCH, PUBLIC_API, ACCOUNTS = range(5)

ROUTES = (
    Route(STOREFRONT, "GET", "/", 11.5, 92, 4.6, 0.004, office=False),
    Route(STOREFRONT, "GET", "/products/{id}", 16.5, 104, 4.5, 0.012, office=False),
    Route(CHECKOUT, "POST", "/cart", 4.6, 118, 4.4, 0.015, office=False),
    Route(CHECKOUT, "POST", "/checkout", 3.2, 196, 4.2, 0.034, office=False),
    Route(SEARCH, "GET", "/search", 10.7, 138, 3.9, 0.003, office=False),
    Route(PUBLIC_API, "GET", "/v1/orders", 6.6, 84, 4.2, 0.030, office=True),
    Route(PUBLIC_API, "POST", "/v1/quotes", 5.0, 150, 4.0, 0.041, office=True),
    Route(PUBLIC_API, "GET", "/v1/stock/{id}", 7.4, 58, 4.4, 0.022, office=True),
    Route(ACCOUNTS, "POST", "/login", 3.1, 158, 4.6, 0.060, office=False),
    Route(ACCOUNTS, "GET", "/account", 3.2, 96, 4.5, 0.018, office=False),
)
BOUNDS_MS = (50, 100, 200, 300, 500, 1000, 2500, 5000)

SEVERITIES = ("sev1", "sev2", "sev3")
CAUSES = ("deployment", "capacity", "dependency", "network", "database", "configuration")
# Of the requests that fail, the share that gets no answer rather than a 5xx.
TIMEOUT_SHARE = (0.15, 0.60, 0.50, 0.70, 0.40, 0.10)

TEAMS = ("orders", "payments", "api_support", "accounts")
PRIORITIES = ("urgent", "high", "normal", "low")
TOPICS = (
    "where_is_my_order", "damaged_item", "return_request", "invoice_question",
    "payment_declined", "refund_status", "api_integration", "api_quota", "address_change",
    "password_reset", "site_unavailable", "checkout_failure", "cannot_find_product",
    "api_errors", "cannot_log_in",
)  # fmt: skip


SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

BUSINESS_ZONE = ZoneInfo("Europe/Paris")
MONTHS = 25
REQUEST_MONTHS = 13
LINE_DAYS = 7

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


def _month_start(day: date, months_back: int) -> date:
    count = day.year * 12 + day.month - 1 - months_back
    return date(count // 12, count % 12 + 1, 1)


@dataclass(frozen=True)
class Plan:
    """What is asked for. Instants are microseconds since 1970 in UTC."""

    seed: int
    end: date
    scale: float

    @cached_property
    def start(self) -> date:
        """First business day: the first of the month 24 months before the month of the end."""
        return _month_start(self.end, MONTHS - 1)

    @cached_property
    def days(self) -> NDArray[np.datetime64]:
        """All days from the first to the last."""
        return np.arange(
            np.datetime64(self.start, "D"),
            np.datetime64(self.end + timedelta(days=1), "D"),
            dtype="datetime64[D]",
        )

    @cached_property
    def midnights(self) -> Ints:
        """Instant at which each business day begins, and the one after the last day."""
        every = (self.start + timedelta(days=n) for n in range(len(self.days) + 1))
        return np.array(
            [
                int(datetime(d.year, d.month, d.day, tzinfo=BUSINESS_ZONE).timestamp()) * SECOND
                for d in every
            ],
            dtype=np.int64,
        )

    @cached_property
    def utc_midnights(self) -> Ints:
        """Instant at which each UTC day begins."""
        return self.days.astype("datetime64[us]").astype(np.int64)

    @cached_property
    def last_instant(self) -> int:
        """Last second of the last business day; nothing that people do comes later."""
        return int(self.midnights[-1]) - SECOND

    @cached_property
    def months(self) -> list[slice]:
        """The days of each month, as slices of `days`."""
        first = np.flatnonzero(np.r_[True, np.diff(self.month_of_day) != 0])
        return [
            slice(int(a), int(b)) for a, b in zip(first, [*first[1:], len(self.days)], strict=True)
        ]

    @cached_property
    def month_of_day(self) -> Ints:
        """Months since 1970 of each day."""
        return self.days.astype("datetime64[M]").astype(np.int64)

    def stream(self, table: str, block: int = 0) -> Generator:
        """An independent random stream for one block of one table."""
        key = (zlib.crc32(table.encode()), block)
        return Generator(PCG64(SeedSequence(self.seed, spawn_key=key)))

    def volume(self, at_full_size: float) -> int:
        """How many rows of what there are `at_full_size` at this scale; at least one."""
        return max(1, round(at_full_size * self.scale))

    def instant(self, day: Ints, seconds: Floats) -> Ints:
        """Instants of local clock times on business days, to the second.

        A day of 23 or 25 hours is squeezed or stretched, so that no event leaves its day.
        """
        length = np.diff(self.midnights)[day] // SECOND
        return self.midnights[day] + (seconds * (length / 86_400)).astype(np.int64) * SECOND

    def day_of(self, instant: Ints) -> Ints:
        """Index of the business day of each instant."""
        return np.searchsorted(self.midnights, instant, side="right").astype(np.int64) - 1


# Demand in the middle of each month, January first; 1 is an ordinary month.
MONTH_DEMAND = (1.00, 0.92, 0.95, 0.96, 0.97, 1.00, 0.88, 0.80, 0.98, 1.05, 1.18, 1.34)
# Demand by day of the week, Monday first.
FRIDAY, SATURDAY, SUNDAY = 4, 5, 6
SHOP_WEEK = (1.06, 1.00, 0.98, 0.97, 0.94, 0.92, 1.13)
OFFICE_WEEK = (1.30, 1.34, 1.32, 1.28, 1.12, 0.34, 0.30)

# Weight of each hour of a local day.
SHOP_DAY = (
    10, 6, 4, 3, 3, 5, 12, 26, 40, 50, 56, 58,
    64, 60, 54, 52, 54, 60, 68, 78, 90, 84, 56, 26,
)  # fmt: skip
OFFICE_DAY = (2, 1, 1, 1, 1, 2, 6, 20, 62, 90, 98, 92, 66, 78, 96, 94, 86, 66, 36, 20, 14, 10, 6, 3)

HOLIDAY_DEMAND = 0.82


class Promotion(NamedTuple):
    """A sale: days it runs (last included) and what it does."""

    name: str
    first: date
    last: date
    sessions: float
    conversion: float
    discount: float


def easter(year: int) -> date:
    """Easter Sunday, by the anonymous Gregorian algorithm (Meeus, 1991)."""
    a, b, c = year % 19, year // 100, year % 100
    h = (19 * a + b - b // 4 - (b - (b + 8) // 25 + 1) // 3 + 15) % 30
    k = (32 + 2 * (b % 4) + 2 * (c // 4) - h - c % 4) % 7
    m = (a + 11 * h + 22 * k) // 451
    month, day = divmod(h + k - 7 * m + 114, 31)
    return date(year, month, day + 1)


def french_holidays(year: int) -> list[date]:
    """The eleven public holidays of France."""
    fixed = [(1, 1), (5, 1), (5, 8), (7, 14), (8, 15), (11, 1), (11, 11), (12, 25)]
    moving = [easter(year) + timedelta(days=n) for n in (1, 39, 50)]
    return sorted([date(year, m, d) for m, d in fixed] + moving)


def promotions(plan: Plan) -> list[Promotion]:
    """The sales of the period: the week of Black Friday to Cyber Monday, and one in June."""
    calendar = []
    for year in range(plan.start.year, plan.end.year + 1):
        november = date(year, 11, 1)
        friday = november + timedelta(days=(3 - november.weekday()) % 7 + 22)
        calendar += [
            Promotion("june_sale", date(year, 6, 15), date(year, 6, 24), 1.30, 1.16, 0.12),
            Promotion(
                "black_friday",
                friday - timedelta(days=4),
                friday + timedelta(days=3),
                1.70,
                1.30,
                0.18,
            ),
        ]
    return [p for p in calendar if p.last >= plan.start and p.first <= plan.end]


def promotion_days(plan: Plan, promotion: Promotion) -> Flags:
    """Which days of the plan the promotion covers."""
    return (plan.days >= np.datetime64(promotion.first)) & (
        plan.days <= np.datetime64(promotion.last)
    )


def promotion_factor(plan: Plan, effect: str) -> Floats:
    """Product of one effect (`sessions`, `conversion`, `discount` as 1 - x) by day."""
    factor = np.ones(len(plan.days))
    for promotion in promotions(plan):
        size = getattr(promotion, effect)
        covered = promotion_days(plan, promotion)
        factor[covered] *= 1 - size if effect == "discount" else size
    return factor


def weekdays(plan: Plan) -> NDArray[np.int64]:
    """Day of the week of each day, Monday is 0."""
    return (plan.days.astype(np.int64) + 3) % 7


def holidays(plan: Plan) -> Flags:
    """Which days are public holidays in France."""
    every = [d for y in range(plan.start.year, plan.end.year + 1) for d in french_holidays(y)]
    return np.isin(plan.days, np.array(every, dtype="datetime64[D]"))


def yearly(plan: Plan) -> Floats:
    """Demand of the season by day: smooth between the middles of the months."""
    position = (plan.days - plan.days.astype("datetime64[Y]")).astype(np.int64) / 365.25 * 12 - 0.5
    smooth: Floats = np.interp(position, np.arange(12), MONTH_DEMAND, period=12).astype(np.float64)
    return smooth


def growth(plan: Plan, by_year: float) -> Floats:
    """Level by day that grows by a share each year; 1 in the middle of the period."""
    day = np.arange(len(plan.days))
    level: Floats = np.exp(np.log1p(by_year) * (day - len(day) / 2) / 365.25)
    return level


def shop_demand(plan: Plan) -> Floats:
    """Season x week x holiday x promotion of the shop by day, without growth."""
    week = np.array(SHOP_WEEK)[weekdays(plan)]
    feast = np.where(holidays(plan), HOLIDAY_DEMAND, 1.0)
    demand: Floats = yearly(plan) * week * feast * promotion_factor(plan, "sessions")
    return demand


def office_demand(plan: Plan) -> Floats:
    """Week x holiday of what people do at work, by day."""
    week: Floats = np.array(OFFICE_WEEK)[weekdays(plan)]
    return np.where(holidays(plan), OFFICE_WEEK[-1], week)


def clock(rng: Generator, count: int, shape: Sequence[float]) -> Floats:
    """Seconds of the local day, spread as the 24 hourly weights say."""
    bounds = np.r_[0.0, np.cumsum(shape)] / np.sum(shape)
    seconds: Floats = np.interp(rng.random(count), bounds, np.arange(25)) * 3600
    return np.minimum(seconds, 86_399.0)

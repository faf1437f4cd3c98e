"""The demo company: where it sells, what it sells, what it runs. Only constants."""

from __future__ import annotations

from typing import NamedTuple


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

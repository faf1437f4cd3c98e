"""What a failure puts at stake while it goes on: as many orders as go with the requests that fail.

    orders at stake = failed requests x orders / requests, of the same service, over 28 days
    revenue at stake = orders at stake x average order value over the same days

It is a share and no bound: who tries again orders all the same, and a purchase of many requests may
end at one. What was lost is told afterwards, against quiet weeks (see `impact`).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cadran.core.warehouse.dialects import literal

if TYPE_CHECKING:
    from cadran.insight.source import Source

METHOD = "exposure 1"
DAYS = 28
_ERRORS, _REQUESTS, _ORDERS, _VALUE = (
    "error_rate", "request_count", "order_count", "average_order_value",
)  # fmt: skip
_SERVICE = "service__service_name"
EXPOSED = (_ERRORS, _REQUESTS, _ORDERS, _VALUE)  # what has to be seen whole


@dataclass(frozen=True, slots=True)
class Exposure:
    """What goes with the failed requests of a service since an instant.

    Attributes:
        service: its name.
        since: from when on requests are counted (UTC).
        failed: requests that ended with an error of the server since then.
        orders: at stake.
        revenue: of those orders, in `unit`; None where it may not be seen.
        unit: of the revenue.
        first: of the days by which orders per request and the value of an order are known.
        last: of them.
    """

    service: str
    since: dt.datetime
    failed: int
    orders: float
    revenue: float | None
    unit: str
    first: dt.date
    last: dt.date
    method: str = METHOD


def exposure(source: Source, service: str, since: dt.datetime) -> Exposure | None:
    """What a failure of a service puts at stake; None where what it takes is not known or seen.

    Args:
        source: where numbers come from; live where the failure is to be seen as it goes on.
        service: its name, as requests are told apart by it.
        since: an instant of UTC; that minute is counted.

    Raises:
        CadranError: as `Layer.query`.
    """
    cards = {card.name: card for card in source.kpis}
    if not {_ERRORS, _REQUESTS, _ORDERS} <= cards.keys() or any(
        _SERVICE not in cards[name].dimensions for name in (_ERRORS, _REQUESTS)
    ):
        return None
    last = source.complete_through(_ORDERS)
    if last is None:
        return None
    first, where = last - dt.timedelta(days=DAYS - 1), [f"{_SERVICE} = {literal(service)}"]
    minute = since.astimezone(dt.UTC).replace(second=0, microsecond=0, tzinfo=None)
    [now] = source.rows([_ERRORS, _REQUESTS], where=where, start=minute)
    [usual] = source.rows([_REQUESTS], where=where, start=first, end=last)
    value = [_VALUE] if _VALUE in cards else []
    [sold] = source.rows([_ORDERS, *value], start=first, end=last)
    requests, orders = usual[_REQUESTS], sold[_ORDERS]
    if not now[_ERRORS] or not requests or not orders:
        return None
    failed = round(now[_ERRORS] * now[_REQUESTS])
    stake = failed * orders / requests
    each = sold.get(_VALUE)
    return Exposure(
        service, since, failed, stake, None if each is None else stake * float(each),
        cards[_VALUE].unit if value else "", first, last,
    )  # fmt: skip

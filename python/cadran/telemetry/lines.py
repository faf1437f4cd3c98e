"""Lines of an access log as they come, by the expressions of `cadran ingest`."""

from __future__ import annotations

import datetime as dt
import re
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache

from cadran.telemetry import access_log
from cadran.telemetry.records import MILLISECOND, SECOND, Request, short

_LINE, _REQUEST = re.compile(access_log.LINE), re.compile(access_log.REQUEST)
_REQUEST_TIME, _IDENTIFIER = re.compile(access_log.REQUEST_TIME), re.compile(access_log.IDENTIFIER)
_ORIGIN, _PATH = re.compile(r"^[a-zA-Z]+://[^/]*"), re.compile(r"^[^?#]*")
_MALFORMED = "(malformed)"
_LONGEST = 100_000  # characters of a line
_LONGEST_TIME = 10**12  # seconds of a request


def request(service: str, line: str, key: str) -> Request | None:
    """The request that a line tells of; None where it is no line of an access log."""
    match = _LINE.match(line[:_LONGEST].rstrip("\r\n"))
    if match is None:
        return None
    at, status = _instant(match[1]), int(match[3])
    if at is None or not 100 <= status <= 599:  # noqa: PLR2004 - the statuses there are
        return None
    target = _REQUEST.match(match[2])
    time = _REQUEST_TIME.search(match[4] or "")
    duration = None
    if time and Decimal(time[1]) < _LONGEST_TIME:
        milliseconds = (Decimal(time[1]) * 1000).to_integral_value(ROUND_HALF_UP)
        duration = int(milliseconds) * MILLISECOND
    return Request(
        service,
        short(route(target[2])) if target else _MALFORMED,
        at,
        target[1].upper() if target else None,
        status,
        duration,
        is_timeout=False,
        weight=1,
        key=key,
    )


@lru_cache(maxsize=10_000)
def route(target: str) -> str:
    """The path of a target with its identifiers as `{id}`."""
    match = _PATH.match(_ORIGIN.sub("", target))
    path = (match[0] if match else "") or "/"
    return "/".join("{id}" if _IDENTIFIER.match(part) else part for part in path.split("/"))


@lru_cache(maxsize=1000)
def _instant(text: str) -> int | None:
    try:
        at = dt.datetime.strptime(text, "%d/%b/%Y:%H:%M:%S %z")
    except ValueError:
        return None
    return int(at.timestamp()) * SECOND

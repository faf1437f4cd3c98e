"""Uptime checks: HTTP, TCP, TLS, each at its own rhythm; a result is taken in like any body."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import http.client
import json
import logging
import random
import socket
import ssl
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from cadran.telemetry.settings import Check

_LOG = logging.getLogger("cadran.collect")
_UP = 400  # statuses below it are up
_DAY = 86_400


async def watch(checks: Iterable[Check], take: Callable[[bytes], Awaitable[object]]) -> None:
    """Run the checks until it is cancelled.

    Args:
        checks: what is checked.
        take: takes the JSON of a result.
    """
    async with asyncio.TaskGroup() as group:
        for check in checks:
            group.create_task(_repeat(check, take))


async def _repeat(check: Check, take: Callable[[bytes], Awaitable[object]]) -> None:
    # Checks that began together would go on to hit their targets together.
    await asyncio.sleep(random.uniform(0, min(check.every, 1.0)))  # noqa: S311 - no secret
    at = time.monotonic()
    while True:
        result = await asyncio.to_thread(run, check)
        try:
            await take(json.dumps(result).encode())
        except Exception as problem:  # noqa: BLE001 - the next check is as good
            _LOG.error("the check of %s is lost: %s", check.service, problem)
        at = max(at + check.every, time.monotonic())
        await asyncio.sleep(at - time.monotonic())


def run(check: Check) -> dict[str, object]:
    """The result of one check, as it may be posted."""
    at, began = dt.datetime.now(dt.UTC), time.perf_counter()
    try:
        is_up = _is_up(check)
    except (OSError, http.client.HTTPException, ValueError) as problem:
        _LOG.info("%s is down: %s", check.service, problem)
        is_up = False
    elapsed = round((time.perf_counter() - began) * 1000)
    return {
        "type": "probe", "service": check.service, "region": check.region,
        "probed_at": at.isoformat(), "is_up": is_up, "response_ms": elapsed if is_up else None,
    }  # fmt: skip


def _is_up(check: Check) -> bool:
    if check.http:
        return _http(check.http, check.timeout) < _UP
    host, port = _host(check.tcp or check.tls or "")
    with socket.create_connection((host, port), check.timeout) as connection:
        if check.tcp:
            return True
        with ssl.create_default_context().wrap_socket(connection, server_hostname=host) as secure:
            certificate = secure.getpeercert() or {}
    ends = ssl.cert_time_to_seconds(str(certificate["notAfter"]))
    days = (ends - time.time()) / _DAY
    if days < check.days:
        _LOG.warning("the certificate of %s ends in %.1f days", check.tls, days)
    return days >= check.days


def _http(address: str, timeout: float) -> int:
    split = urlsplit(address)
    kind = http.client.HTTPSConnection if split.scheme == "https" else http.client.HTTPConnection
    connection = kind(split.hostname or "", split.port, timeout=timeout)
    with contextlib.closing(connection):
        path = (split.path or "/") + (f"?{split.query}" if split.query else "")
        connection.request("GET", path, headers={"User-Agent": "cadran", "Connection": "close"})
        return connection.getresponse().status


def _host(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)

"""The demo company's requests as they happen: spans of the OpenTelemetry SDK and its exporter."""

from __future__ import annotations

import socket
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import numpy as np
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult
from opentelemetry.trace import SpanKind

from cadran_demo.telemetry import ERROR_5XX, TIMEOUT, TIMEOUT_MS
from cadran_demo.world import ROUTES, SERVICES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.random import Generator
    from opentelemetry.sdk.trace import ReadableSpan

    from cadran_demo.world import Route

OUTAGE = 0.6  # share of the requests that fail while a service is out
_TURN = 0.1  # seconds of requests that are drawn at once
_SAY_EVERY = 5.0  # seconds
_BATCH, _QUEUE = 512, 65_536
_DELAY = 500  # milliseconds until spans are sent
_MILLISECOND = 1_000_000  # nanoseconds


@dataclass(slots=True)
class Sent:
    """What was sent: requests, those that failed, and those that the collector took."""

    requests: int = 0
    failed: int = 0
    taken: int = 0


class _Exporter(OTLPSpanExporter):
    """Counts what the collector took."""

    def __init__(self, address: str, sent: Sent, lock: threading.Lock) -> None:
        super().__init__(endpoint=f"{address}/v1/traces")
        self._sent, self._lock = sent, lock

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = super().export(spans)
        if result is SpanExportResult.SUCCESS:
            with self._lock:
                self._sent.taken += len(spans)
        return result


def send(
    address: str,
    *,
    rate: float = 50.0,
    outage: str | None = None,
    seconds: float | None = None,
    say: Callable[[str], None] = print,
) -> Sent:
    """Send requests until interrupted; returns what was sent.

    Args:
        address: of the collector, such as `http://127.0.0.1:4318`.
        rate: requests a second, over all services.
        outage: the service that fails most of its requests.
        seconds: for how long; None goes on until Ctrl-C.
        say: is told every few seconds how far it is.

    Raises:
        ConnectionError: nobody listens at the address.
        LookupError: there is no such service.
    """
    names = [service.service_id for service in SERVICES]
    if outage is not None and outage not in names:
        raise LookupError(f"There is no service '{outage}'; the demo has {', '.join(names)}.")
    place = urlsplit(address)
    try:
        socket.create_connection((place.hostname or "", place.port or 4318), timeout=5).close()
    except OSError as problem:
        raise ConnectionError(f"Nobody listens at {address}: start `cadran collect`.") from problem
    sent, lock = Sent(), threading.Lock()
    providers = []
    for name in names:
        provider = TracerProvider(resource=Resource({"service.name": name}))
        exporter = _Exporter(address, sent, lock)
        batches = BatchSpanProcessor(exporter, _QUEUE, _DELAY, _BATCH)
        provider.add_span_processor(batches)
        providers.append(provider)
    tracers = [provider.get_tracer("cadran_demo") for provider in providers]
    rng = np.random.default_rng()
    shares = np.array([route.rate for route in ROUTES]) / sum(route.rate for route in ROUTES)
    began = said = due = time.monotonic()
    try:
        while seconds is None or due - began < seconds:
            due += _TURN
            for route, count in zip(ROUTES, rng.poisson(rate * _TURN * shares), strict=True):
                bad = OUTAGE if names[route.service] == outage else 0.0
                for _ in range(count):
                    attributes, duration = _request(rng, route, bad)
                    now = time.time_ns()
                    span = tracers[route.service].start_span(
                        f"{route.method} {route.path}", kind=SpanKind.SERVER,
                        attributes=attributes, start_time=now - duration,
                    )  # fmt: skip
                    span.end(now)
                    sent.requests += 1
                    sent.failed += int(attributes["http.response.status_code"]) >= 500  # noqa: PLR2004 - HTTP
            if due - said >= _SAY_EVERY:
                said = due
                say(_sentence(sent, outage))
            time.sleep(max(0.0, due - time.monotonic()))
    except KeyboardInterrupt:
        pass
    finally:
        for provider in providers:
            provider.shutdown()
    say(_sentence(sent, outage))
    return sent


def _request(rng: Generator, route: Route, bad: float) -> tuple[dict[str, str | int], int]:
    """The attributes of a request, and its duration in nanoseconds."""
    luck = rng.random()
    error, timeout = ERROR_5XX + bad * 0.8, TIMEOUT + bad * 0.2
    # Durations are log-logistic: the share up to x is 1 / (1 + (median / x) ** spread).
    draw = max(rng.random(), 1e-12)
    milliseconds = min(route.median_ms * (draw / (1 - draw)) ** (1 / route.spread), TIMEOUT_MS - 1)
    status = 201 if route.method == "POST" else 200
    if luck < error:
        status = 503
    elif luck < error + timeout:
        status, milliseconds = 504, TIMEOUT_MS
    elif rng.random() < route.client_errors:
        status = 404
    attributes: dict[str, str | int] = {
        "http.request.method": route.method, "http.route": route.path, "url.scheme": "https",
        "http.response.status_code": status,
    }  # fmt: skip
    return attributes, int(milliseconds * _MILLISECOND)


def _sentence(sent: Sent, outage: str | None) -> str:
    where = f" ({outage} is out)" if outage else ""
    return f"{sent.requests:,} requests, {sent.failed:,} failed{where}; {sent.taken:,} taken"

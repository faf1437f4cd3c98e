"""OTLP: traces, metrics and logs, read into requests and points.

- A span of kind SERVER is one request: of the HTTP route, status and duration that it says. Without
  an HTTP status it failed where its status is ERROR. A timeout is `error.type: timeout` or the gRPC
  status 4; a gateway's 504 is an error 5xx, as in an access log.
- `http.server.request.duration`, and the metrics that a mapping names, count requests. A histogram
  fills the latency buckets where its own bounds hold those of the contract; an exponential one has
  no such bounds.
- A log record with an HTTP status, or whose body is a line of an access log, is one request.

A span that stands for others because its trace was sampled is refused, or weighed where the
settings say so and its weight is a whole number.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from cadran.telemetry import lines
from cadran.telemetry.records import (
    MOST,
    NO_ROUTE,
    Batch,
    Point,
    Request,
    UnreadableError,
    service_name,
    short,
)
from cadran.telemetry.settings import Mapping

if TYPE_CHECKING:
    from collections.abc import Iterable
    from collections.abc import Mapping as Attributes

    from google.protobuf.message import Message
    from opentelemetry.proto.common.v1.common_pb2 import KeyValue
    from opentelemetry.proto.metrics.v1.metrics_pb2 import (
        HistogramDataPoint,
        Metric,
        NumberDataPoint,
    )

    from cadran.telemetry.records import Rules

_SERVER = 2
_ERROR = 2
_DELTA, _CUMULATIVE = 1, 2
_DEADLINE = "4"
_NEAR = 1e-3  # a weight is a whole number where it is one within a thousandth
_ALWAYS = 1 << 56
_HTTP = Mapping(name="http.server.request.duration")
_STATUSES = ("http.response.status_code", "http.status_code")
_METHODS = ("http.request.method", "http.method")
_PATHS = ("url.path", "http.target")
_SELECTED = frozenset(
    (
        *_STATUSES, *_METHODS, *_PATHS, "http.route", "error.type", "rpc.grpc.status_code",
        "http.server.request.duration",
    )
)  # fmt: skip
_STATUS_OF = {str(status): status for status in range(100, 600)}


def traces(body: bytes, rules: Rules, received: int, *, is_json: bool) -> Batch:
    """Requests from the SERVER spans of a body.

    Raises:
        UnreadableError: it is no ExportTraceServiceRequest.
    """
    batch = Batch()
    earliest, latest = rules.window(received)
    export = _message(ExportTraceServiceRequest(), body, is_json=is_json)
    for resource in export.resource_spans:
        service = _service(resource.resource.attributes)
        elsewhere = rules.other_origin(service, "traces")
        declared = rules.sampling.get(service, 1.0)
        for scope in resource.scope_spans:
            for span in scope.spans:
                if span.kind != _SERVER:
                    batch.ignored += 1
                    continue
                if elsewhere:
                    batch.reject(elsewhere)
                    continue
                start, end = span.start_time_unix_nano, span.end_time_unix_nano
                if not (earliest <= start <= latest and start <= end and span.span_id):
                    batch.reject(
                        rules.outside
                        if start <= end and span.span_id
                        else "a span has no span_id, or ends before it starts."
                    )
                    continue
                weight = _weight(span.trace_state, declared)
                if weight != 1:
                    if rules.settings.sampled == "refuse" or weight == 0:
                        batch.reject(_sampled(service, span.trace_state, weight))
                        continue
                    batch.note(f"spans of {service} are weighed: each is {weight} requests.")
                attributes = _selected(span.attributes)
                status, is_timeout = _outcome(attributes)
                if status is None:
                    status = 500 if span.status.code == _ERROR else 200
                batch.requests.append(
                    Request(
                        service, _route(attributes, span.name), start,
                        _method(attributes), status, end - start, is_timeout, weight,
                        f"{span.trace_id.hex()}-{span.span_id.hex()}",
                    )
                )  # fmt: skip
    return batch


def metrics(body: bytes, rules: Rules, received: int, *, is_json: bool) -> Batch:
    """Points from the counters and histograms of a body that count requests.

    Raises:
        UnreadableError: it is no ExportMetricsServiceRequest.
    """
    batch = Batch()
    mappings = {_HTTP.name: _HTTP} | {mapping.name: mapping for mapping in rules.settings.metrics}
    export = _message(ExportMetricsServiceRequest(), body, is_json=is_json)
    for resource in export.resource_metrics:
        service = _service(resource.resource.attributes)
        origin = _digest(_pairs(resource.resource.attributes))
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                mapping = mappings.get(metric.name)
                if mapping is None:
                    batch.ignored += 1
                    continue
                reader = _MetricReader(batch, rules, received, mapping, service, metric)
                reader.read(f"{origin}/{scope.scope.name}/{metric.name}")
    return batch


def logs(body: bytes, rules: Rules, received: int, *, is_json: bool) -> Batch:
    """Requests from the access-log shaped records of a body.

    Raises:
        UnreadableError: it is no ExportLogsServiceRequest.
    """
    batch = Batch()
    earliest, latest = rules.window(received)
    export = _message(ExportLogsServiceRequest(), body, is_json=is_json)
    body_key = hashlib.blake2b(body, digest_size=8).hexdigest()
    number = 0
    for resource in export.resource_logs:
        service = _service(resource.resource.attributes)
        elsewhere = rules.other_origin(service, "logs")
        for scope in resource.scope_logs:
            for record in scope.log_records:
                number += 1
                request = _logged(service, record, f"{body_key}-{number}")
                if request is None:
                    batch.ignored += 1
                elif elsewhere:
                    batch.reject(elsewhere)
                elif not earliest <= request.at <= latest:
                    batch.reject(rules.outside)
                else:
                    batch.requests.append(request)
    return batch


class _MetricReader:
    """Reads the points of one metric that a mapping names."""

    def __init__(  # noqa: PLR0913, PLR0917 - what a point depends on
        self,
        batch: Batch,
        rules: Rules,
        received: int,
        mapping: Mapping,
        service: str,
        metric: Metric,
    ) -> None:
        self._batch, self._rules, self._mapping = batch, rules, mapping
        self._service, self._metric = service, metric
        self._earliest, self._latest = rules.window(received)
        names = (mapping.service, mapping.route, mapping.status)
        self._names = _SELECTED | {name for name in names if name}

    def read(self, key: str) -> None:
        """Read all points; the key is that of the metric in its resource."""
        kind = self._metric.WhichOneof("data")
        data = getattr(self._metric, kind) if kind else None
        count = len(data.data_points) if data is not None else 1
        if (
            data is None
            or kind not in ("sum", "histogram", "exponential_histogram")
            or (kind == "sum" and not data.is_monotonic)
        ):
            self._batch.reject(
                f"{self._metric.name} is a {kind or 'metric without data'}; requests are counted"
                " from a monotonic sum or a histogram.",
                count,
            )
            return
        if data.aggregation_temporality not in (_DELTA, _CUMULATIVE):
            self._batch.reject(f"{self._metric.name} has no aggregation temporality.", count)
            return
        scale = {"s": 1000.0, "ms": 1.0}.get(self._metric.unit or self._mapping.unit)
        if kind == "histogram" and scale is None:
            self._batch.reject(
                f"{self._metric.name} has the unit {self._metric.unit}; it takes s or ms.", count
            )
            return
        for point in data.data_points:
            self._point(point, kind, key, scale or 1.0, data.aggregation_temporality == _DELTA)

    def _point(self, point: Any, kind: str, key: str, scale: float, is_delta: bool) -> None:  # noqa: FBT001
        mapping = self._mapping
        attributes = _selected(point.attributes, self._names)
        service = self._service
        if mapping.service and mapping.service in attributes:
            service = service_name(attributes[mapping.service])
        elsewhere = self._rules.other_origin(service, "metrics")
        start, time = point.start_time_unix_nano, point.time_unix_nano
        if elsewhere:
            self._batch.reject(elsewhere)
        elif not self._earliest <= time <= self._latest:
            self._batch.reject(self._rules.outside)
        elif not start or start > time:
            self._batch.reject(
                f"a point of {self._metric.name} has no start before its time: what it counts"
                " cannot be told."
            )
        else:
            values, bounds = self._values(point, kind, scale)
            if values is None:
                return
            status, is_timeout = _outcome(attributes, (mapping.status, *_STATUSES))
            route = attributes.get(mapping.route)
            self._batch.points.append(
                Point(
                    key=_digest([(key, repr(bounds)), *_pairs(point.attributes)]), target="",
                    service=service,
                    route=short(route) if route is not None else NO_ROUTE, status=status or 200,
                    is_timeout=is_timeout, start=start, time=time, values=values, bounds=bounds,
                    le=None, is_delta=is_delta,
                )
            )  # fmt: skip

    def _values(
        self, point: Any, kind: str, scale: float
    ) -> tuple[tuple[int, ...] | None, tuple[float, ...] | None]:
        if kind == "sum":
            return self._sum(point), None
        if kind == "exponential_histogram":
            self._batch.note(
                f"{self._metric.name} of {self._service} is an exponential histogram, whose bounds"
                " are never those of the contract: it is counted without latency. Give the SDK a"
                " view with explicit bounds (docs/collect.md)."
            )
            return (point.count,), None
        return self._histogram(point, scale)

    def _sum(self, point: NumberDataPoint) -> tuple[int, ...] | None:
        value = point.as_double if point.WhichOneof("value") == "as_double" else point.as_int
        if not 0 <= value < math.inf or value != int(value):
            self._batch.reject(f"{self._metric.name} counts {value}; a count is a whole number.")
            return None
        return (int(value),)

    def _histogram(
        self, point: HistogramDataPoint, scale: float
    ) -> tuple[tuple[int, ...] | None, tuple[float, ...] | None]:
        buckets = tuple(point.bucket_counts)
        if not buckets:
            return (point.count,), None
        bounds = tuple(bound * scale for bound in point.explicit_bounds)
        if (
            len(buckets) != len(bounds) + 1
            or sum(buckets) != point.count
            or list(bounds) != sorted(set(bounds))
        ):
            self._batch.reject(f"a histogram of {self._metric.name} does not add up.")
            return None, None
        return (point.count, *buckets), bounds


def _message(message: Any, body: bytes, *, is_json: bool) -> Any:
    try:
        if not is_json:
            message.ParseFromString(body)
            return message
        from google.protobuf import json_format

        return json_format.ParseDict(
            _with_bytes(json.loads(body)), message, ignore_unknown_fields=True
        )
    except DecodeError:
        raise UnreadableError(f"the body is no {type(message).__name__} in protobuf.") from None
    except RecursionError:
        raise UnreadableError("the body is nested too deeply.") from None
    except Exception as problem:
        if not is_json:
            raise
        reason = " ".join(str(problem).split())[:200]
        raise UnreadableError(
            f"the body is no {type(message).__name__} in JSON: {reason}"
        ) from None


def _with_bytes(value: Any) -> Any:
    """OTLP's JSON with its hexadecimal ids as protobuf's JSON wants bytes."""
    if isinstance(value, list):
        return [_with_bytes(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: base64.b64encode(bytes.fromhex(item)).decode()
        if key in ("traceId", "spanId", "parentSpanId") and isinstance(item, str)
        else _with_bytes(item)
        for key, item in value.items()
    }


def answer(kind: str, rejected: int, message: str) -> Message:
    """What OTLP answers: how many entries were refused, and why."""
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
        ExportMetricsServiceResponse,
    )
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
        ExportTraceServiceResponse,
    )

    kinds = {
        "traces": (ExportTraceServiceResponse, "rejected_spans"),
        "metrics": (ExportMetricsServiceResponse, "rejected_data_points"),
        "logs": (ExportLogsServiceResponse, "rejected_log_records"),
    }
    of_kind, name = kinds[kind]
    response: Message = of_kind()
    if rejected or message:
        partial = response.partial_success
        setattr(partial, name, rejected)
        partial.error_message = message
    return response


def _service(attributes: Iterable[KeyValue]) -> str:
    for entry in attributes:
        if entry.key == "service.name":
            return service_name(entry.value.string_value)
    return service_name("")


def _selected(entries: Iterable[KeyValue], names: frozenset[str] | None = None) -> dict[str, str]:
    """The attributes that say something here; the others are not even looked at."""
    keys = names or _SELECTED
    values = {}
    for entry in entries:
        key = entry.key
        if key in keys:
            value = entry.value
            # Most are texts or whole numbers, and asking for the kind first costs most of the time.
            number = value.int_value
            values[key] = str(number) if number else value.string_value or _text(value)
    return values


def _route(attributes: Attributes[str, str], name: str) -> str:
    route = attributes.get("http.route")
    if route:
        return short(route)
    path = _first(attributes, _PATHS)
    if path:
        return short(lines.route(path))
    return short(name) or NO_ROUTE


def _method(attributes: Attributes[str, str]) -> str | None:
    method = _first(attributes, _METHODS)
    return None if method is None else short(method)


def _outcome(
    attributes: Attributes[str, str], names: tuple[str, ...] = _STATUSES
) -> tuple[int | None, bool]:
    """The HTTP status, None where nothing says one, and whether no answer came in time."""
    failure = attributes.get("error.type")
    is_timeout = (failure is not None and failure.lower() == "timeout") or attributes.get(
        "rpc.grpc.status_code"
    ) == _DEADLINE
    text = _first(attributes, names)
    status = _STATUS_OF.get(text) if text is not None else None
    if status is None and is_timeout:
        return 504, True
    return (500 if status is None and failure is not None else status), is_timeout


def _logged(service: str, record: Any, key: str) -> Request | None:
    text = record.body.string_value
    attributes = _selected(record.attributes)
    if _first(attributes, _STATUSES) is None:
        return lines.request(service, text, key) if text else None
    status, is_timeout = _outcome(attributes)
    duration = attributes.get("http.server.request.duration")
    seconds = None
    if duration is not None:
        try:
            seconds = float(duration)
        except ValueError:
            seconds = None
    nanoseconds = int(seconds * 1e9) if seconds is not None and 0 <= seconds < 1e6 else None  # noqa: PLR2004
    return Request(
        service, _route(attributes, ""), record.time_unix_nano or record.observed_time_unix_nano,
        _method(attributes), status or 200, nanoseconds, is_timeout, 1, key,
    )  # fmt: skip


def _first(attributes: Attributes[str, str], names: Iterable[str]) -> str | None:
    for name in names:
        if name in attributes:
            return attributes[name]
    return None


def _text(value: Any) -> str:
    kind = value.WhichOneof("value")
    return "" if kind is None else str(getattr(value, kind))


def _pairs(attributes: Iterable[KeyValue]) -> list[tuple[str, str]]:
    return sorted((entry.key, _text(entry.value)) for entry in attributes)


def _digest(pairs: list[tuple[str, str]]) -> str:
    return hashlib.blake2b(json.dumps(pairs).encode(), digest_size=12).hexdigest()


@lru_cache(maxsize=1000)
def _weight(trace_state: str, declared: float) -> int:
    """How many requests a span stands for; 0 where that is no whole number that counts."""
    probability = _probability(trace_state)
    share = declared if probability is None else probability
    if share * MOST < 1:
        return 0
    near = round(1 / share)
    return near if abs(1 / share - near) <= _NEAR / share else 0


def _probability(trace_state: str) -> float | None:
    """The share of traces that were kept, as W3C tracestate says it: `ot=th:e666` or `ot=p:3`."""
    for member in trace_state.split(","):
        vendor, _, value = member.strip().partition("=")
        if vendor != "ot":
            continue
        for entry in value.split(";"):
            name, _, text = entry.partition(":")
            try:
                if name == "th":
                    return 1 - int(text[:14].ljust(14, "0"), 16) / _ALWAYS
                if name == "p":
                    return float(2.0 ** -int(text))
            except (ValueError, OverflowError):
                return None
    return None


def _sampled(service: str, trace_state: str, weight: int) -> str:
    share = _probability(trace_state)
    why = f"tracestate, {share:.4g}" if share is not None else "the settings"
    if weight == 0:
        return (
            f"spans of {service} are a sample ({why}) whose weight is no whole number: no counts."
        )
    return (
        f"spans of {service} are a sample ({why}; 1 in {weight}), and a sample is no count: count"
        " from metrics (requests_from), or set sampled: weigh."
    )

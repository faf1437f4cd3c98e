"""Prometheus remote-write 1.0: the series of counters and classic histograms that a mapping names.

A classic histogram is one series a bound. Their points are counted one by one, so that it does not
matter how a sender cuts its batches; see `records` for how the buckets find together again.
"""

from __future__ import annotations

import hashlib
import json
import math
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError
from remote_pb2.remote_pb2 import WriteRequest

from cadran.telemetry.records import (
    BOUNDS,
    MILLISECOND,
    NO_ROUTE,
    SERVER_ERROR,
    Batch,
    Point,
    UnreadableError,
    service_name,
    short,
)

if TYPE_CHECKING:
    from collections.abc import Mapping as Labels

    from cadran.telemetry.records import Rules
    from cadran.telemetry.settings import Mapping

_SUFFIXES = ("_bucket", "_count", "_sum")
_ALL = float("inf")


def unpack(body: bytes, most: int) -> bytes:
    """The body of a block of Snappy.

    Raises:
        UnreadableError: it is none.
        OverflowError: it would be larger than it may be.
    """
    import cramjam

    size = shift = 0
    for byte in body[:5]:
        size |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            break
    if size > most:
        raise OverflowError(size)
    try:
        return bytes(cramjam.snappy.decompress_raw(body))
    except Exception as problem:  # noqa: BLE001 - cramjam's own error has no name
        raise UnreadableError(f"the body is no block of Snappy: {problem}") from None


def read(body: bytes, rules: Rules, received: int) -> Batch:
    """Points from the samples of a body.

    Raises:
        UnreadableError: it is no WriteRequest.
    """
    message = WriteRequest()
    try:
        message.ParseFromString(body)
    except DecodeError:
        raise UnreadableError("the body is no WriteRequest of remote-write 1.0.") from None
    batch = Batch()
    mappings = {mapping.name: mapping for mapping in rules.settings.metrics}
    for series in message.timeseries:
        labels = {label.name: label.value for label in series.labels}
        name = labels.get("__name__", "")
        mapping = mappings.get(name)
        suffix = ""
        if mapping is None:
            suffix = next((end for end in _SUFFIXES if name.endswith(end)), "")
            mapping = mappings.get(name.removesuffix(suffix)) if suffix else None
        if mapping is None or suffix == "_sum":
            batch.ignored += len(series.samples)
            continue
        if series.histograms:
            batch.reject(
                f"{name} is a native histogram; send it as a classic one, or by OTLP.",
                len(series.histograms),
            )
        le = _bound(labels, mapping, suffix)
        if le is not None and le != _ALL and le not in BOUNDS:
            batch.ignored += len(series.samples)
            continue
        if suffix == "_bucket" and le == _ALL:
            batch.ignored += len(series.samples)  # the same as `_count`
            continue
        _samples(batch, rules, received, series.samples, labels, mapping, le)
    return batch


def _bound(labels: Labels[str, str], mapping: Mapping, suffix: str) -> float | None:
    """Milliseconds up to which a series counts: inf for all, None for a counter without latency."""
    if suffix == "_count":
        return _ALL
    if suffix != "_bucket":
        return None
    try:
        bound = float(labels.get("le", "")) * (1000 if mapping.unit == "s" else 1)
    except ValueError:
        return -1.0
    if bound == _ALL:
        return _ALL
    return float(round(bound)) if abs(bound - round(bound)) < 1e-6 * max(1, bound) else bound


def _samples(  # noqa: PLR0913, PLR0917 - what a point is made of
    batch: Batch, rules: Rules, received: int, samples: object, labels: Labels[str, str],
    mapping: Mapping, le: float | None,
) -> None:  # fmt: skip
    earliest, latest = rules.window(received)
    service = service_name(labels.get(mapping.service or "job", ""))
    elsewhere = rules.other_origin(service, "metrics")
    status = labels.get(mapping.status, "")
    key = hashlib.blake2b(json.dumps(sorted(labels.items())).encode(), digest_size=12).hexdigest()
    target = f"{mapping.name}/{labels.get('job', '')}/{labels.get('instance', '')}"
    for sample in samples:  # type: ignore[attr-defined]
        time = sample.timestamp * MILLISECOND
        if sample.value != sample.value:
            batch.ignored += 1
        elif elsewhere:
            batch.reject(elsewhere)
        elif not earliest <= time <= latest:
            batch.reject(rules.outside)
        elif not 0 <= sample.value < math.inf or sample.value != int(sample.value):
            batch.reject(f"{labels['__name__']} counts {sample.value}; a count is a whole number.")
        else:
            batch.points.append(
                Point(
                    key=key, target=target, service=service,
                    route=short(labels.get(mapping.route, "")) or NO_ROUTE,
                    status=_status(status), is_timeout=False, start=0, time=time,
                    values=(int(sample.value),), bounds=None, le=le, is_delta=False,
                )
            )  # fmt: skip


def _status(text: str) -> int:
    """An HTTP status, or the first of its class: `5xx` is 500."""
    if len(text) == 3 and text[0].isdecimal():  # noqa: PLR2004
        return int(text) if text.isdecimal() else int(text[0]) * 100
    return SERVER_ERROR if text.lower() in ("error", "failure", "false") else 200

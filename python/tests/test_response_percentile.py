"""The percentile of response times is interpolated from buckets, with an error that is known."""

from __future__ import annotations

from itertools import pairwise

import pytest

BOUNDS = (0, 50, 100, 200, 300, 500, 1000, 2500, 5000)


def bucket(milliseconds):
    """The bounds of the bucket that holds a duration."""
    for low, high in pairwise(BOUNDS):
        if milliseconds <= high:
            return low, high
    return BOUNDS[-1], BOUNDS[-1]


@pytest.mark.parametrize("grain", ["hour", "day"])
def test_the_interpolated_percentile_lies_in_the_bucket_of_the_exact_one(grain, layer, raw):
    # The raw request lines hold each duration, so that the exact percentile can be known; a
    # timeout stands in the last bucket, however long it took.
    exact = raw.execute(f"""
        select
            date_trunc('{grain}', received_at),
            s.service_name,
            quantile_disc(case when is_timeout then 5001 else duration_ms end, 0.95)
        from telemetry.request_lines as l
        inner join telemetry.services as s on l.service_id = s.service_id
        group by 1, 2
    """).fetchall()
    assert exact
    first = min(period for period, _, _ in exact)

    asked = layer.query(
        ["response_ms_p95"],
        group_by=[f"metric_time__{grain}", "service__service_name"],
        start=first.date(),
    ).to_arrow()
    periods = [str(period)[:13] for period in asked[f"metric_time__{grain}"].to_pylist()]
    services = asked["service__service_name"].to_pylist()
    ours = dict(
        zip(zip(periods, services, strict=True), asked["response_ms_p95"].to_pylist(), strict=True)
    )

    length = 10 if grain == "day" else 13
    outside = {}
    for period, service, milliseconds in exact:
        low, high = bucket(milliseconds)
        interpolated = ours[str(period)[:length], service]
        if not low <= interpolated <= high:
            outside[period, service] = (milliseconds, interpolated)
    assert not outside

"""A load over Flight SQL with ADBC; prints JSON. `benchmarks/server.py` runs it as a process.

python benchmarks/flight_load.py ADDRESS CLIENTS SECONDS    [rate, p50, p99, p99/p50, errors]
python benchmarks/flight_load.py ADDRESS large ROUNDS       {"computed": s, "kept": s}
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import threading
import time

import adbc_driver_flightsql.dbapi as flight_sql

HEADER = "adbc.flight.sql.rpc.call_header.authorization"


def call(asked: dict[str, object]) -> str:
    """A question as the SQL that dbt's clients send."""
    words = ", ".join(f"{name}={value!r}" for name, value in asked.items())
    return f"select * from {{{{ semantic_layer.query({words}) }}}}"


def load(address: str, clients: int, seconds: float) -> list[float]:
    """Sixteen connections that ask one cached question again and again."""
    asked = {
        "metrics": ["revenue"],
        "group_by": ["metric_time__day"],
        "where": [
            "{{ Dimension('order_id__country') }} = 'FR'",
            "{{ TimeDimension('metric_time', 'day') }} = '2025-03-14'",
        ],
    }
    statement, until = call(asked), time.monotonic() + seconds
    took: list[float] = []
    errors = [0]

    def client() -> None:
        with (
            flight_sql.connect(
                address, db_kwargs={HEADER: "Bearer bench"}, autocommit=True
            ) as connection,
            connection.cursor() as cursor,
        ):
            while time.monotonic() < until:
                begun = time.perf_counter()
                try:
                    cursor.execute(statement)
                    cursor.fetch_arrow_table()
                except flight_sql.Error:
                    errors[0] += 1
                took.append(1000 * (time.perf_counter() - begun))

    threads = [threading.Thread(target=client) for _ in range(clients)]
    begun = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rate = len(took) / (time.monotonic() - begun)
    cuts = statistics.quantiles(took, n=100)
    return [rate, cuts[49], cuts[98], cuts[98] / cuts[49], errors[0]]


def large(address: str, rounds: int) -> dict[str, float]:
    """Seconds of a million rows, computed each time and kept."""
    asked = json.loads(os.environ["CADRAN_BENCH_LARGE"])
    found = {}
    with (
        flight_sql.connect(
            address, db_kwargs={HEADER: "Bearer bench"}, autocommit=True
        ) as connection,
        connection.cursor() as cursor,
    ):
        for name, more in (("computed", {"read_cache": False}), ("kept", {})):
            seconds = []
            for number in range(rounds + 1):
                begun = time.perf_counter()
                cursor.execute(call(asked | more))
                rows = cursor.fetch_arrow_table().num_rows
                if rows != asked["limit"]:
                    sys.exit(f"{rows} rows")
                if number:
                    seconds.append(time.perf_counter() - begun)
            found[name] = statistics.median(seconds)
    return found


if __name__ == "__main__":
    where, what, how_long = sys.argv[1:]
    done = (
        large(where, int(how_long)) if what == "large" else load(where, int(what), float(how_long))
    )
    print(json.dumps(done))

"""A shop of five orders, so that every answer in the tests of the layer is worked out on paper."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import duckdb

PROJECT = Path(__file__).parent / "fixtures" / "tiny"

TABLES = """
create schema shop;
create table shop.customers as select * from (values
    ('c1', 'FR'), ('c2', 'DE'), ('c3', null)
) as t (customer_id, country);
create table shop.orders as
select order_id, customer_id, channel, ordered_date::date as ordered_date,
    shipped_date::date as shipped_date, amount::decimal(14, 2) as amount
from (values
    ('o1', 'c1', 'web',       '2026-01-30', '2026-02-02', 10.10),
    ('o2', 'c2', 'web',       '2026-01-31', '2026-02-02', 20.20),
    ('o3', 'c1', 'app',       '2026-02-01', '2026-02-01', 30.30),
    ('o4', 'c3', 'café ☕ ''', '2026-02-01', null,         40.40),
    ('o5', 'c1', 'web',       '2026-02-03', '2026-02-09', 50.50)
) as t (order_id, customer_id, channel, ordered_date, shipped_date, amount);
create table shop.pings as
select ping_id, pinged_at::timestamp as pinged_at, hits::integer as hits
from (values
    ('p1', '2026-02-01 00:00', 1), ('p2', '2026-02-01 01:00', 2),
    ('p3', '2026-02-01 01:00', 4), ('p4', '2026-02-01 23:00', 8), ('p5', '2026-02-02 00:00', 16)
) as t (ping_id, pinged_at, hits);
create table shop.days as
select day::date as date_day, 'week ' || weekofyear(day) as shop_week
from range(date '2026-01-28', date '2026-02-06', interval 1 day) as t (day);
create table shop.hours as
select hour as hour_at
from range(timestamp '2026-02-01', timestamp '2026-02-03', interval 1 hour) as t (hour);
"""


def build(folder: Path) -> Path:
    """Write the warehouse and dbt's artefacts into a folder; returns `semantic_manifest.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(str(folder / "tiny.duckdb")) as connection:
        connection.execute(TABLES)
    dbt = Path(sys.executable).with_name("dbt")
    subprocess.run(
        [dbt, "-q", "parse", "--project-dir", PROJECT, "--profiles-dir", PROJECT,
         "--target-path", folder / "target", "--log-path", folder / "logs"],
        env=os.environ | {"DO_NOT_TRACK": "1"}, check=True, timeout=120,
    )  # fmt: skip
    return folder / "target" / "semantic_manifest.json"

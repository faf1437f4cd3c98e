"""A shop in three countries, with all its rows, and once more with those of one country alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import duckdb

PROJECT = Path(__file__).parent / "fixtures" / "guarded"

TABLES = """
create schema shop;
create table shop.days as
select day::date as date_day
from range(date '2026-01-01', date '2026-04-01', interval 1 day) as t (day);
create table shop.customers as
select
    'c' || i as customer_id,
    case when i % 5 = 0 then null when i % 3 = 0 then 'FR' when i % 3 = 1 then 'DE' else 'IT' end
        as country,
    case i % 2 when 0 then 'home' else 'trade' end as segment,
    'c' || i || '@example.com' as contact
from range(40) as t (i);
create table shop.visits as
select
    'v' || i as visit_id,
    'c' || (i * 7 % 40) as customer_id,
    date '2026-01-01' + (i * 11 % 88)::integer as visited_date
from range(400) as t (i);
create table shop.orders as
select
    'o' || i as order_id,
    -- Every fourth order is made by another customer than the one who visited.
    'c' || (case when i % 4 = 0 then i * 3 % 40 else i * 7 % 40 end) as customer_id,
    'v' || i as visit_id,
    case i % 3 when 0 then 'web' when 1 then 'app' else 'phone' end as channel,
    (i % 4)::integer as lines,
    i % 2 = 0 as is_gift,
    date '2026-01-01' + (i * 11 % 88 + i % 5)::integer as ordered_date,
    (i * 37 % 101 + 0.25)::decimal(14, 2) as amount
from range(200) as t (i)
where (i * 11 % 88 + i % 5) < 90;
create table shop.stock as
select
    item || site || day::date as stock_entry_id,
    site,
    item,
    day::date as counted_date,
    (dayofyear(day) * length(item) * (1 + site_no) % 97)::integer as quantity
from range(date '2026-01-01', date '2026-04-01', interval 1 day) as t (day),
    (values ('north', 1), ('south', 2)) as s (site, site_no),
    (values ('cup'), ('plate')) as i (item)
-- The north stops counting first: the last day of one site is not that of the other.
where not (site = 'north' and day > date '2026-03-20');
create table shop.answers as
select
    'a' || i as answer_id,
    'c' || (i % 40) as customer_id,
    case when i < 120 then 'first' when i < 180 then 'second' when i < 197 then 'third' else 'rare'
        end as team,
    case when i % 17 = 0 then 'odd' when i % 2 = 0 then 'price' else 'delivery' end as topic,
    date '2026-01-01' + (i * 13 % 90)::integer as answered_date,
    i % 3 <> 0 as is_satisfied
from range(200) as t (i);
"""

# What is left when nothing but France, and the site in the north, had ever been recorded.
ONLY_FRANCE = """
delete from shop.customers where country is distinct from 'FR';
delete from shop.orders where customer_id not in (select customer_id from shop.customers);
delete from shop.visits where customer_id not in (select customer_id from shop.customers);
delete from shop.answers where customer_id not in (select customer_id from shop.customers);
delete from shop.stock where site <> 'north';
"""


def build(folder: Path) -> Path:
    """Write both warehouses and dbt's artefacts into a folder; returns `semantic_manifest.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, statements in (("guarded", TABLES), ("france", TABLES + ONLY_FRANCE)):
        with duckdb.connect(str(folder / f"{name}.duckdb")) as connection:
            connection.execute(statements)
    dbt = Path(sys.executable).with_name("dbt")
    done = subprocess.run(
        [dbt, "-q", "parse", "--project-dir", PROJECT, "--profiles-dir", PROJECT,
         "--target-path", folder / "target", "--log-path", folder / "logs"],
        env=os.environ | {"DO_NOT_TRACK": "1"}, capture_output=True, text=True, check=False,
        timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return folder / "target" / "semantic_manifest.json"

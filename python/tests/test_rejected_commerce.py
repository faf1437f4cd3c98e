"""Rows of the shop that break the contract are kept apart with their reason, and count nowhere."""

from __future__ import annotations

import duckdb
import parsed
import pytest

FILES = {
    "customers": """
        customer_id,country,segment,signed_up_at
        ana,FR,consumer,2025-01-01T00:30:00+02:00
        bob,DE,robot,2025-01-01 08:00:00
        ,DE,business,2025-01-01 08:00:00
        cleo,ES,developer,the day before yesterday
        dora,,consumer,2025-01-01 08:00:00
    """,
    "products": """
        product_id,product_name,category,unit_cost
        pen,Pen,office,2.50
        ink,Ink,office,-1
        cap,Cap,office,cheap
    """,
    "sessions": """
        session_id,visitor_id,customer_id,channel,device,country,started_at
        s1,v1,ana,web,mobile,FR,2025-03-01 10:00:00
        s2,,,web,desktop,DE,2025-03-01 11:00:00
        s3,v3,,web,fridge,DE,2025-03-01 11:00:00
    """,
    "orders": """
        order_id,customer_id,session_id,channel,country,currency,status,ordered_at,amount
        o1,ana,s1,web,FR,EUR,completed,2025-03-01 10:05:00,10.00
        o1,ana,s1,web,FR,EUR,completed,2025-03-01 10:05:00,10.00
        o2,ana,nobody_saw_it,web,FR,EUR,completed,2025-03-02 10:05:00,5.00
        o3,bob,,web,FR,EUR,completed,2025-03-02 10:05:00,5.00
        o4,ana,,web,FR,USD,completed,2025-03-02 10:05:00,5.00
        o5,ana,,web,FR,EUR,lost,2025-03-02 10:05:00,5.00
        o6,ana,,web,FR,EUR,completed,2025-03-02 10:05:00,-0.01
    """,
    "order_lines": """
        order_line_id,order_id,product_id,line_type,quantity,unit_price,amount,booked_at
        l1,o1,pen,sale,2,5.00,10.00,2025-03-01 10:05:00
        l2,o2,pen,sale,1,5.00,5.00,2025-03-02 10:05:00
        l3,o3,pen,sale,1,5.00,5.00,2025-03-02 10:05:00
        l4,o1,ink,sale,1,3.00,3.00,2025-03-01 10:05:00
        l5,o1,pen,sale,0,5.00,5.00,2025-03-01 10:05:00
        l6,o1,pen,refund,0,5.00,-1.00,2025-03-05 10:05:00
        l7,o1,pen,refund,0,5.00,1.00,2025-03-05 10:05:00
        l8,o1,pen,gift,1,5.00,1.00,2025-03-05 10:05:00
        l9,o1,pen,sale,1.5,5.00,7.50,2025-03-05 10:05:00
    """,
}

REASONS = {
    "customers": {
        "segment is none of consumer, business, developer",
        "customer_id is missing",
        "signed_up_at is no timestamp: the day before yesterday",
        "country is missing",
    },
    "products": {"unit_cost is below 0", "unit_cost is no decimal(18, 2): cheap"},
    "sessions": {"device is none of desktop, mobile, tablet, api, other"},
    "orders": {
        "order_id stands more than once",
        "customer_id is unknown",
        "currency is none of EUR",
        "status is none of completed, cancelled",
        "amount is below 0",
    },
    "order_lines": {
        "order_id is unknown",
        "product_id is unknown",
        "quantity of a sale is not above 0",
        "amount of a cancellation or refund is above 0",
        "line_type is none of sale, cancellation, refund",
        "quantity is no integer: 1.5",
    },
}


@pytest.fixture(scope="module")
def warehouse(demo, tmp_path_factory):
    work = tmp_path_factory.mktemp("faulty_shop")
    (work / "data" / "shop").mkdir(parents=True)
    for table, text in FILES.items():
        lines = [line.strip() for line in text.strip().splitlines()]
        (work / "data" / "shop" / f"{table}.csv").write_text("\n".join(lines) + "\n")
    run = parsed.dbt(
        demo, work, work / "warehouse.duckdb", "run",
        "--select", "+rejected_customers", "+rejected_products", "+rejected_sessions",
        "+rejected_orders", "+rejected_order_lines", "+fct_order_lines", "fct_sessions",
        "dim_customers",
        cadran_domains=["commerce"], cadran_sources=str(work / "data"),
    )  # fmt: skip
    assert run.success, run.exception or run.result
    return duckdb.connect(work / "warehouse.duckdb", read_only=True)


@pytest.mark.parametrize("table", FILES)
def test_each_rejected_row_says_which_rule_it_breaks(table, warehouse):
    found = warehouse.execute(f"select rejection_reason from rejected.rejected_{table}").fetchall()
    assert sorted(reason for (reason,) in found) == sorted(REASONS[table])


def test_only_sound_rows_count(warehouse):
    assert warehouse.execute(
        "select order_line_id, amount::varchar from marts.fct_order_lines order by all"
    ).fetchall() == [("l1", "10.00"), ("l2", "5.00"), ("l6", "-1.00")]


def test_a_sale_counts_though_its_session_is_not_known(warehouse):
    assert warehouse.execute("select order_id from marts.fct_orders order by all").fetchall() == [
        ("o1",),
        ("o2",),
    ]
    assert warehouse.execute("select count(*) from marts.fct_sessions").fetchone() == (2,)


def test_a_time_with_an_offset_is_read_at_its_instant_in_utc(warehouse):
    assert warehouse.execute(
        "select signed_up_at::varchar, signed_up_date::varchar from marts.dim_customers"
        " where customer_id = 'ana'"
    ).fetchall() == [("2024-12-31 22:30:00", "2024-12-31")]

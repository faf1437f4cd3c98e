"""The demo company under the policy of the examples: every KPI, and the commands of the help."""

from __future__ import annotations

from pathlib import Path

import pytest

from cadran.access import policy as policies
from cadran.access.authorize import PolicyGate
from cadran.access.caller import Caller
from cadran.access.gate import Visible
from cadran.cli import main
from cadran.core.query.request import Query
from cadran.errors import UnknownNameError
from cadran.serving import redaction

POLICY = Path(__file__).resolve().parents[2] / "examples" / "access" / "cadran_policy.yml"
HALF = {"start": "2026-01-01", "end": "2026-06-30"}
KEPT_APART = ("customer__country", "session__country", "service__team", "ticket__team")


@pytest.fixture(scope="module")
def gate(layer):
    made = PolicyGate(policies.read(POLICY))
    made.check(layer)
    return made


def allow(gate, layer, role, **asked):
    return gate.allow(Caller("somebody", (role,) if role else ()), Query.of(asked), layer)


def test_every_kpi_gives_under_a_row_filter_what_its_own_column_gives(layer):
    compared = 0
    for card in layer.kpis():
        for dimension in set(KEPT_APART) & set(card.dimensions):
            grouped = layer.query([card.name], ["metric_time__month", dimension], **HALF)
            value = min(row for row in grouped.to_arrow()[dimension].to_pylist() if row)
            own = {
                row["metric_time__month"]: row[card.name]
                for row in grouped.to_arrow().to_pylist()
                if row[dimension] == value
            }
            confined = layer.query(
                [card.name], ["metric_time__month"], confined=f"{dimension} = '{value}'", **HALF
            )
            found = dict(zip(*(column.to_pylist() for column in confined.to_arrow()), strict=True))
            assert {at: found[at] for at in own} == own
            assert all(found[at] is None for at in found if at not in own)
            compared += 1
    assert compared > 20


def test_the_roles_of_the_example_see_what_it_says(layer, gate):
    revenue = {"metrics": ["net_revenue"], "group_by": ["metric_time__month"]}
    france = layer.answer(allow(gate, layer, "sales_france", **revenue).query)
    by_country = layer.query(
        ["net_revenue"], ["metric_time__month", "customer__country"],
        where="customer__country = 'FR'",
    )  # fmt: skip
    assert france.to_arrow()["net_revenue"] == by_country.to_arrow()["net_revenue"]
    with pytest.raises(UnknownNameError):
        allow(gate, layer, "sales_france", metrics=["platform_availability"])
    assert allow(gate, layer, "board", metrics=["platform_availability"]).role == "board"
    page = allow(gate, layer, "status_page", metrics=["platform_availability"],
                 group_by=["service__service_name"])  # fmt: skip
    services = layer.answer(page.query).to_arrow()["service__service_name"]
    critical = layer.query(
        group_by=["service__service_name"], where="service__tier = 'critical'"
    ).to_arrow()["service__service_name"]
    assert services == critical


def test_the_satisfaction_of_a_few_customers_is_hidden_by_a_server_and_not_in_process(layer, gate):
    asked = {
        "metrics": ["customer_satisfaction_rate"],
        "group_by": ["metric_time__week", "ticket__team"],
    }
    whole = layer.query(**asked).to_arrow()
    counts = layer.query(
        ["satisfaction_answers_count"], asked["group_by"]
    ).to_arrow()["satisfaction_answers_count"].to_pylist()  # fmt: skip
    rates = {}
    for role, judge in (("support_lead", gate), ("", PolicyGate())):
        allowed = allow(judge, layer, role, **asked)
        shown = judge.suppress(layer.answer(allowed.query).to_arrow(), allowed, layer)
        rates[role] = shown["customer_satisfaction_rate"].to_pylist()
        least = 10 if role else 5
        assert all(rate is None for rate, n in zip(rates[role], counts, strict=True) if n < least)
    assert whole["customer_satisfaction_rate"].null_count == 0
    assert rates["support_lead"].count(None) > rates[""].count(None) > 0
    assert any(rate is not None for rate in rates[""])


def test_the_examples_of_the_policy_command_run(demo, layer, capsys):
    place = ["--manifest", str(layer.project.semantic_manifest_path), "--policy", str(POLICY),
             "--database", str(demo.database)]  # fmt: skip
    main(["policy", "--help"])
    shown = capsys.readouterr().out.splitlines()
    lines = [line.split()[1:] for line in shown if line.strip().startswith("cadran policy ")]
    assert len(lines) == 3
    for line in lines:
        assert main([*line, *place]) == 0, line
    assert "'FR'" in capsys.readouterr().out


def test_sql_that_is_shown_names_nothing_hidden_in_its_comments_either(layer):
    sees = Visible(metrics=frozenset({"gross_margin_rate"}), dimensions=frozenset())
    sql = layer.sql(["gross_margin_rate"], ["metric_time__month"])
    assert "order_net_cost" in sql
    shown = redaction.visible_sql(sql, sees, layer)
    assert "order_net_cost" not in shown
    assert "hidden_1" in shown
    kept = "select '-- no comment' as a, \"/* nor this */\" as b"
    assert redaction.visible_sql(f"/* ['it''s'] */ {kept} -- end", Visible(), layer) == kept

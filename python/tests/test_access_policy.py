"""What roles see: names, rows, refusals; each row filter against a shop without the other rows."""

from __future__ import annotations

import datetime as dt
import json

import pytest

import cadran
from cadran.access import policy as policies
from cadran.access.authorize import PolicyGate
from cadran.access.caller import Caller, Limits
from cadran.cli import main
from cadran.core.query.request import Query
from cadran.errors import (
    NotAllowedError,
    NotGovernedError,
    PolicyError,
    QueryError,
    UnknownNameError,
)

POLICY = """
roles:
  france:
    metrics: [revenue, amount_per_order, orders, buyers, visit_conversion, customer_conversions]
    dimensions: [order_id__channel, customer__segment]
    rows: ["customer__country = 'FR'"]
    limits: {rows: 100, per_minute: 60}
  north: {metrics: [stock_level], dimensions: ["stock_entry__item"], rows: ["stock_entry__site = 'north'"]}
  support: {metrics: [{scope: support}], dimensions: [answer__team], limits: {rows: 1000}}
  commerce: {metrics: [{tier: operational, scope: commerce}]}
  all: {metrics: "*", dimensions: "*"}
"""  # fmt: skip # noqa: E501


@pytest.fixture(scope="module")
def layers(guarded):
    """The shop with all its rows, and the one that only ever had those of France."""
    full, france = (
        cadran.open(manifest=guarded, database=guarded.parents[1] / f"{name}.duckdb")
        for name in ("guarded", "france")
    )
    yield full, france
    full.close()
    france.close()


@pytest.fixture(scope="module")
def full(layers):
    return layers[0]


@pytest.fixture(scope="module")
def gate(tmp_path_factory, full):
    file = tmp_path_factory.mktemp("policy") / "cadran_policy.yml"
    file.write_text(POLICY)
    made = PolicyGate(policies.read(file))
    made.check(full)
    return made


def allow(gate, layer, *roles, **asked):
    return gate.allow(Caller("somebody", roles), Query.of(asked), layer)


def answer(gate, layer, *roles, **asked):
    return layer.answer(allow(gate, layer, *roles, **asked).query)


def refusal(gate, layer, *roles, **asked):
    with pytest.raises(cadran.CadranError) as caught:
        answer(gate, layer, *roles, **asked)
    return caught.value


# Rows ------------------------------------------------------------------------------------------

KINDS = {
    "a sum": "revenue",
    "a ratio": "amount_per_order",
    "a distinct count": "buyers",
    "a median": "median_amount",
    "a filtered sum": "web_amount",
    "a count on every day": "orders_every_day",
    "to date": "amount_to_date",
    "over a window": "amount_7_days",
    "to date in a month": "amount_month_to_date",
    "distinct over a window": "buyers_7_days",
    "against the month before": "growth",
    "since the start of the month": "since_month_start",
    "a filtered ratio": "web_share",
    "a filtered ratio to date": "web_share_to_date",
    "of two facts": "visits_per_order",
    "conversions of what is filtered": "customer_conversions",
    "about people": "satisfaction_rate",
    "at the end of a period": "stock_level",
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_filter_gives_what_a_warehouse_without_the_other_rows_gives(layers, kind):
    full, france = layers
    name = KINDS[kind]
    of_stock = name == "stock_level"
    confined = (
        "{{ Dimension('stock_entry__site') }} = 'north'"
        if of_stock
        else "{{ Dimension('customer__country') }} = 'FR'"
    )
    other = "stock_entry__item" if of_stock else "customer__segment"
    ranged = {"start": "2026-02-03", "end": "2026-03-10"}
    asked = differing = 0
    for groups, bounds in (
        ([], {}),
        (["metric_time__day"], {}),
        (["metric_time__month", other], {}),
        (["metric_time__day"], ranged),
    ):
        try:
            expected = france.query([name], groups, governed=False, **bounds)
        except QueryError:
            continue  # cumulative metrics need a time
        found = full.query([name], groups, governed=False, confined=confined, **bounds)
        assert found.to_arrow().to_pylist() == expected.to_arrow().to_pylist(), groups
        everything = full.query([name], groups, governed=False, **bounds)
        differing += found.to_arrow() != everything.to_arrow()
        asked += 1
    assert asked >= 2
    assert differing  # the other rows would have counted


def test_days_that_a_time_spine_adds_bring_no_row_of_others(full):
    rows = full.query(
        ["orders_every_day", "amount_to_date"],
        ["metric_time__day", "customer__country"],
        confined="{{ Dimension('customer__country') }} = 'FR'",
    ).to_arrow()
    assert {row["customer__country"] for row in rows.to_pylist()} == {"FR"}


def test_a_conversion_is_refused_where_what_follows_cannot_be_told_apart(full, gate):
    # The orders of a visit may be another customer's: MetricFlow does not filter them.
    said = refusal(gate, full, "france", metrics=["visit_conversion"])
    assert isinstance(said, NotAllowedError)
    assert "cannot be told apart" in str(said)
    assert answer(gate, full, "france", metrics=["customer_conversions"]).to_arrow().num_rows == 1


def test_a_kpi_that_cannot_be_filtered_by_a_role_is_refused_to_it(full, tmp_path):
    file = tmp_path / "cadran_policy.yml"
    file.write_text("""roles: {a: {metrics: "*", rows: ["customer__country = 'FR'"]}}""")
    gate = PolicyGate(policies.read(file))
    said = refusal(gate, full, "a", metrics=["stock_level"])
    assert "cannot be told apart" in str(said)
    assert "country" not in str(said)


def test_values_of_a_dimension_are_those_of_the_rows_of_the_role(full, gate):
    channels = answer(gate, full, "france", group_by=["customer__segment"], metrics=["orders"])
    seen = answer(gate, full, "france", group_by=["customer__segment"])
    assert seen.to_arrow()["customer__segment"].to_pylist() == sorted(
        channels.to_arrow()["customer__segment"].to_pylist()
    )
    assert answer(gate, full, "france", group_by=["metric_time__month"]).to_arrow().num_rows == 3


def test_values_that_cannot_be_told_apart_are_refused_without_a_word_of_the_filter(full, tmp_path):
    file = tmp_path / "cadran_policy.yml"
    file.write_text("""
    roles:
      a:
        metrics: "*"
        dimensions: [stock_entry__item, order_id__channel, order_id__ordered_date]
        rows: ["customer__country = 'FR'"]
    """)
    gate = PolicyGate(policies.read(file))
    said = str(refusal(gate, full, "a", group_by=["stock_entry__item"]))
    assert "do not go together" in said
    assert "country" not in said
    ends = {"group_by": ["order_id__ordered_date__day"], "min_max_only": True}
    first = answer(gate, full, "a", **ends).to_arrow().column(0)[0].as_py()
    assert first > answer(PolicyGate(), full, **ends).to_arrow().column(0)[0].as_py()
    every = answer(gate, full, "a", group_by=["order_id__channel"], apply_group_by=False)
    assert len(every) == 55


def test_a_filter_of_the_role_is_part_of_the_plan_and_of_the_judgement(full, gate):
    asked = {"metrics": ["revenue"], "group_by": ["metric_time__month"]}
    france, all_rows = (allow(gate, full, role, **asked) for role in ("france", "all"))
    assert france != all_rows
    assert "customer__country = 'FR'" in full.compiled(france.query)
    assert "country" not in full.compiled(all_rows.query)
    assert france.query.confined


def test_a_filter_cannot_undo_that_of_the_role(full, gate):
    everything = answer(gate, full, "france", metrics=["orders"]).to_arrow()
    for text in ("order_id__channel = 'web' or not order_id__channel = 'web'",
                 "not (order_id__channel = 'web' and order_id__channel = 'app')"):  # fmt: skip
        assert answer(gate, full, "france", metrics=["orders"], where=[text]).to_arrow() == (
            everything
        )


# Names -----------------------------------------------------------------------------------------


def test_what_is_forbidden_is_refused_in_the_words_for_what_does_not_exist(full, gate):
    pairs = [
        ({"metrics": ["{}"]}, "stock_level", "stock_levle"),
        ({"metrics": ["revenue", "{}"]}, "growth", "growht"),
        ({"metrics": ["revenue"], "group_by": ["{}"]}, "customer__country", "customer__contry"),
        ({"metrics": ["revenue"], "group_by": ["{}"]}, "customer__contact", "customer__cantact"),
        ({"group_by": ["{}"]}, "stock_entry__site", "stock_entry__siet"),
        ({"metrics": ["revenue"], "where": ["{} = 'x'"]}, "customer__country", "customer__contry"),
        ({"metrics": ["orders"], "where": ["{} = 'x'"]}, "customer__contact", "customer__cantact"),
        ({"saved_query": "{}"}, "stock_by_site", "stock_by_siet"),
    ]  # fmt: skip
    for asked, forbidden, unknown in pairs:
        sentences = []
        for name in (forbidden, unknown):
            filled = {
                key: value.format(name) if isinstance(value, str) else
                [one.format(name) for one in value]
                for key, value in asked.items()
            }  # fmt: skip
            said = refusal(gate, full, "france", **filled)
            assert isinstance(said, UnknownNameError)
            sentences.append(str(said).replace(f"'{name}'", "NAME"))
        assert sentences[0] == sentences[1]
        assert "country" not in sentences[0]
        assert "stock" not in sentences[0]


def test_what_a_role_may_know_of_is_what_it_may_ask(full, gate):
    seen = gate.visible(Caller("somebody", ("france",)), full)
    assert seen.metric("revenue")
    assert not seen.metric("stock_level")
    assert seen.dimension("customer__segment")
    assert not seen.dimension("customer__country")
    everything = gate.visible(Caller("somebody", ("all",)), full)
    assert everything.dimension("customer__country")
    assert not everything.dimension("customer__contact")
    assert not everything.dimension("order_id__customer__contact")


@pytest.mark.parametrize("policy", ["with", "without"])
@pytest.mark.parametrize(
    "asked",
    [
        {"group_by": ["customer__contact"]},
        {"group_by": ["CUSTOMER__Contact"]},
        {"group_by": ["customer__segment"], "where": ["customer__contact like 'c1%'"]},
        {"where": ["{{ Dimension('contact', entity_path=['customer']) }} = 'x'"]},
        {"where": ["{{ Dimension('customer__contact', entity_path=['order_id']) }} = 'x'"]},
        {"group_by": ["customer__contact"], "order_by": ["-customer__contact"]},
    ],
)
def test_what_shows_persons_is_refused_with_and_without_a_policy(full, gate, policy, asked):
    judging = gate if policy == "with" else PolicyGate()
    kind = UnknownNameError if policy == "with" else NotAllowedError
    with pytest.raises(kind):
        allow(judging, full, "all", metrics=["orders"], **asked)


def test_a_card_tells_a_role_only_the_dimensions_that_it_may_see(full, gate):
    said = refusal(gate, full, "france", metrics=["revenue"], group_by=["metric_time__week"])
    assert isinstance(said, NotGovernedError)
    assert str(said).endswith("order_id__channel, customer__segment. Ask sales@example.com to add"
                              " it to the card.")  # fmt: skip
    said = refusal(gate, full, "support", metrics=["satisfaction_rate"], group_by=["answer__topic"])
    assert "answer__topic'" in str(said)
    assert "customer__country" not in str(said)


# Roles -----------------------------------------------------------------------------------------


def test_the_first_role_that_allows_the_whole_question_decides(full, gate):
    by_channel = {"metrics": ["revenue"], "group_by": ["order_id__channel"]}
    assert allow(gate, full, "france", "all", **by_channel).role == "france"
    assert allow(gate, full, "all", "france", **by_channel).role == "all"
    by_country = {"metrics": ["satisfaction_rate"], "group_by": ["customer__country"]}
    assert allow(gate, full, "france", "support", "all", **by_country).role == "all"


def test_rights_of_several_roles_are_never_mixed(full, gate):
    said = refusal(gate, full, "france", "north", metrics=["revenue", "stock_level"])
    assert isinstance(said, NotAllowedError)
    assert "together" in str(said)


def test_without_a_role_nothing_is_seen(full, gate):
    for roles in ((), ("unheard_of",)):
        assert isinstance(refusal(gate, full, *roles, metrics=["revenue"]), NotAllowedError)
        with pytest.raises(NotAllowedError):
            gate.visible(Caller("somebody", roles), full)


def test_a_role_by_tier_and_scope_sees_the_kpis_whose_cards_say_so(full, gate):
    seen = gate.visible(Caller("somebody", ("commerce",)), full)
    assert seen.metrics == {"amount_per_order", "stock_level"}
    assert seen.dimensions == frozenset()
    totals = answer(gate, full, "commerce", metrics=["stock_level"], group_by=["metric_time__day"])
    assert len(totals) == 90


def test_limits_are_the_less_of_the_tokens_and_the_most_of_the_roles(gate):
    caller = Caller("somebody", ("france", "support"), limits=Limits(rows=500, seconds=2.0))
    assert gate.limits(caller) == Limits(rows=500, seconds=2.0)
    assert gate.limits(Caller("somebody", ("france",))) == Limits(rows=100, per_minute=60)
    assert [one.roles for one in gate.everyone()][:2] == [("france",), ("north",)]


def test_saved_queries_are_those_that_the_role_may_ask(full, gate):
    shown = answer(
        gate, full, "france", saved_query="by_channel", where=["order_id__channel='web'"]
    )
    by_hand = answer(
        gate, full, "france", metrics=["revenue"], where=["order_id__channel = 'web'"],
        group_by=["metric_time__month", "order_id__channel"],
    )  # fmt: skip
    assert shown.to_arrow() == by_hand.to_arrow()
    said = refusal(gate, full, "france", saved_query="nothing")
    assert str(said).endswith("Allowed: by_channel.")


def test_text_is_not_compared_with_a_number_whatever_the_rows_hold(full, gate):
    said = refusal(gate, full, "france", metrics=["orders"], where=["order_id__channel > 5"])
    assert str(said).startswith("order_id__channel is text")
    answer(
        gate, full, "all", metrics=["orders"], where=["order_id__lines > 2 and order_id__is_gift"]
    )


def test_the_ledger_answers_a_confined_role_only_by_what_tells_its_rows_apart(full, tmp_path):
    file = tmp_path / "cadran_policy.yml"
    file.write_text("""roles: {a: {metrics: "*", dimensions: "*", rows: ["order_id__channel = 'web'"]}}""")  # fmt: skip # noqa: E501
    gate = PolicyGate(policies.read(file))
    asked = {"metrics": ["revenue"], "group_by": ["metric_time__month"], "view": "published"}
    said = refusal(gate, full, "a", **asked)
    assert str(said).endswith("group by order_id__channel.")
    allow(gate, full, "a", **(asked | {"group_by": ["metric_time__month", "order_id__channel"]}))
    allow(gate, full, "a", **(asked | {"view": "restated"}))
    by_channel = {"metrics": ["revenue"], "group_by": ["metric_time__month", "order_id__channel"]}
    old = allow(gate, full, "a", **by_channel, version=1).query
    assert old.where == old.confined == ("{{ Dimension('order_id__channel') }} = 'web'",)
    assert "group by" in str(refusal(gate, full, "a", metrics=["revenue"], version=1,
                                     group_by=["metric_time__month"]))  # fmt: skip


# The file --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ("roles: []", "takes roles by their names"),
        ("role: {a: {}}", "key 'role': is unknown; did you mean 'roles'"),
        ("roles: {a: {}}", "key 'roles.a.metrics': is missing"),
        ("roles: {a: {metrics: revenue}}", "takes a list"),
        ("roles: {a: {metrics: [revenu]}}", "there is no metric 'revenu'. Did you mean 'revenue'"),
        ("roles: {a: {metrics: [{tier: strategy}]}}", "Did you mean 'strategic'"),
        ("roles: {a: {metrics: [{team: sales}]}}", "is unknown; allowed: tier, scope, objective"),
        ("roles: {a: {metrics: [{}]}}", "is empty"),
        (
            "roles: {a: {metrics: '*', dimensions: [customer__contry]}}",
            "there is no dimension 'customer__contry'. Did you mean 'customer__country'",
        ),
        ("roles: {a: {metrics: '*', dimensions: [customer__contact]}}", "shows persons"),
        ("roles: {a: {metrics: '*', rows: [\"customer__contry = 'FR'\"]}}", "customer__country'"),
        ("roles: {a: {metrics: '*', rows: ['1 = 1']}}", "is refused"),
        ("roles: {a: {metrics: '*', rows: [\"metric_time > '2026-01-01'\"]}}", "is a time"),
        ("roles: {a: {metrics: '*', limits: {rows: 0}}}", "takes a whole number above 0"),
        ("roles: {a: {metrics: '*', limits: {rows: 1.5}}}", "takes a whole number above 0"),
        ("roles: {a: {metrics: '*', limits: {row: 1}}}", "did you mean 'rows'"),
        ("roles: {a: {metrics: '*', minimum_cell: -1}}", "takes a whole number from 0 up"),
        (
            "roles: {a: {metrics: '*', dimensions: [1]}}",
            "key 'roles.a.dimensions[1]': is 1; it takes a text",
        ),
        ("roles: {", "is no YAML"),
    ],
)
def test_a_policy_that_is_wrong_is_refused_with_the_place(full, tmp_path, written, sentence):
    file = tmp_path / "cadran_policy.yml"
    file.write_text(written)
    with pytest.raises(PolicyError, match=r"cadran_policy\.yml") as caught:
        PolicyGate(policies.read(file)).check(full)
    assert sentence in str(caught.value)


def test_a_policy_that_a_build_has_left_behind_shows_nothing(full, tmp_path):
    file = tmp_path / "cadran_policy.yml"
    file.write_text("roles: {a: {metrics: [gone]}, b: {metrics: '*'}}")
    gate = PolicyGate(policies.read(file))
    assert isinstance(refusal(gate, full, "b", metrics=["revenue"]), NotAllowedError)


def test_days_and_metrics_without_a_policy_are_as_governed_as_ever(full):
    gate = PolicyGate()
    allowed = allow(gate, full, metrics=["revenue"], group_by=["metric_time"])
    assert [group.column for group in allowed.query.group_by] == ["metric_time__day"]
    assert allowed.role is None
    with pytest.raises(NotGovernedError):
        allow(gate, full, metrics=["revenue"], group_by=["customer__country"])
    rows = full.answer(allowed.query).to_arrow()
    assert rows["metric_time__day"][0].as_py() == dt.date(2026, 1, 1)


# The command -----------------------------------------------------------------------------------


@pytest.fixture
def command(guarded, tmp_path, capsys):
    """Runs `cadran policy` on the shop; gives its exit code and what it says."""
    (tmp_path / "cadran_policy.yml").write_text(POLICY)
    database = guarded.parents[1] / "guarded.duckdb"
    place = ["--manifest", guarded, "--database", database]

    def run(*words, policy=tmp_path / "cadran_policy.yml"):
        code = main(["policy", *words, *map(str, place), "--policy", str(policy)])
        out = capsys.readouterr()
        return code, out.out + out.err

    return run


def test_the_command_shows_the_sql_and_the_rows_of_a_role(command, layers):
    asked = ["test", "--as", "france", "--metrics", "revenue", "--group-by", "metric_time__month"]
    code, said = command(*asked, "--format", "csv")
    assert code == 0
    assert said.startswith("allowed as france\n")
    assert "customer__country = 'FR'" in said
    france = layers[1].query(["revenue"], ["metric_time__month"]).to_arrow().to_pylist()
    for row in france:
        assert f"{row['metric_time__month']},{row['revenue']}\n" in said
    code, said = command(*asked, "--sql-only")
    assert code == 0
    assert "2026-01-01" not in said


def test_the_command_says_why_a_role_is_refused(command):
    code, said = command("test", "--as", "north", "--metrics", "revenue")
    assert (code, said[:37]) == (1, "refused: There is no metric 'revenue'")
    code, said = command("test", "--as", "north, all", "--metrics", "revenue", "--sql-only")
    assert said.startswith("allowed as all\n")
    code, said = command("test", "--as", "nort", "--metrics", "revenue")
    assert code == 2
    assert "Did you mean 'north'" in said


def test_the_command_hides_what_a_role_would_not_see(command):
    asked = ["test", "--as", "all", "--metrics", "satisfaction_rate", "--group-by", "answer__team"]
    _, said = command(*asked, "--format", "csv")
    assert "\nrare,\n" in said


def test_the_command_shows_what_a_role_may_see(command, tmp_path):
    assert "france" in command("show")[1]
    code, said = command("show", "--as", "france", "--format", "json")
    assert code == 0
    seen = {row["metric"]: row for row in json.loads(said)}
    assert set(seen) == {
        "revenue", "amount_per_order", "orders", "buyers", "visit_conversion",
        "customer_conversions",
    }  # fmt: skip
    assert seen["revenue"]["dimensions"] == ["customer__segment", "order_id__channel"]
    assert seen["revenue"]["refused"] == ""
    assert "cannot be told apart" in seen["visit_conversion"]["refused"]
    code, said = command("show", policy=tmp_path / "none.yml")
    assert code == 2
    assert "There is no policy" in said

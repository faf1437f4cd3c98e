"""Filters from a network: what passes, what does not, and ten thousand that mean harm."""

from __future__ import annotations

import random
import re

import pytest
from jinja2.sandbox import ImmutableSandboxedEnvironment

from cadran.core.query.filters import LONGEST, read
from cadran.core.query.request import Fields, GroupBy
from cadran.errors import QueryError

FIELDS = Fields(
    times=frozenset({"metric_time", "ordered_date"}),
    entities=frozenset({"customer", "order_id"}),
    grains=frozenset({"day", "month", "shop_week"}),
)


@pytest.mark.parametrize(
    ("written", "understood"),
    [
        ("customer__country = 'FR'", "{{ Dimension('customer__country') }} = 'FR'"),
        (
            "{{Dimension('Customer__Country')}}<>'FR'",
            "{{ Dimension('customer__country') }} <> 'FR'",
        ),
        ("'FR' = customer__country", "{{ Dimension('customer__country') }} = 'FR'"),
        ("5 < a__b", "{{ Dimension('a__b') }} > 5"),
        ("(a__b) >= (-1.50)", "{{ Dimension('a__b') }} >= -1.50"),
        ("a__b in ('x', 'it''s')", "{{ Dimension('a__b') }} in ('x', 'it''s')"),
        ("a__b not in (1, 2)", "not ({{ Dimension('a__b') }} in (1, 2))"),
        ("a__b not like 'w%'", "{{ Dimension('a__b') }} not like 'w%'"),
        ("a__b ilike '%é%'", "{{ Dimension('a__b') }} ilike '%é%'"),
        ("a__b is not null", "not ({{ Dimension('a__b') }} is null)"),
        ("a__b is true", "{{ Dimension('a__b') }} is true"),
        ("not a__b", "not ({{ Dimension('a__b') }})"),
        (
            "a or b and c",
            "({{ Dimension('a') }} or ({{ Dimension('b') }} and {{ Dimension('c') }}))",
        ),
        (
            "metric_time__month between '2026-01-01' and '2026-02-01'",
            "{{ TimeDimension('metric_time', 'month') }} between '2026-01-01' and '2026-02-01'",
        ),
        (
            "{{ Dimension('metric_time').grain('day') }} = date '2026-01-31'",
            "{{ TimeDimension('metric_time', 'day') }} = date '2026-01-31'",
        ),
        (
            "order_id__ordered_date < cast('2026-01-31T18:00' as timestamp)",
            "{{ TimeDimension('order_id__ordered_date') }} < timestamp '2026-01-31 18:00:00'",
        ),
        (
            "{{ TimeDimension('metric_time', time_granularity_name='MONTH') }} is null",
            "{{ TimeDimension('metric_time', 'month') }} is null",
        ),
        ("{{ Entity('customer') }} = 'c1'", "{{ Entity('customer') }} = 'c1'"),
        ("customer = 'c1'", "{{ Entity('customer') }} = 'c1'"),
        (
            "{{ Dimension('a__b', entity_path=['order_id']) }} = 'x'",
            "{{ Dimension('a__b', entity_path=['order_id']) }} = 'x'",
        ),
        ("a__b = 'x -- y; /* z */ $$'", "{{ Dimension('a__b') }} = 'x -- y; /* z */ $$'"),
        ("a__b = '/v1/{id}'", "{{ Dimension('a__b') }} = '/v1/{id}'"),
        (
            "a__b = '{{ Dimension(\"x\") }}'",
            "{{ Dimension('a__b') }} = '{{ Dimension(\"x\") }}'",
        ),
        ("a__b = '{% raw %}{# x #}'", "{{ Dimension('a__b') }} = '{% raw %}{# x #}'"),
        ("a__b = 'cadran_field_0 \\'", "{{ Dimension('a__b') }} = 'cadran_field_0 \\'"),
    ],
)
def test_a_filter_is_written_down_again_as_it_was_understood(written, understood):
    assert read(written, FIELDS, remote=True) == understood
    # The layer reads what was written anew, and takes it as it is.
    assert read(understood) == understood


@pytest.mark.parametrize(
    "written",
    [
        "",
        "1 = 1",
        "a__b = a__c",
        "a__b = 1 -- so",
        "a__b = /* so */ 1",
        "a__b = 1; drop table x",
        "a__b in (select 1)",
        "a__b = (select 1)",
        "exists (select 1)",
        "read_csv('/etc/passwd') = 1",
        "lower(a__b) = 'x'",
        "a__b::int = 1",
        "cast(a__b as date) = '2026-01-01'",
        "a__b + 1 = 2",
        "a__b || 'x' = 'yx'",
        "a__b = 'x' 'y'",
        "a__b = 'x' || 'y'",
        "a__b = current_date",
        "a__b = date '2026-13-01'",
        "a__b = null",
        "a__b = 1e309",
        "a__b = $$x$$",
        "a__b = e'x'",
        "a__b = ?",
        "a__b = $1",
        "a__b in ()",
        "a__b in ('x', 1)",
        "a__b like 1",
        "a__b similar to 'x'",
        "a__b like 'x' escape '!'",
        "t.a__b = 1",
        "a__b[1] = 1",
        "(a__b, a__c) in ((1, 2))",
        "case when a__b then 1 end = 1",
        "a__b = any (['x'])",
        "a__b is distinct from 1",
        "rank() over (order by a__b) = 1",
        "list_transform([1], lambda x: x) = 1",
        '"a b" = 1',
        "a__b = \u2019x\u2019",
        "a__b = 'x\x00'",
        "a__b = 'x\ny'",
        "a__b = '\ud800'",
        "{{ Metric('revenue', ['customer']) }} > 1",
        "{{ Dimension('a' ~ 'b') }} = 1",
        "{{ ''.__class__ }} = 1",
        "{{ 'x' * 1000000000 }} = 1",
        "{{ Dimension('a__b') }}{{ Dimension('a__c') }}",
        "{{ Dimension('a__b').descending(True) }} = 1",
        "{{ Dimension(*['a__b']) }} = 1",
        "{{ Dimension('a b') }} = 1",
        "{% if true %}a__b = 1{% endif %}",
        "{# a #} a__b = 1",
        "cadran_field_0 = 1",
        "{{ Dimension('a__b') }} = 1 and cadran_field_1 = 1",
        "a__b = 1 limit 1",
        "a__b = 1 union select 1",
        "a__b as c",
        "pragma version",
        "attach 'x'",
        "(" * 50 + "a__b" + ")" * 50,
        "not " * 50 + "a__b",
        " and ".join(["a__b = 1"] * 102),
        "a__b = 1" + " " * LONGEST,
        "- " * 3000 + "1 = a__b",
        "[" * 3000,
        "{{" * 1500,
    ],
)
def test_whatever_else_stands_in_a_filter_it_is_refused_in_one_sentence(written):
    with pytest.raises(QueryError) as refusal:
        read(written, FIELDS, remote=True)
    assert len(str(refusal.value)) < 700


def test_a_filter_tells_what_is_compared_with_what():
    condition = read(
        "a__b > 5 and metric_time__day = '2026-01-01' and a__c is null", FIELDS, remote=True
    )
    assert [(field.group, kind) for field, kind in condition.compared] == [
        (GroupBy("a__b"), "number"),
        (GroupBy("metric_time", "day"), "text"),
        (GroupBy("a__c"), "nothing"),
    ]


def test_a_hundred_conditions_are_not_too_many():
    assert read(" or ".join(["a__b = 1"] * 100), FIELDS, remote=True).count(" or ") == 99


PIECES = [
    *("'", '"', "`", "\u2019", "\u201c", "''", "'''", "\\'", "\\", "$$", "$tag$", "--", "/*", "*/"),
    *(";", "(", ")", "((", "))", "[", "]", "{", "}", "{{", "}}", "{%", "%}", "{#", "#}", ",", "."),
    *("::", ":", ":=", "=>", "->", "->>", "?", "$1", "@", "#", "&", "|", "||", "^", "~", "!"),
    *("\x00", "\x1a", "\ud800", "\u202e", "\u2028", "\ufeff", "\t", "\n", "\r", "é", "日本", "🙂"),
    *("select", "from", "union all", "drop table orders", "attach 'x.db'", "pragma version"),
    *("copy orders to '/tmp/x'", "install httpfs", "set memory_limit = '1kb'", "call pragma()"),
    *("read_csv('/etc/passwd')", "read_text('/etc/passwd')", "getenv('HOME')", "version()"),
    *("current_setting('threads')", "sleep(9)", "range(1e9)", "lambda x: x", "x -> x + 1"),
    *("row_number() over ()", "sum(amount)", "exists (select 1)", "(select 1)", "case when true"),
    *("then 1 end", "cast('1' as int)", "try_cast(a as int)", "::date", "interval '1' day"),
    *("1e309", "1e308", "-1", "0x1F", "1_000", "99999999999999999999999999999999999999999", "nan"),
    *("{{ Dimension('order_id__channel') }}", "{{ Dimension('customer__country') }}"),
    *("{{ TimeDimension('metric_time', 'day') }}", "{{ Entity('customer') }}", "{{ Metric('x') }}"),
    *("{{ Dimension('order_id__channel').grain('day') }}", "{{ 7 * 7 }}", "{{ self.__init__ }}"),
    *("{{ cycler.__init__.__globals__ }}", "{% for x in range(9) %}", "{{ Dimension('a' ~ 'b') }}"),
    *("{{ Dimension('x', entity_path=['y']) }}", "{{ Dimension(\"x') or 1=1\") }}"),
    "cadran_field_0",
    *("order_id__channel", "customer__country", "metric_time__day", "customer", "amount", "orders"),
    *("'web'", "'FR'", "'DE'", "'it''s'", "date '2026-01-31'", "timestamp '2026-01-31 10:00'", "5"),
    *("true", "false", "null", "default", "unknown", "infinity"),
]  # fmt: skip
WORDS = [
    *(" and ", " or ", " not ", " in ", " between ", " like ", " ilike ", " is ", " is null"),
    *(" = ", " <> ", " < ", " >= ", " similar to ", " glob ", " as "),
    *(" collate nocase ", " limit 1", " "),
]  # fmt: skip


FORMS = [
    *("{} = {}", "{} <> {}", "{} >= {}", "not {} = {}", "{} in ({}, {})", "{} between {} and {}"),
    *("{} is null", "{} is not null", "{} like {}"),
]


def hostile(chance: random.Random) -> str:
    """A string that means harm, or that comes near to a filter."""
    kind = chance.random()
    if kind < 0.35:
        return "".join(
            chance.choice(PIECES) + chance.choice(WORDS) for _ in range(chance.randint(1, 9))
        )
    if kind < 0.8:
        text = sound(chance)
        for _ in range(chance.randint(0, 2)):  # one or two wounds, or none
            at = chance.randrange(len(text) + 1)
            cut = min(len(text), at + chance.randint(0, 3))
            text = text[:at] + chance.choice([*PIECES, *WORDS, ""]) + text[cut:]
        return text
    if kind < 0.95:
        return "".join(chance.choice(PIECES) for _ in range(chance.randint(1, 30)))
    opening, closing = chance.choice([("(", ")"), ("not (", ")"), ("{{", "}}"), ("[", "]")])
    depth = chance.randint(1, 1200)
    return opening * depth + chance.choice(PIECES) + closing * chance.choice([depth, depth - 1])


def sound(chance: random.Random, deep: int = 0) -> str:
    """A filter as somebody might write it who tries to see other rows."""
    if deep < 3 and chance.random() < 0.5:
        joined = chance.choice([" and ", " or "]).join(
            sound(chance, deep + 1) for _ in range(chance.randint(2, 3))
        )
        return chance.choice(["({})", "not ({})", "{}"]).format(joined)
    field, values = chance.choice(
        [
            ("order_id__channel", ["'web'", "'app'", "'café ☕ '''"]),
            ("{{ Dimension('customer__country') }}", ["'FR'", "'DE'", "''"]),
            ("customer__country", ["'FR'", "'DE'", "'%'"]),
            ("{{ TimeDimension('metric_time', 'day') }}", ["'2026-02-01'", "date '2026-01-31'"]),
            ("{{ Entity('customer') }}", ["'c1'", "'c2'"]),
        ]
    )
    form = chance.choice(FORMS)
    if "like" in form and "metric_time" in field:
        form = "{} < {}"
    values = [value for value in values if value.startswith("'") == values[0].startswith("'")]
    return form.format(field, chance.choice(values), chance.choice(values))


JINJA = ImmutableSandboxedEnvironment()
ALLOWED = re.compile(
    r"""\{\{\ (Dimension|TimeDimension|Entity)\('[a-z0-9_]+'(,\ '[a-z0-9_]+')?
        (,\ entity_path=\['[a-z0-9_]+'(,\ '[a-z0-9_]+')*\])?\)\ \}\}
    |'(?:[^'\x00-\x1f]|'')*'
    |-?\d*\.?\d+(?:[eE][+-]?\d+)?|\d+\.
    |\b(?:and|or|not|in|between|like|ilike|is|null|true|false|date|timestamp)\b
    |<>|<=|>=|[=<>(),]|\ """,
    re.VERBOSE,
)


def test_of_ten_thousand_hostile_filters_none_gets_more_through_than_the_grammar_has():
    chance = random.Random(20_261_130)  # noqa: S311 - the same strings each time
    passed = longest = 0
    for _ in range(10_000):
        text = hostile(chance)
        try:
            condition = read(text, FIELDS, remote=True)
        except QueryError as refusal:
            longest = max(longest, len(str(refusal)))
            continue
        passed += 1
        assert ALLOWED.sub("", condition) == "", (text, condition)
        assert read(str(condition)) == condition
        # MetricFlow's templates give each value back as it was written.
        columns = dict.fromkeys(("Dimension", "TimeDimension", "Entity"), lambda *_, **__: "x")
        assert JINJA.from_string(condition.template).render(columns) == condition.sql(lambda _: "x")
    assert 1_000 < passed < 6_000  # both sides were tried
    assert longest < 700


def test_filters_that_pass_show_no_row_outside_of_a_role(shop):
    chance = random.Random(7)  # noqa: S311 - the same filters each time
    fields = Fields.of(shop.project.semantic_manifest)
    rows = 0
    for _ in range(80):
        condition = read(sound(chance), fields, remote=True)
        found = shop.query(
            ["orders"],
            ["order_id__channel", "customer__country", "customer"],
            where=[condition],
            confined=["{{ Dimension('customer__country') }} = 'FR'"],
        ).to_arrow()
        rows += found.num_rows
        assert set(found["customer__country"].to_pylist()) <= {"FR"}
        assert set(found["customer"].to_pylist()) <= {"c1"}
    assert rows > 30

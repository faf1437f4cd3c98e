"""Lines are added to YAML that people wrote; nothing else of it changes."""

from __future__ import annotations

import difflib

import pytest
import yaml

from cadran.formats.yaml_text import (
    NotInsertableError,
    composed,
    items_of,
    with_item,
    with_key,
)

BLOCK = """\
# the shop
metrics:
  - name: orders   # all of them
    expr: >
      a
      + b

  # the next one
  - name: visits
    config:
      meta: {team: web}
  - {name: sales, type: simple, expr: "a {b}, 'c'"}
  - {name: returns,
     type: simple}
"""


def metric(text, name):
    return next(m for m in items_of(composed(text), "metrics") if m.value[0][1].value == name)


@pytest.mark.parametrize("name", ["orders", "sales"])
def test_a_card_is_put_under_its_metric_and_every_other_line_stays(name):
    path = ("config", "meta", "kpi")
    changed = with_key(BLOCK, metric(BLOCK, name), path, "tier: operational\n")
    expected = yaml.safe_load(BLOCK)
    entry = next(m for m in expected["metrics"] if m["name"] == name)
    entry["config"] = {"meta": {"kpi": {"tier": "operational"}}}
    assert yaml.safe_load(changed) == expected
    compared = difflib.ndiff(BLOCK.splitlines(), changed.splitlines())
    gone = [line for line in compared if line.startswith("-")]
    assert not [line for line in gone if "{name: sales" not in line or name != "sales"]


def test_a_mapping_in_braces_on_the_way_is_opened():
    changed = with_key(BLOCK, metric(BLOCK, "visits"), ("config", "meta", "kpi"), "tier: x\n")
    assert yaml.safe_load(changed)["metrics"][1]["config"] == {
        "meta": {"team": "web", "kpi": {"tier": "x"}}
    }


def test_what_cannot_be_put_in_line_by_line_is_refused():
    with pytest.raises(NotInsertableError, match="braces over several lines"):
        with_key(BLOCK, metric(BLOCK, "returns"), ("config",), "a: 1\n")
    with pytest.raises(NotInsertableError, match="there already"):
        with_key(BLOCK, metric(BLOCK, "orders"), ("expr",), "a: 1\n")
    with pytest.raises(NotInsertableError, match="no entry"):
        with_key(BLOCK, None, ("config",), "a: 1\n")


@pytest.mark.parametrize("head", ["|", "|+", "|-", ">", ">+ # folded", "|2", "&text |", ">2+"])
def test_a_text_that_ends_without_an_end_of_line_keeps_what_it_holds(head):
    text = f"metrics:\n  - name: a\n    description: {head}\n      Two\n      lines"
    changed = with_key(text, metric(text, "a"), ("config",), "b: 1\n")
    (entry,) = yaml.safe_load(text)["metrics"]
    assert yaml.safe_load(changed)["metrics"] == [entry | {"config": {"b": 1}}]
    assert changed.splitlines()[3:5] == ["      Two", "      lines"]
    added = yaml.safe_load(with_item(text, composed(text), "metrics", "name: c\n"))
    assert added["metrics"] == [entry, {"name": "c"}]


def test_an_item_is_added_to_a_list_that_is_there_or_is_made():
    changed = with_item(BLOCK, composed(BLOCK), "metrics", "name: more\ntype: ratio\n")
    assert yaml.safe_load(changed)["metrics"][-1] == {"name": "more", "type": "ratio"}
    changed = with_item("a: 1", composed("a: 1"), "metrics", "name: more\n")
    assert changed == "a: 1\nmetrics:\n  - name: more\n"


ALIASED = """\
shared:
  c: &c
    enabled: true
  base: &base
    type: simple
  carded: &carded
    config: {enabled: true}
metrics:
  - name: a
    config: *c
  - name: b
    <<: *base
  - name: d
    <<: [*base, *carded]
  - &e
    name: e
    config: &own
      group: x
  - name: f
    config: {tags: *c, group: x}
more: {config: *own}
again:
  - *e
"""


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("a", "'config' is an alias of what stands elsewhere"),
        ("d", "'config' is merged from what stands elsewhere"),
        ("e", "the lines would stand elsewhere"),
        ("f", "in braces, with an alias"),
    ],
)
def test_nothing_is_written_where_an_alias_stands(name, sentence):
    with pytest.raises(NotInsertableError, match=sentence):
        with_key(ALIASED, metric(ALIASED, name), ("config", "meta", "kpi"), "a: 1\n")


def test_a_mapping_that_ends_with_an_alias_takes_lines_below_it():
    changed = with_key(ALIASED, metric(ALIASED, "b"), ("config", "meta", "kpi"), "a: 1\n")
    expected = yaml.safe_load(ALIASED)
    expected["metrics"][1]["config"] = {"meta": {"kpi": {"a": 1}}}
    assert yaml.safe_load(changed) == expected
    anchored = "metrics:\n  - name: a\n    config: &c\n      group: x\n"
    changed = with_key(anchored, metric(anchored, "a"), ("config", "meta"), "a: 1\n")
    assert yaml.safe_load(changed)["metrics"][0]["config"] == {"group": "x", "meta": {"a": 1}}


def test_an_item_is_not_put_into_a_list_that_stands_elsewhere():
    for text in ("a: &a\n  - x\nm: *a\n", "m: &m\n  - x\n", "a: &a {b: c}\nm:\n  - x\n  - *a\n"):
        with pytest.raises(NotInsertableError):
            with_item(text, composed(text), "m", "name: more\n")


@pytest.mark.parametrize("name", ["orders", "visits", "sales"])
def test_lines_end_as_those_of_the_text(name):
    text = BLOCK.replace("\n", "\r\n")
    changed = with_key(text, metric(text, name), ("config", "meta", "kpi"), "tier: x\n")
    assert changed.count("\r\n") == changed.count("\n") == changed.count("\r")
    kept = with_key(BLOCK, metric(BLOCK, name), ("config", "meta", "kpi"), "tier: x\n")
    assert changed.replace("\r\n", "\n") == kept

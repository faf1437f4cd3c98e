"""Files of settings: each is read strictly, and what is wrong is said with its place."""

from __future__ import annotations

from typing import Literal

import pytest
from pydantic import BaseModel, ConfigDict

from cadran.access import policy
from cadran.core.ledger import settings as ledger
from cadran.core.project import calendar, checks, contracts
from cadran.core.versions import record
from cadran.errors import CadranError, CardError, PolicyError, ProjectError
from cadran.formats import strict_yaml
from cadran.formats.validation import faults, validated
from cadran.governance.rules import registered
from cadran.server import settings as server

READERS = {
    "cadran_calendar.yml": calendar.read,
    "cadran_checks.yml": lambda root: checks.read(root, set(registered())),
    "cadran_ledger.yml": ledger.read,
    "cadran_policy.yml": lambda root: policy.read(root / "cadran_policy.yml"),
    "cadran_server.yml": lambda root: server.read(root, {}),
    "v1.yml": lambda root: record.read(root, root / "v1.yml"),
    "dbt_project.yml": contracts.load,
}


@pytest.mark.parametrize("name", READERS)
def test_a_key_that_stands_twice_is_an_error_with_file_and_line(tmp_path, name):
    (tmp_path / name).write_text("a: 1\nb:\n  c: 1\n  c: 2\n", encoding="utf-8")
    with pytest.raises(CadranError, match=name) as refused:
        READERS[name](tmp_path)
    assert "line 4: the key 'c' stands twice, on line 3 and on line 4." in str(refused.value)


@pytest.mark.parametrize("name", [name for name in READERS if name != "dbt_project.yml"])
@pytest.mark.parametrize("text", ["- a list\n", "just words\n", "7\n"])
def test_a_file_that_holds_no_keys_says_so(tmp_path, name, text):
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(CadranError, match=r"it takes keys and values\.") as refused:
        READERS[name](tmp_path)
    assert name in str(refused.value)


def test_keys_that_only_look_alike_may_stand_side_by_side(tmp_path):
    text = "a: &base {x: 1}\nb: {<<: *base, x: 2}\n'1': text\n1: number\n"
    assert strict_yaml.parse(text, "f.yml", ProjectError) == {
        "a": {"x": 1}, "b": {"x": 2}, "1": "text", 1: "number",
    }  # fmt: skip
    (tmp_path / "bytes.yml").write_bytes(b"\xff\xfe")
    with pytest.raises(ProjectError, match="cannot be read"):
        strict_yaml.read(tmp_path / "bytes.yml", ProjectError)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("grains: [day, moth]", "key 'grains[2]': is 'moth'; did you mean 'month'? Allowed: "),
        ("grains: day", "key 'grains': is 'day'; it takes a list of "),
        ("dimensions: all", "it takes none, each, or a list of lists of names"),
        ("dimensions: [[customer], [1]]", "key 'dimensions[2][1]': is 1; it takes a text"),
        ("materiality: true", "key 'materiality': is True; it takes a number from 0 up"),
        ("minimum_observations: -1", "it takes a whole number from 0 up"),
        ("kpis: {a: {materialty: 1}}", "'kpis.a.materialty': is unknown; did you mean 'mater"),
    ],
)
def test_the_settings_of_the_ledger_are_read_strictly(tmp_path, text, sentence):
    (tmp_path / ledger.FILE).write_text(text, encoding="utf-8")
    with pytest.raises(CardError) as refused:
        ledger.read(tmp_path)
    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("prt: 1", "key 'prt': is unknown; did you mean 'port'."),
        ("port: 70000", "it takes a port from 0 to 65535."),
        ("seconds: 0", "it takes a number above 0."),
        ("seconds: .inf", "it takes a number above 0."),
        ("tls: {certificate: a.pem}", "key 'tls.key': is missing."),
        ("certificate: a.pem", "TLS needs a certificate and a key"),
        ("hosts: [a, 3]", "key 'hosts[2]': is 3; it takes a text."),
    ],
)
def test_the_settings_of_a_server_are_read_strictly(tmp_path, text, sentence):
    (tmp_path / server.FILE).write_text(text, encoding="utf-8")
    with pytest.raises(ProjectError) as refused:
        server.read(tmp_path, {})
    assert sentence in str(refused.value)


def test_flags_come_before_the_environment_and_that_before_the_file(tmp_path, monkeypatch):
    (tmp_path / server.FILE).write_text(
        "port: 1\nworkers: 2\nrows: 3\nflight_port: none\norigins: [https://a]\n"
    )
    monkeypatch.setenv("CADRAN_SERVER_WORKERS", "4")
    monkeypatch.setenv("CADRAN_SERVER_ROWS", "5")
    monkeypatch.setenv("CADRAN_SERVER_HOSTS", "a.example.com, b.example.com")
    monkeypatch.setenv("CADRAN_SERVER_WARM", "no")
    read = server.read(tmp_path, {"rows": 6, "port": None})
    assert (read.port, read.workers, read.rows, read.flight_port) == (1, 4, 6, None)
    assert read.hosts == ("a.example.com", "b.example.com")
    assert read.origins == ("https://a",)
    assert read.warm is False
    assert read.tokens == tmp_path / "cadran_tokens.json"
    monkeypatch.setenv("CADRAN_SERVER_WORKERS", "many")
    with pytest.raises(ProjectError, match=r"^CADRAN_SERVER_WORKERS is 'many'; it takes a whole"):
        server.read(tmp_path, {})


@pytest.mark.parametrize(
    "text",
    [
        "roles: {a: {metrics: '*', rows: }}",
        "roles: {a: {metrics: '*', limits: }}",
        "roles: {a: {metrics: '*', limits: {rows: }}}",
        "roles: {a: {metrics: [{scope: commerce, tier: }]}}",
        "",
    ],
)
def test_nothing_that_a_policy_leaves_empty_lets_more_be_seen(tmp_path, text):
    (tmp_path / policy.FILE).write_text(text, encoding="utf-8")
    with pytest.raises(PolicyError):
        policy.read(tmp_path / policy.FILE)


class RefusedError(Exception):
    pass


class Group(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str
    grain: Literal["day", "month"] | None = None


class Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")

    metrics: list[str]
    group_by: list[str | Group] = []
    limit: int | None = None


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ({"metric": ["a"]}, ("metric", "is unknown; did you mean 'metrics'")),
        ({"metrics": "a"}, ("metrics", "is 'a'; it takes a list of texts")),
        ({"metrics": ["a", 1]}, ("metrics[2]", "is 1; it takes a text")),
        ({"metrics": [], "limit": "x"}, ("limit", "is 'x'; it takes a whole number")),
        ({"metrics": [], "group_by": [3]},
         ("group_by[1]", "is 3; it takes a text or keys and values")),
        ({"metrics": [], "group_by": [{"name": "x", "grian": "day"}]},
         ("group_by[1].grian", "is unknown; did you mean 'grain'")),
        ({"metrics": [], "group_by": ["x", {"name": "x", "grain": "dya"}]},
         ("group_by[2].grain", "is 'dya'; did you mean 'day'? Allowed: day, month")),
        ({"metrics": [], "group_by": [{"grain": "day"}]}, ("group_by[1].name", "is missing")),
        ([], ("", "is []; it takes keys and values")),
    ],
)  # fmt: skip
def test_a_complaint_of_pydantic_becomes_a_sentence(content, fault):
    with pytest.raises(RefusedError) as refused:
        validated(Asked, content, RefusedError)
    assert refused.value.args == fault


def test_a_long_value_is_not_repeated_whole():
    with pytest.raises(RefusedError, match="…; it takes a list of texts") as refused:
        validated(Asked, {"metrics": "x" * 5000}, RefusedError)
    assert len(str(refused.value)) < 200


def test_every_fault_is_told_and_unknown_keys_first():
    from pydantic import ValidationError

    with pytest.raises(ValidationError) as refused:
        Asked.model_validate({"metric": ["a"], "limit": "x"})
    assert [fault.key for fault in faults(refused.value, Asked)] == ["metric", "metrics", "limit"]

"""What somebody named must exist, and what a policy says holds from when it is written."""

from __future__ import annotations

import os

import pytest

from cadran.access import authorize, tokens
from cadran.access.authorize import PolicyGate
from cadran.access.caller import LOCAL, Caller
from cadran.cli import main
from cadran.core.layer import Layer
from cadran.core.project import artifacts
from cadran.core.query.request import Query
from cadran.errors import NotAllowedError, PolicyError, ProjectError, UnknownNameError
from cadran.server import run, settings
from cadran.server.settings import Settings
from cadran.serving.service import RequestContext

POLICY = """
roles:
  france: {metrics: [revenue], rows: ["customer__country = 'FR'"]}
"""
ALL = 'roles: {france: {metrics: "*", dimensions: "*"}}'
FRANCE = Caller("f", ("france",))
REVENUE = Query.of({"metrics": ["revenue"]})
SEGMENTS = Query.of({"metrics": ["revenue"], "group_by": ["customer__segment"]})


@pytest.fixture
def shop(guarded):
    return artifacts.find(None, guarded, guarded.parents[1] / "guarded.duckdb")


@pytest.fixture
def layer(shop):
    made = Layer(shop)
    yield made
    made.close()


def quiet(home, **more):
    apart = {"tokens": home / "tokens.json", "policy": home / "policy.yml"}
    return Settings(
        port=0, flight_port=None, warm=False, refresh=0.0, audit=home / "audit", **apart | more
    )


@pytest.mark.parametrize("key", ["policy", "tokens"])
@pytest.mark.parametrize("where", ["flag", "variable", "file", "link"])
def test_a_file_that_was_named_and_is_not_there_stops_the_server(tmp_path, monkeypatch, key, where):
    flags = {}
    if where == "flag":
        flags = {key: tmp_path / "nope"}
    elif where == "variable":
        monkeypatch.setenv(f"CADRAN_SERVER_{key.upper()}", "nope")
    elif where == "file":
        (tmp_path / settings.FILE).write_text(f"{key}: nope\n")
    else:
        (tmp_path / getattr(Settings(), key)).symlink_to("nope")
    with pytest.raises(ProjectError, match=r"nope.*does not exist"):
        settings.read(tmp_path, flags)
    if where != "link":
        made = settings.read(tmp_path, flags, makes=("tokens", "policy"))
        assert getattr(made, key) == tmp_path / "nope"


def test_what_nobody_named_need_not_be_there(tmp_path):
    assert settings.read(tmp_path, {}).policy == tmp_path / "cadran_policy.yml"


def test_settings_behind_a_link_that_leads_nowhere_are_no_settings(tmp_path):
    (tmp_path / settings.FILE).symlink_to("nope")
    with pytest.raises(ProjectError, match=r"cadran_server\.yml"):
        settings.read(tmp_path, {})


def test_the_command_says_it_and_ends_with_2(shop, capsys):
    code = main(
        ["serve", "--port", "0", "--manifest", str(shop.semantic_manifest_path),
         "--database", str(shop.database), "--policy", "/nope/policy.yml"]
    )  # fmt: skip
    assert code == 2
    assert "--policy names /nope/policy.yml" in capsys.readouterr().err


def test_a_token_with_a_role_and_no_policy_stops_the_server(shop, tmp_path):
    tokens.create(tmp_path / "tokens.json", "fay", roles=("france",))
    with pytest.raises(PolicyError, match="token of fay has the role france"):
        run.prepare(shop, quiet(tmp_path))
    tokens.revoke(tmp_path / "tokens.json", "fay")
    house, _ = run.prepare(shop, quiet(tmp_path))
    house.service.close()


def test_a_role_that_no_policy_knows_sees_nothing(layer):
    gate = PolicyGate()
    assert gate.allow(LOCAL, REVENUE, layer).role is None
    with pytest.raises(NotAllowedError, match="no policy here"):
        gate.allow(FRANCE, REVENUE, layer)


def test_an_edited_policy_holds_while_the_server_runs(layer, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(authorize, "_LOOK", 0.0)
    file = tmp_path / "policy.yml"
    file.write_text(ALL)
    gate = authorize.gate(file)
    before, edition = gate.allow(FRANCE, SEGMENTS, layer), gate.edition
    assert not before.query.confined

    file.write_text(POLICY)
    assert gate.edition != edition
    after = gate.allow(FRANCE, REVENUE, layer)
    assert after.query.confined
    assert after.policy == gate.edition != before.policy
    with pytest.raises(UnknownNameError):
        gate.allow(FRANCE, SEGMENTS, layer)

    held = gate.edition
    for broken in ("roles: {", "roles: {france: {metrics: [no_such_metric]}}"):
        file.write_text(broken)
        assert gate.edition == held
        assert gate.allow(FRANCE, REVENUE, layer).query.confined
    file.unlink()
    assert gate.allow(FRANCE, REVENUE, layer).query.confined
    assert caplog.text.count("the policy that was known before goes on") == 3


def test_answers_of_the_policy_before_are_not_handed_out(shop, tmp_path, monkeypatch):
    monkeypatch.setattr(authorize, "_LOOK", 0.0)
    file = tmp_path / "policy.yml"
    file.write_text(ALL)
    house, _ = run.prepare(shop, quiet(tmp_path))
    try:
        whole = house.service.ask(RequestContext(FRANCE, "rest"), REVENUE)
        assert house.service.cached(RequestContext(FRANCE, "rest"), REVENUE) is not None
        file.write_text(POLICY)
        os.utime(file)
        assert house.service.cached(RequestContext(FRANCE, "rest"), REVENUE) is None
        part = house.service.ask(RequestContext(FRANCE, "rest"), REVENUE)
        assert not part.cached
        assert part.table != whole.table
    finally:
        house.service.close()

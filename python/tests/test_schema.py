"""The JSON Schemas that are shipped: made from the types, and of one mind with the readers."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml
from test_cards import RIGHT

from cadran.cli import main
from cadran.cli.schema import schemas, text_of

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "python" / "cadran" / "schemas"


def complaints(name, content):
    """What a schema says of a file, as an editor would show it."""
    schema = schemas()[f"{name}.schema.json"]
    checker = jsonschema.Draft202012Validator(schema)
    found = checker.iter_errors(json.loads(json.dumps(content, default=str)))
    return [error.message for error in found]


def test_the_schemas_that_are_shipped_are_those_of_the_types():
    made = {name: text_of(schema) for name, schema in schemas().items()}
    shipped = {path.name: path.read_text(encoding="utf-8") for path in SHIPPED.glob("*.json")}
    assert made == shipped, "run: cadran schema --out python/cadran/schemas"


def test_the_command_writes_them(tmp_path, capsys):
    assert main(["schema", "--out", str(tmp_path / "new")]) == 0
    listed = capsys.readouterr().out.split()
    assert {Path(line).name for line in listed} == set(schemas())
    for line in listed:
        jsonschema.Draft202012Validator.check_schema(json.loads(Path(line).read_text()))


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("metrics", "metrics/**/*.yml"),
        ("metrics", "semantic_models/**/*.yml"),
        ("cadran_alerts", "cadran_alerts.yml"),
        ("cadran_checks", "cadran_checks.yml"),
        ("cadran_policy", "examples/**/cadran_policy*.yml"),
        ("cadran_server", "examples/**/cadran_server.yml"),
        ("version", "versions/*/v1.yml"),
    ],
)
def test_every_file_of_the_project_is_right_by_its_schema(name, pattern):
    files = list(ROOT.glob(pattern))
    assert files
    for file in files:
        assert complaints(name, yaml.safe_load(file.read_text(encoding="utf-8"))) == [], file


def metric(**changes):
    return {"metrics": [{"name": "x", "config": {"meta": {"kpi": RIGHT | changes}}}]}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"dimension": []}, "'dimension' was unexpected"),
        ({"tier": "strategc"}, "'strategc' is not one of"),
        ({"grains": []}, "[]"),
        ({"grains": ["day", "day"]}, "non-unique"),
        ({"version": 0}, "less than the minimum"),
        ({"owner": {"business": "sales", "technical": "data@example.com"}}, "does not match"),
        ({"refresh": {"every": "hourly", "late_after": "1 day"}}, "does not match"),
    ],
)
def test_what_the_reader_refuses_the_schema_refuses(changes, said):
    assert complaints("metrics", metric()) == []
    [complaint] = complaints("metrics", metric(**changes))
    assert said in complaint


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("cadran_checks", {"rule": {}}),
        ("cadran_checks", {"waivers": [{"rule": "OWN01", "kpi": "a", "reason": "x"}]}),
        ("cadran_ledger", {"grains": ["moth"]}),
        ("cadran_policy", {"roles": {"a": {"metrics": "revenue"}}}),
        ("cadran_policy", {"roles": {"a": {"metrics": "*", "limits": {"rows": 0}}}}),
        ("cadran_server", {"port": 70000}),
        ("cadran_server", {"tls": {"certificate": "a"}}),
    ],
)
def test_settings_that_are_refused_are_refused_by_their_schema(name, content):
    assert complaints(name, content)

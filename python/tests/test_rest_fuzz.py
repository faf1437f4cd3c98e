"""The REST description against the real server: nothing fails, and all is as described."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import httpx
import jsonschema
import pytest

from cadran.server.rest.openapi import Description

pytest_plugins = ("rest_fixtures",)

# A question can be well formed and make no sense (start after end), or ask for a page that is gone:
# that is refused, and the description cannot say it.
SETTINGS = """
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "3xx", 400, 401, 403, 404, 410, 413, 414, 429, 431]
[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 405, 406, 410, 413, 414, 415, 429, 431]
"""


def test_the_server_does_what_its_description_says(rest_project, another, tmp_path, monkeypatch):
    monkeypatch.setenv("CADRAN_JOURNAL", str(tmp_path / "journal"))
    (tmp_path / "schemathesis.toml").write_text(SETTINGS)
    with another(rest_project, rows=20_000, seconds=20.0) as running:
        done = subprocess.run(
            [Path(sys.executable).with_name("schemathesis"), "run",
             f"{running.http}/api/v1/openapi.json", "--max-examples", "6", "--seed", "7",
             "--checks", "all", "--no-color", "--workers", "2", "--request-timeout", "20"],
            cwd=tmp_path, env=os.environ | {"SCHEMATHESIS_HOOKS": ""}, capture_output=True,
            text=True, timeout=240, check=False,
        )  # fmt: skip
        assert done.returncode == 0, shortened(done.stdout)
        assert "21 / 21" in done.stdout or "Tested: 21" in done.stdout, shortened(done.stdout)
        assert httpx.get(f"{running.http}/health/ready").status_code == 200


def shortened(text):
    return "\n".join(line[:400] for line in text.splitlines()[-120:])


@pytest.mark.parametrize("path", ["/openapi.json", "/docs", ""])
def test_the_description_needs_nothing_from_elsewhere(rest, path):
    reply = rest.get(path)
    assert reply.status_code == 200
    assert "http://" not in reply.text.replace(str(rest.base_url), "")
    assert "https://" not in reply.text
    assert "<script" not in reply.text


def test_every_example_is_one_that_its_schema_takes():
    server = SimpleNamespace(who=SimpleNamespace(open=True))
    document = Description(server).document
    held = 0

    def hold(schema, example):
        nonlocal held
        whole = schema | {"components": document["components"]}
        jsonschema.Draft202012Validator(whole).validate(example)
        held += 1

    for methods in document["paths"].values():
        for operation in methods.values():
            for parameter in operation["parameters"]:
                assert "example" in parameter or not parameter["required"], parameter["name"]
                if "example" in parameter:
                    hold(parameter["schema"], parameter["example"])
            if "requestBody" in operation:
                (content,) = operation["requestBody"]["content"].values()
                hold(content["schema"], content["schema"]["example"])
    assert held > 40

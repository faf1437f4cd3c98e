"""The page on tools, docs/bi.md: what it tells people to run, runs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from cadran.cli.app import parser_of
from cadran.server import settings

pytest_plugins = ("rest_fixtures",)

PAGE = Path(__file__).resolve().parents[2] / "docs" / "bi.md"
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture(scope="module")
def everything(rest_project, another):
    """A server with all its ports."""
    with another(rest_project, flight_port=0) as running:
        yield running


def run_block(running, command, block, folder):
    flight = running.flight or ""
    for port, address in (("8765", running.http), ("8766", flight)):
        block = block.replace(f":{port}", f":{address.rpartition(':')[2]}")
    named = {"CADRAN": running.http, "CADRAN_TOKEN": "any", "CADRAN_FLIGHT": flight}
    done = subprocess.run(
        [*command, block], env=os.environ | named, cwd=folder, capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.parametrize("block", [b for kind, b in BLOCKS if kind == "bash" and "curl" in b])
def test_the_curl_commands_of_the_page_on_tools_run(everything, block, tmp_path):
    failing = 'curl() { command curl --fail-with-body "$@"; }\n'
    shown = run_block(everything, ["bash", "-euo", "pipefail", "-c"], failing + block, tmp_path)
    assert "net_revenue" in shown
    files = [path.read_bytes()[:4] for path in tmp_path.iterdir()]
    assert files in ([b"PAR1"], [b"PK\x03\x04"])


# Those of packages that are not in the lock run in test_python_clients.py.
PROGRAMS = [b for kind, b in BLOCKS if kind == "python" and not re.search("sqlalchemy|ibis", b)]


@pytest.mark.parametrize("block", PROGRAMS)
def test_the_programs_of_the_page_on_tools_run(everything, layer, block, tmp_path):
    shown = run_block(everything, [sys.executable, "-c"], block, tmp_path)
    first = layer.query("net_revenue", "metric_time__year").to_arrow()
    assert "net_revenue" in shown
    if "mcp" in block:
        assert str(first.column("net_revenue")[0].as_py()) in shown


def test_the_configuration_of_agents_on_the_page_is_json_and_starts_a_command():
    block = next(b for kind, b in BLOCKS if kind == "json" and '"kpis"' in b)
    local = json.loads(block)["mcpServers"]["kpis"]
    assert local["command"] == "cadran"
    assert parser_of("mcp").parse_args(local["args"]).project_dir == Path("/srv/kpis")


def test_the_example_of_settings_holds_the_defaults():
    told = settings.read(PAGE.parents[1] / "examples" / "deploy", {}, makes=("tokens", "policy"))
    default = settings.Settings()
    apart = {"memory", "threads", "tokens", "policy", "audit"}
    for field in fields(default):
        if field.name not in apart:
            assert getattr(told, field.name) == getattr(default, field.name), field.name

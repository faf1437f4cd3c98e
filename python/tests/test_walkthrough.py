"""The walk-through of docs/walkthrough.md, command by command, on a copy of the project."""

from __future__ import annotations

import csv
import datetime as dt
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path

import pytest
import yaml

import cadran

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "walkthrough.md"


def blocks(language, page=PAGE):
    return re.findall(
        rf"^```{language}\n(.*?)^```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE
    )


def shown(page=PAGE):
    """The commands of a page in their order."""
    text = "\n".join(blocks("console", page)).replace("\\\n", " ")
    return [shlex.split(line[2:]) for line in text.splitlines() if line.startswith("$ ")]


def applied(root, page=PAGE):
    """Make the edit that a page shows."""
    path, lines, at, has_context = None, [], 0, False
    pending = []
    for line in [*blocks("diff", page)[0].splitlines(), "--- a/"]:
        if line.startswith("--- a/"):
            lines[at:at] = pending
            if path:
                path.write_text("\n".join(lines) + "\n", encoding="utf-8")
            path, at, pending, has_context = root / line[6:], 0, [], False
            lines = path.read_text("utf-8").splitlines() if path.is_file() else []
        elif line.startswith("+"):
            pending.append(line[1:])
        else:
            if has_context:
                lines[at:at] = pending
                at, pending = at + len(pending), []
            found = lines.index(line[1:], at)
            if line.startswith("-"):
                del lines[found]
                at = found
            else:
                lines[found:found] = pending
                at = found + len(pending) + 1
            pending, has_context = [], True


@pytest.fixture(scope="module")
def company(demo, tmp_path_factory):
    """A copy of the project with the demo's warehouse, in which commands run as Ana."""
    assert demo.returncode == 0, demo.log[-3000:]
    home = tmp_path_factory.mktemp("walk") / "project"
    ignored = shutil.ignore_patterns(".git", ".venv", "target", "data", "*.duckdb*", "logs")
    shutil.copytree(ROOT, home, ignore=ignored)
    shutil.copy(demo.database, home / "warehouse.duckdb")
    shutil.copytree(demo.target, home / "target")
    shutil.rmtree(home / "target" / "cadran", ignore_errors=True)  # plans are made anew
    variables = yaml.safe_load((home / "vars.yml").read_text("utf-8"))
    variables["vars"]["cadran_sources"] = str(demo.data)
    (home / "vars.yml").write_text(yaml.safe_dump(variables))
    # What the page shows, and no more: the whole card takes its time.
    published = {"grains": ["month"], "dimensions": [[], ["order_id__channel"]]}
    (home / "cadran_ledger.yml").write_text(yaml.safe_dump(published))
    tools = Path(sys.executable).parent
    environment = os.environ | {
        "CADRAN_AUTHOR": "ana@example.com", "CADRAN_DATABASE": str(home / "warehouse.duckdb"),
        "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}", "DO_NOT_TRACK": "1",
    }  # fmt: skip
    subprocess.run(["dbt", "-q", "parse"], cwd=home, env=environment, check=True)

    def run(words):
        return subprocess.run(
            words, cwd=home, env=environment, capture_output=True, text=True, check=False
        )

    run.home = home
    return run


def rows(ran):
    assert ran.returncode == 0, ran.stderr
    return list(csv.DictReader(io.StringIO(ran.stdout)))


@pytest.mark.skipif(
    not os.environ.get("CADRAN_TEST_WALKTHROUGH"),
    reason="the whole walk-through takes six minutes: set CADRAN_TEST_WALKTHROUGH, or run"
    " `make test-walkthrough`",
)
def test_a_changed_definition_is_seen_recorded_and_never_hides_what_was_said(company):
    commands = shown()
    assert [words[1] for words in commands if words[0] == "cadran"] == [
        "publish", "close", "check", "bump", "query", "query", "publish", "query", "query",
        "explain", "explain", "verify",
    ]  # fmt: skip
    steps = iter(commands)

    def follow(*more):
        return company([*next(steps), *more])

    assert "net_revenue" in follow().stdout  # publish
    assert "final" in follow().stdout  # close
    before = dt.datetime.now(dt.UTC).isoformat()
    time.sleep(0.01)
    applied(company.home)

    gate = follow()
    assert gate.returncode == 1, gate.stderr
    for said in ("net_revenue\n", "VER01", "fct_order_lines.sql", "marketplace", "cadran bump"):
        assert said in gate.stdout

    built = follow()
    assert built.returncode == 0, built.stdout[-2000:]
    bumped = follow()
    assert bumped.returncode == 0, bumped.stderr
    assert "version 2 of net_revenue" in bumped.stdout
    assert "| net_revenue | v1 | v2 | 2026-10-01 |" in bumped.stdout
    assert (company.home / "impact.svg").read_text().startswith("<svg")

    sides = [rows(follow("--format", "csv")) for _ in (1, 2)]
    old, new = ({row["metric_time__month"]: row["net_revenue"] for row in side} for side in sides)
    assert all(Decimal(new[month]) < Decimal(old[month]) for month in old)

    assert follow().returncode == 0  # dbt build
    assert "restated" in follow().stdout  # publish
    told = follow("--format", "csv")
    published = {row["metric_time__month"]: row["net_revenue"] for row in rows(told)}
    assert "changed its meaning from version 1 to 2" in told.stderr
    assert published["2026-09-01"] == old["2026-09-01"]
    assert published["2026-10-01"] == new["2026-10-01"]
    words = [before if word.startswith("2026-11-24T") else word for word in next(steps)]
    assert rows(company([*words, "--format", "csv"]))[0]["net_revenue"] == old["2026-10-01"]

    bridge = rows(follow("--format", "csv"))
    amounts = [Decimal(row["amount"]) for row in bridge]
    assert sum(amounts[:-1]) == amounts[-1] == Decimal(new["2026-10-01"])
    assert amounts[0] == Decimal(old["2026-10-01"])
    moved = [
        row["member"] for row in bridge if row["step"] == "definition" and row["amount"][0] == "-"
    ]
    assert moved == ["marketplace"]
    assert (company.home / "bridge.svg").exists()
    history = rows(follow("--format", "csv"))
    assert [row["version"] for row in history] == ["1", "2"]
    assert "hold" in follow().stdout  # verify

    with_break = cadran.open(company.home).query(
        ["net_revenue"], ["metric_time__month"], view="published"
    )
    assert not with_break.like_for_like
    picture = cadran.Kpi(cadran.open(company.home), "net_revenue").plot().picture
    assert any("v2" in rule.text for rule in picture.rules)

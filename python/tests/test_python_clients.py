"""SQLAlchemy, Ibis and Marimo ask this package, each as docs/bi.md and the examples show it.

None of them is in the lock: they are installed into an environment of their own
(scripts/python_clients.sh), so this runs where CADRAN_TEST_CLIENTS is set.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from flight_fixtures import server

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "bi.md").read_text(encoding="utf-8")
PROGRAMS = {
    package: block
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    for package in ("sqlalchemy", "ibis")
    if f"import {package}" in block
}

pytestmark = pytest.mark.skipif(
    not os.environ.get("CADRAN_TEST_CLIENTS"),
    reason="they take minutes to install: set CADRAN_TEST_CLIENTS, or run `make test-clients`",
)


@pytest.fixture(scope="module")
def python():
    script = ROOT / "scripts" / "python_clients.sh"
    installed = subprocess.run([script], capture_output=True, text=True, check=False, timeout=900)
    assert installed.returncode == 0, installed.stderr
    return installed.stdout.strip()


@pytest.fixture(scope="module")
def run(python, demo, layer, tmp_path_factory):  # noqa: ARG001 - `layer` holds that it was built
    """What a command of that Python prints, with the addresses of a server."""
    folder = tmp_path_factory.mktemp("client")
    with server(demo) as running:
        named = {"CADRAN": running.http, "CADRAN_FLIGHT": running.flight, "CADRAN_TOKEN": "any",
                 "PYTHONPATH": str(ROOT / "python")}  # fmt: skip

        def printed(*words):
            done = subprocess.run(
                [python, "-W", "ignore", *words], env=os.environ | named, cwd=folder,
                capture_output=True, text=True, check=False, timeout=300,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr[-3000:]
            return done.stdout

        yield printed


def revenue(layer, *dimensions, **narrowed):
    """The amounts of the first three months, as text."""
    query = layer.query(
        ["net_revenue"], ["metric_time__month", *dimensions], order_by=["metric_time__month"],
        limit=3, **narrowed,
    )  # fmt: skip
    return [f"{amount:.2f}" for amount in query.to_arrow().column("net_revenue").to_pylist()]


def test_sqlalchemy_asks_by_text_and_reads_a_kpi_table(run, layer):
    printed = run("-c", PROGRAMS["sqlalchemy"])
    amounts = revenue(layer)
    assert len(amounts) == 3
    for amount in amounts:
        assert printed.count(amount) == 2, printed  # in the answer, and in the table


def test_ibis_holds_an_answer_as_a_table(run, layer):
    printed = run("-c", PROGRAMS["ibis"])
    amounts = revenue(layer, where=["{{ Dimension('customer__country') }} = 'FR'"])
    assert len(amounts) == 3
    for amount in amounts:
        assert amount in printed, printed


def test_the_marimo_notebook_runs_and_shows_the_figures(run, layer, demo, tmp_path):
    project = tmp_path / "project"
    (project / "examples").mkdir(parents=True)
    for name in ("dbt_project.yml", "vars.yml", "profiles.yml", "kpi.lock"):
        shutil.copy2(ROOT / name, project / name)
    (project / "target").symlink_to(demo.target)
    (project / "warehouse.duckdb").symlink_to(demo.database)
    notebook = shutil.copy2(ROOT / "examples" / "first_steps_marimo.py", project / "examples")
    run("-m", "marimo", "check", "--strict", str(notebook))
    page = tmp_path / "page.html"
    run("-m", "marimo", "export", "html", str(notebook), "-o", str(page))
    shown = page.read_text(encoding="utf-8")
    quarters = layer.query(["net_revenue"], ["metric_time__quarter"], start="2026-01-01").to_arrow()
    assert quarters.num_rows
    for amount in quarters.column("net_revenue").to_pylist():
        assert f"{amount:.2f}" in shown
    assert "image/svg+xml" in shown

"""Definitions that are older than the project's files: never answered by in silence."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import time
from types import SimpleNamespace

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient
from tiny import PROJECT

import cadran
from cadran.access.caller import LOCAL
from cadran.cli import main
from cadran.core.project import artifacts, dbt
from cadran.core.query.request import Query
from cadran.core.warehouse import Confinement
from cadran.errors import ProjectError
from cadran.server.health import routes
from cadran.serving.service import QueryService, RequestContext
from cadran.serving.snapshots import SnapshotStore

REVENUE = "expr: amount\n"


@pytest.fixture
def root(tiny, tmp_path):
    """The project of the shop with its artefacts and its warehouse in one folder."""
    shutil.copytree(PROJECT, tmp_path / "shop")
    shutil.copytree(tiny.parent, tmp_path / "shop" / "target",
                    ignore=shutil.ignore_patterns("cadran"))  # fmt: skip
    shutil.copy(tiny.parents[1] / "tiny.duckdb", tmp_path / "shop" / "tiny.duckdb")
    made = (tmp_path / "shop" / "target" / "semantic_manifest.json").stat().st_mtime
    before = made - 60
    for path in (tmp_path / "shop").rglob("*"):
        if "target" not in path.parts:
            os.utime(path, (before, before))
    return tmp_path / "shop"


def edit(root):
    path = root / "metrics" / "metrics.yml"
    path.write_text(path.read_text().replace(REVENUE, "expr: amount * 2\n", 1))
    later = time.time() + 1
    os.utime(path, (later, later))
    return later


def test_an_edited_metric_is_parsed_and_answered_as_it_is_now(root, caplog, capsys):
    made = (root / "target" / "semantic_manifest.json").stat().st_mtime_ns
    layer = cadran.open(root)
    assert str(layer.query("revenue").to_arrow()["revenue"][0]) == "151.50"
    assert (root / "target" / "semantic_manifest.json").stat().st_mtime_ns == made
    layer.close()
    edit(root)
    with caplog.at_level(logging.WARNING, "cadran.project"):
        assert main(["tables", "--check", "--project-dir", str(root)]) == 1
        layer = cadran.open(root)
    assert "amount * 2" in capsys.readouterr().out
    assert float(layer.query("revenue").to_arrow()["revenue"][0].as_py()) == 303
    assert "metrics/metrics.yml is newer" in caplog.text
    layer.close()


def test_without_dbt_the_newer_file_is_named_and_nothing_is_answered(root, monkeypatch):
    edit(root)
    monkeypatch.setattr(dbt.sys, "executable", str(root / "python"))
    monkeypatch.setattr(dbt.shutil, "which", lambda _: None)
    with pytest.raises(ProjectError, match=r"metrics/metrics\.yml is newer"):
        cadran.open(root)


def test_a_server_says_in_answers_and_health_that_files_are_newer_than_what_it_serves(
    root, monkeypatch
):
    monkeypatch.setattr("cadran.serving.snapshots._LOOK_EVERY", 0.0)
    service = QueryService(SnapshotStore(artifacts.find(root, None, None), confined=Confinement()))
    asked, query = RequestContext(LOCAL, "test"), Query.of({"metrics": ["revenue"]})
    assert service.ask(asked, query).note == ""
    edit(root)
    kept = service.ask(asked, query)
    assert kept.cached
    assert "metrics/metrics.yml is newer than the definitions that are served" in kept.note
    context = SimpleNamespace(service=service, run=asyncio.to_thread)
    told = TestClient(Starlette(routes=routes(context, None))).get("/health").json()
    assert told["stale"].startswith("metrics/metrics.yml is newer")
    service.close()

"""One small demo, built once by dbt as a user builds it, for every test that asks numbers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import duckdb
import pytest

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / "target" / "test"


@pytest.fixture(scope="session")
def demo():
    """The demo company at a twentieth of its size, built into a warehouse of its own."""
    from cadran.demo import generate

    data, target, database = WORK / "data", WORK / "dbt", WORK / "warehouse.duckdb"
    generate(data, end=date(2026, 10, 31), scale=0.05)
    database.unlink(missing_ok=True)
    environment = os.environ | {"CADRAN_DATABASE": str(database), "DO_NOT_TRACK": "1"}
    dbt = Path(sys.executable).with_name("dbt")
    command = [
        dbt, "--no-use-colors", "build", "--project-dir", ROOT, "--profiles-dir", ROOT,
        "--target-path", target, "--vars", json.dumps({"cadran_sources": str(data)}),
    ]  # fmt: skip
    built = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return SimpleNamespace(
        data=data, target=target, database=database, returncode=built.returncode, log=built.stdout
    )


@pytest.fixture(scope="session")
def layer(demo):
    """The semantic layer of the demo."""
    import cadran

    assert demo.returncode == 0, demo.log[-3000:]
    return cadran.open(manifest=demo.target / "semantic_manifest.json", database=demo.database)


@pytest.fixture(scope="session")
def raw(demo):
    """A connection that sees the raw files as `<source>.<table>` and nothing else."""
    connection = duckdb.connect()
    connection.execute("set TimeZone = 'UTC'")
    for source in ("shop", "helpdesk", "telemetry"):
        connection.execute(f"create schema {source}")
        for entry in sorted((demo.data / source).iterdir()):
            files = entry if entry.is_file() else entry / "**" / "*.parquet"
            connection.execute(
                f"create view {source}.{entry.stem} as select * from read_parquet('{files}')"
            )
    return connection


@pytest.fixture(scope="session")
def project_root():
    """The dbt project itself."""
    return ROOT


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A shop of five orders (see tiny.py), for answers worked out on paper."""
    from tiny import build

    return build(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def guarded(tmp_path_factory):
    """A shop in three countries and what is left of it in one (see guarded.py), not opened yet."""
    from guarded import build

    return build(tmp_path_factory.mktemp("guarded"))


@pytest.fixture
def shop(tiny):
    """The layer of the shop of five orders."""
    import cadran

    with_warehouse = cadran.open(manifest=tiny, database=tiny.parents[1] / "tiny.duckdb")
    yield with_warehouse
    with_warehouse.close()

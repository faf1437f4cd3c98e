"""One small demo, built once by dbt as a user builds it, for every test that asks numbers."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import duckdb
import forked
import pytest

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / "target" / "test"
POSTGRES = WORK / "postgres.json"
DATA, TARGET, DATABASE = WORK / "data", WORK / "dbt", WORK / "warehouse.duckdb"


# A file is one worker's from its first test to its last. These take longest, so they begin first:
# one of them at the end would have the other worker wait. The very first needs no demo, and is at
# work while the other worker builds it.
LONGEST = (
    "test_versions", "test_parity", "test_every_kpi", "test_ledger_attacks", "test_cli",
    "test_ledger", "test_meaning", "test_rewrite_on_paper", "test_examples", "test_catalog",
    "test_frozen",
    "test_ledger_definitions", "test_package", "test_conformance", "test_rest_fuzz",
    "test_incremental", "test_rewrite", "test_plans", "test_kpi_answers", "test_server_killed",
)  # fmt: skip


def pytest_collection_modifyitems(items):
    """The files that take longest first, the others as they were."""
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(places)))


@pytest.fixture(scope="session", autouse=True)
def quick_dbt():
    """What Cadran asks of dbt is asked of a process that has dbt imported already.

    The processes of the command line begin anew, as a user's do.
    """
    with mock.patch("cadran.core.project.dbt.subprocess", SimpleNamespace(run=forked.run)):
        yield


@pytest.fixture(scope="session")
def demo():
    """The demo company at a twentieth of its size, built into a warehouse of its own.

    It is built once a run, whichever of the processes that share the tests comes first.
    """
    WORK.mkdir(parents=True, exist_ok=True)
    run, told = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid())), WORK / "built.json"
    with (WORK / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        built = json.loads(told.read_text()) if told.exists() else {}
        if built.get("run") != run:
            built = {"run": run, **_build()}
            told.write_text(json.dumps(built))
    return SimpleNamespace(
        data=DATA, target=TARGET, database=DATABASE,
        returncode=built["returncode"], log=built["log"],
    )  # fmt: skip


def _build():
    from cadran_demo import generate

    generate(DATA, end=date(2026, 10, 31), scale=0.05)
    DATABASE.unlink(missing_ok=True)
    environment = os.environ | {"CADRAN_DATABASE": str(DATABASE), "DO_NOT_TRACK": "1"}
    dbt = Path(sys.executable).with_name("dbt")
    command = [
        dbt, "--no-use-colors", "build", "--project-dir", ROOT, "--profiles-dir", ROOT,
        "--target-path", TARGET, "--vars", json.dumps({"cadran_sources": str(DATA)}),
    ]  # fmt: skip
    built = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return {"returncode": built.returncode, "log": built.stdout}


def _run_of(config):
    return os.environ.get("PYTEST_XDIST_TESTRUNUID") or getattr(config.option, "testrunuid", None)


@pytest.fixture(scope="session")
def tool():
    """Runs a script of the project that installs or starts what a test needs; gives what it prints.

    Where it cannot, the test is skipped with its reason, but never in continuous integration.
    """

    def ready(name, *arguments):
        WORK.mkdir(parents=True, exist_ok=True)
        with (WORK / "tools.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # two processes cannot install at the same time
            done = subprocess.run(
                [ROOT / "scripts" / f"{name}.sh", *arguments],
                capture_output=True, text=True, check=False,
            )  # fmt: skip
        if done.returncode:
            _lack(done.stderr.strip())
        return done.stdout.strip()

    return ready


def _lack(reason):
    assert os.environ.get("CI") != "true", reason
    pytest.skip(reason)


@pytest.fixture(scope="session")
def postgres_server(pytestconfig):
    """The URL of a PostgreSQL, without a database; one server for all processes of a run."""
    WORK.mkdir(parents=True, exist_ok=True)
    run = _run_of(pytestconfig) or str(os.getpid())
    with (WORK / "postgres.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        started = json.loads(POSTGRES.read_text()) if POSTGRES.exists() else {}
        if started.get("run") != run:
            began = subprocess.run(
                [ROOT / "scripts" / "postgres.sh", "start"],
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            names = dict(line.split("=", 1) for line in began.stdout.splitlines() if "=" in line)
            started = {"run": run, "error": began.stderr.strip(), **names}
            POSTGRES.write_text(json.dumps(started))
    if "PGPORT" not in started:
        _lack(started["error"] or "no PostgreSQL can be started here")
    password = Path(started["PGPASSFILE"]).read_text().strip().rsplit(":", 1)[1]
    return f"postgresql://{started['PGUSER']}:{password}@127.0.0.1:{started['PGPORT']}"


def pytest_sessionfinish(session):
    """Stop the PostgreSQL of the run when all its processes are done."""
    if hasattr(session.config, "workerinput") or not POSTGRES.exists():
        return
    started = json.loads(POSTGRES.read_text())
    if started["run"] == (_run_of(session.config) or str(os.getpid())):
        POSTGRES.unlink()
        if "PGDATA" in started:
            stop = [ROOT / "scripts" / "postgres.sh", "stop", started["PGDATA"]]
            subprocess.run(stop, check=False, capture_output=True)


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
    for view in sorted((ROOT / "python/tests/answers/views").glob("*.sql")):
        connection.execute(view.read_text(encoding="utf-8"))
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

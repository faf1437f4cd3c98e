"""dbt on the demo's project as it was parsed for the demo's build, in this process.

A parse of the whole project takes longer than most of what the tests ask dbt for, and says the
same each time. What a model reads and how it is built is decided anew in each run, by the
variables and the warehouse that are given here.
"""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

if TYPE_CHECKING:
    from dbt.cli.main import dbtRunnerResult

ROOT = Path(__file__).resolve().parents[2]


@cache
def _parsed(path: Path) -> bytes:
    return path.read_bytes()


def dbt(
    demo: Any, folder: Path, database: Path, command: str, *words: str, **variables: Any
) -> dbtRunnerResult:
    """What dbt made of a command; its log and artefacts lie in the folder.

    Args:
        demo: the demo, whose build parsed the project.
        folder: where logs and artefacts go.
        database: the warehouse, whose file is closed again afterwards. Its name must be that of
            the demo's, by which the parsed models call it.
        command: `run`, `build`, `test` and so on.
        words: what else stands on dbt's command line.
        variables: dbt's variables.
    """
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.cli.main import dbtRunner
    from dbt.contracts.graph.manifest import Manifest

    assert demo.returncode == 0, demo.log[-3000:]
    assert database.name == demo.database.name
    manifest = Manifest.from_msgpack(_parsed(demo.target / "partial_parse.msgpack"))
    line = [
        "--quiet", "--no-write-json", *command.split(), *words, "--vars", json.dumps(variables),
        "--project-dir", str(ROOT), "--profiles-dir", str(ROOT),
        "--target-path", str(folder / "target"), "--log-path", str(folder / "logs"),
    ]  # fmt: skip
    given = {"CADRAN_DATABASE": str(database), "DO_NOT_TRACK": "1"}
    with mock.patch.dict(os.environ, given):
        done = dbtRunner(manifest=manifest).invoke(line)
    DuckDBConnectionManager.close_all_connections()
    return done

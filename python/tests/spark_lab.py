"""A small Apache Spark for tests, the demo built into it by dbt, and what can go wrong with it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import cadran
from cadran.core.layer import Layer
from cadran.core.project.artifacts import Project
from cadran.core.warehouse import spark

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "spark.sh"


class Dbt(subprocess.Popen):
    """A run of dbt; `log` is the file of what it says."""

    log: Path


class Cluster:
    """A master, two workers and a Connect server in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        lines = self.script("start", folder).splitlines()
        self.url = dict(line.split("=", 1) for line in lines)["CADRAN_SPARK"]

    def script(self, *arguments) -> str:
        command = [str(SCRIPT), *map(str, arguments)]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def stop(self, *part) -> None:
        self.script("stop", self.folder, *part)

    def kill_executor(self, number: int) -> None:
        """End a worker and what computes for it at once, as a machine that loses power does."""
        group = int((self.folder / f"worker-{number}.pid").read_text())
        executors = subprocess.run(
            ["pgrep", "--parent", str(group)], check=False, capture_output=True, text=True
        ).stdout.split()
        for process in (group, *map(int, executors)):
            os.kill(process, signal.SIGKILL)
        (self.folder / f"worker-{number}.pid").unlink()

    def dbt(self, target: Path, data: Path, *arguments) -> Dbt:
        """dbt on this cluster, as a process that has begun."""
        command = [
            sys.executable, "-W", "ignore", "-c", "from dbt.cli.main import cli; cli()",
            "--no-use-colors", *arguments, "--target", "spark", "--project-dir", str(ROOT),
            "--profiles-dir", str(ROOT), "--vars", json.dumps({"cadran_sources": str(data)}),
        ]  # fmt: skip
        log = target / f"{len(list(target.glob('*.out')))}.out"
        with log.open("w") as out:
            process = Dbt(
                command, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT,
                env=os.environ | {
                    "CADRAN_SPARK": self.url, "DBT_TARGET_PATH": str(target), "DO_NOT_TRACK": "1",
                    "DBT_LOG_PATH": str(target), "PYTHONUNBUFFERED": "1",
                },
            )  # fmt: skip
        process.log = log
        return process

    def layer(self, target: Path) -> Layer:
        """A layer of what dbt parsed for Spark."""
        place = spark.remote(self.url)
        return Layer(Project(target / "semantic_manifest.json", place, None), plan_cache=False)


@contextmanager
def cluster(folder: Path):
    """A cluster that is stopped after the block."""
    started = Cluster(folder)
    try:
        yield started
    finally:
        started.stop()


def questions(layer: Layer):
    """Each KPI at its coarsest and, but for minutes, its finest grain, and by each dimension."""
    for card in layer.kpis():
        coarse, fine = card.grains[-1], card.grains[0]
        yield card.name, (f"metric_time__{coarse}",)
        if fine not in {coarse, "minute", "hour"}:
            yield card.name, (f"metric_time__{fine}",)
        for dimension in card.dimensions:
            yield card.name, (f"metric_time__{coarse}", dimension)


def open_duckdb(target: Path, database: Path) -> Layer:
    """The layer of the same demo on DuckDB."""
    return cadran.open(manifest=target / "semantic_manifest.json", database=database)

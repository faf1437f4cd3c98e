"""Dbt projects of somebody else: a ferry company with three marts, in the old and the new spec.

They know nothing of Cadran's package, have no French, and odd characters in file names, labels and
values. Each is built once, by dbt as its owner would.
"""

from __future__ import annotations

import gc
import json
import os
import shutil
import sys
from pathlib import Path

import forked

FOLDER = Path(__file__).parent / "foreign"
SPECS = ("old", "new")


def copied(spec: str, folder: Path) -> Path:
    """The project as a clone has it, in a folder of its own."""
    shutil.copytree(FOLDER / "shared", folder)
    shutil.copytree(FOLDER / spec, folder, dirs_exist_ok=True)
    return folder


def dbt(folder: Path, *words: str) -> None:
    """Run dbt in a project as its owner does."""
    program = Path(sys.executable).with_name("dbt")
    gc.collect()  # a layer of this process that nobody closed holds the file until then
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("DBT_", "CADRAN_"))}
    done = forked.run(
        [program, "--no-use-colors", "-q", *words, "--profiles-dir", str(folder)],
        cwd=folder, env=environment | {"DO_NOT_TRACK": "1"}, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def with_cards(project: Path, folder: Path, kept: int) -> Path:
    """A copy of a built project in which only so many metrics have their cards."""
    shutil.copytree(project, folder)
    for name in ("semantic_manifest.json", "manifest.json"):
        path = folder / "target" / name
        manifest = json.loads(path.read_text())
        metrics = manifest["metrics"]
        listed = metrics if isinstance(metrics, list) else list(metrics.values())
        carded = [m for m in listed if (m["config"].get("meta") or {}).get("kpi")]
        for metric in sorted(carded, key=lambda metric: metric["name"])[kept:]:
            del metric["config"]["meta"]["kpi"]
        path.write_text(json.dumps(manifest))
    return folder

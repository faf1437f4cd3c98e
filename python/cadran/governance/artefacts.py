"""Keeps dbt's artefacts those of the project's files: `dbt parse` is run when a file is newer."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from cadran.errors import ProjectError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cadran.project import Project

_PATHS = {
    "model-paths": ["models"],
    "seed-paths": ["seeds"],
    "macro-paths": ["macros"],
    "test-paths": ["tests"],
    "snapshot-paths": ["snapshots"],
}
_FILES = ("dbt_project.yml", "vars.yml", "packages.yml", "dependencies.yml", "package-lock.yml")
_TOLD_LINES = 12


def refresh(project: Project) -> bool:
    """Run `dbt parse` where the artefacts are missing or older than a file of the project.

    Returns:
        True when dbt ran.

    Raises:
        ProjectError: dbt is not installed, or cannot parse the project; the message ends as dbt's.
    """
    root = project.root
    if root is None or not _is_stale(project, root):
        return False
    dbt = _dbt()
    command: list[str | Path] = [dbt, "--no-use-colors", "parse", "--project-dir", root,
               "--target-path", project.semantic_manifest_path.parent.resolve()]  # fmt: skip
    profiles = Path(os.environ.get("DBT_PROFILES_DIR") or root)
    if (profiles / "profiles.yml").exists():
        command += ["--profiles-dir", profiles]
    done = subprocess.run(
        command,
        env=os.environ | {"DO_NOT_TRACK": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise ProjectError(f"dbt cannot parse the project: {' '.join(lines[-_TOLD_LINES:])}")
    return True


def _is_stale(project: Project, root: Path) -> bool:
    manifests = (
        project.semantic_manifest_path,
        project.semantic_manifest_path.with_name("manifest.json"),
    )
    if not all(path.exists() for path in manifests):
        return True
    made = min(path.stat().st_mtime_ns for path in manifests)
    return any(path.stat().st_mtime_ns > made for path in _files(root))


def _files(root: Path) -> Iterator[Path]:
    """Every file that dbt reads, and the folders, whose time changes when a file goes."""
    text = (root / "dbt_project.yml").read_text(encoding="utf-8")
    given: dict[str, Any] = yaml.safe_load(text) or {}
    yield from (root / name for name in _FILES if (root / name).exists())
    for key, default in _PATHS.items():
        for name in given.get(key) or default:
            folder = root / name
            if folder.exists():
                yield folder
                yield from folder.rglob("*")


def _dbt() -> Path:
    beside = Path(sys.executable).with_name("dbt")
    if beside.exists():
        return beside
    found = shutil.which("dbt")
    if found is None:
        raise ProjectError(
            "The artefacts are older than the project's files, and dbt is not installed:"
            " pip install 'cadran[build]', or run `dbt parse` where it is."
        )
    return Path(found)

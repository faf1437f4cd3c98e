"""Keeps dbt's artefacts those of the project's files: `dbt parse` is run when a file is newer."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from cadran.core.project.artifacts import Project
from cadran.core.warehouse import Address
from cadran.core.warehouse.dialects import DUCKDB
from cadran.errors import ProjectError
from cadran.formats import strict_yaml

if TYPE_CHECKING:
    from collections.abc import Iterator


_PATHS = {
    "model-paths": ["models"],
    "seed-paths": ["seeds"],
    "macro-paths": ["macros"],
    "test-paths": ["tests"],
    "snapshot-paths": ["snapshots"],
}
_FILES = ("dbt_project.yml", "vars.yml", "packages.yml", "dependencies.yml", "package-lock.yml")
_TOLD_LINES = 12
_LOG = logging.getLogger("cadran.project")


def refresh(project: Project) -> bool:
    """Run `dbt parse` where the artefacts are missing or older than a file of the project.

    Returns:
        True when dbt ran.

    Raises:
        ProjectError: dbt is not installed, or cannot parse the project; the message ends as dbt's.
    """
    root = project.root
    if root is None:
        return False
    made = parsed_at(project)
    file = newer(root, made) if made is not None else None
    if made is not None and file is None:
        return False
    reason = f"{file} is newer than the artefacts" if file else "The artefacts are missing"
    dbt = _dbt(reason)
    command: list[str | Path] = [dbt, "--no-use-colors", "parse", "--project-dir", root,
               "--target-path", project.semantic_manifest_path.parent.resolve()]  # fmt: skip
    command += _as_built(project)
    profiles = Path(os.environ.get("DBT_PROFILES_DIR") or root)
    if (profiles / "profiles.yml").exists():
        command += ["--profiles-dir", profiles]
    process = subprocess.run(
        command,
        env=os.environ | {"DO_NOT_TRACK": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if process.returncode != 0:
        lines = [line for line in (process.stdout + process.stderr).splitlines() if line.strip()]
        raise ProjectError(f"dbt cannot parse the project: {' '.join(lines[-_TOLD_LINES:])}")
    _LOG.warning("cadran: %s; ran `dbt parse`", reason)
    return True


def _as_built(project: Project) -> list[str]:
    """The variables of the last build, without which the definitions would be others."""
    path = project.semantic_manifest_path.with_name("run_results.json")
    try:
        variables = json.loads(path.read_bytes())["args"]["vars"]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return ["--vars", json.dumps(variables)] if variables else []


def parsed_at(project: Project) -> int | None:
    """When the older of the two artefacts was written, in nanoseconds; None where one lacks."""
    manifests = (
        project.semantic_manifest_path,
        project.semantic_manifest_path.with_name("manifest.json"),
    )
    try:
        return min(path.stat().st_mtime_ns for path in manifests)
    except OSError:
        return None


def newer(root: Path, made: int) -> Path | None:
    """The first file of a project that was changed after its artefacts were written, if any."""
    for path in _files(root):
        try:
            if path.stat().st_mtime_ns > made:
                return path.relative_to(root)
        except OSError:  # it went while the folders were walked
            continue
    return None


def _files(root: Path) -> Iterator[Path]:
    """Every file that dbt reads, and the folders, whose time changes when a file goes."""
    settings = _yaml(root / "dbt_project.yml")
    yield from (root / name for name in _FILES if (root / name).exists())
    for key, default in _PATHS.items():
        for name in settings.get(key) or default:
            folder = root / name
            if folder.exists():
                yield folder
                yield from folder.rglob("*")


def _dbt(reason: str) -> Path:
    beside = Path(sys.executable).with_name("dbt")
    if beside.exists():
        return beside
    path = shutil.which("dbt")
    if path is None:
        raise ProjectError(
            f"{reason}, and dbt is not installed: pip install 'cadran[build]', or run `dbt parse`"
            " where it is."
        )
    return Path(path)


_READ = {".sql", ".yml", ".yaml", ".csv", ".py", ".md"}
ENVIRONMENT = re.compile(r"env_var\(\s*['\"](\w+)['\"]")
_LEFT_OUT = {"target", "dbt_packages", ".git", ".venv", "node_modules", "logs"}


def compiled(project: Project) -> Project:
    """The project as compiled for a full refresh; itself when only its manifest is known.

    Raises:
        ProjectError: dbt is not installed, or refuses to compile.
    """
    if project.root is None:
        return project
    folder = project.semantic_manifest_path.parent / "cadran" / "meaning"
    mark, stamp = folder / "compiled_from", fingerprint(project.root)
    # Whatever engine builds a project, what it means is told in DuckDB's SQL: so it means the same
    # wherever it is built.
    copy = Project(folder / "semantic_manifest.json", project.database, None, dialect=DUCKDB)
    if not (mark.exists() and mark.read_text(encoding="utf-8") == stamp):
        mark.unlink(missing_ok=True)
        _compile(project, folder)
        mark.write_text(stamp, encoding="utf-8")
    return copy


def compiled_there(project: Project) -> Project:
    """The project as compiled for a full refresh in the SQL of the database that it is built in.

    Raises:
        ProjectError: dbt refuses to compile, or its target is of another engine.
    """
    root = project.root
    assert root is not None  # noqa: S101 - what is live has a folder
    folder = project.semantic_manifest_path.parent / "cadran" / "live"
    mark = folder / "compiled_from"
    stamp = f"{fingerprint(root)} {project.database} {project.marks_schema}"
    if not (mark.exists() and mark.read_text(encoding="utf-8") == stamp):
        mark.unlink(missing_ok=True)
        with tempfile.TemporaryDirectory() as logs:
            run = _run_compile(root, folder, _profiles(root).parent, logs)
        if run.returncode:
            raise ProjectError(
                f"dbt cannot compile the project in {root}: {_telling(run.stdout + run.stderr)}"
            )
    copy = Project(folder / "semantic_manifest.json", project.database, None)
    engine = copy.dbt_manifest["metadata"]["adapter_type"]
    if engine != project.dialect:
        raise ProjectError(
            f"The target of dbt's profile is of {engine}, and {project.database} is asked: live"
            " rows are made by the models, so name the target that builds there (DBT_TARGET)."
        )
    mark.write_text(stamp, encoding="utf-8")
    return copy


def fingerprint(root: Path) -> str:
    """A hash of every file of the project that may bear on what its models mean."""
    digest, variables = hashlib.sha256(), set()
    for path in sorted(project_files(root)):
        content = path.read_bytes()
        digest.update(str(path.relative_to(root)).encode() + b"\0")
        digest.update(hashlib.sha256(content).digest())
        if path.suffix != ".csv":
            variables |= set(ENVIRONMENT.findall(content.decode(errors="replace")))
    for name in sorted(variables):
        digest.update(f"{name}={os.environ.get(name)}\0".encode())
    return digest.hexdigest()


def project_files(root: Path) -> list[Path]:
    """The files that dbt reads: configuration, and what its paths hold."""
    settings = _yaml(root / "dbt_project.yml")
    folders = [
        folder
        for key, default in (
            ("model-paths", ["models"]),
            ("macro-paths", ["macros"]),
            ("seed-paths", ["seeds"]),
            ("snapshot-paths", ["snapshots"]),
        )
        for folder in settings.get(key, default)
    ]
    paths = [
        root / name
        for name in ("dbt_project.yml", "vars.yml", "packages.yml", "package-lock.yml")
        if (root / name).exists()
    ]
    for folder in [*dict.fromkeys(folders), "dbt_packages"]:
        for parent, inner, files in os.walk(root / folder):
            inner[:] = [name for name in inner if name not in _LEFT_OUT]
            paths += [Path(parent) / name for name in files if Path(name).suffix in _READ]
    return paths


def variables(root: Path) -> dict[str, Any]:
    """The variables that the project sets, by name; those of a package stand under `package.`."""
    values = dict(_yaml(root / "dbt_project.yml").get("vars") or {})
    if (root / "vars.yml").exists():
        values |= _yaml(root / "vars.yml").get("vars") or {}
    return values


def dispatch_order(root: Path) -> Any:
    """Where dbt looks for macros that it dispatches to, as the project says; None by default."""
    return _yaml(root / "dbt_project.yml").get("dispatch")


def _compile(project: Project, folder: Path) -> None:
    root = project.root
    assert root is not None  # noqa: S101 - `compiled` asks before
    with tempfile.TemporaryDirectory() as scratch:
        failures, is_elsewhere = [], isinstance(project.database, Address)
        # Where a build holds the warehouse, or none was made, an empty one does: the SQL of a
        # model seldom depends on what the warehouse holds.
        for database in _databases(project, Path(scratch)):
            target = _write_profile(root, Path(scratch), database)
            named = ["--target", target] if is_elsewhere else []
            run = _run_compile(root, folder, scratch, scratch, *named)
            if run.returncode == 0:
                return
            failures.append(run.stdout + run.stderr)
    if "No module named 'dbt" in failures[-1]:
        raise ProjectError(
            "What a KPI means is read from the compiled models, and dbt, which compiles them, is"
            " not installed: pip install cadran[build]."
        )
    raise ProjectError(f"dbt cannot compile the project in {root}: {_telling(failures[-1])}")


def _run_compile(
    root: Path, folder: Path, profiles: Path | str, logs: str, *more: str
) -> subprocess.CompletedProcess[str]:
    """Compile every model and snapshot for a full refresh over bare source tables."""
    command = [
        sys.executable, "-c", "from dbt.cli.main import cli; cli()", "--no-use-colors",
        "--quiet", "compile", "--full-refresh", "--project-dir", str(root),
        "--profiles-dir", str(profiles), *more, "--target-path", str(folder.resolve()),
        "--log-path", logs, "--no-populate-cache", "--select",
        "resource_type:model", "resource_type:snapshot", "--vars", json.dumps(_placed(root)),
    ]  # fmt: skip
    return subprocess.run(
        command,
        env=os.environ | {"DO_NOT_TRACK": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def _databases(project: Project, scratch: Path) -> list[tuple[Path, bool]]:
    database = project.database
    if isinstance(database, Address):
        return [(scratch / "warehouse.duckdb", False)]
    empty = (scratch / database.name, False)
    return [(database.resolve(), True), empty] if database.exists() else [empty]


def _write_profile(root: Path, scratch: Path, database: tuple[Path, bool]) -> str:
    """Write the profile of a compilation by DuckDB; returns its first target of that type."""
    name = _yaml(root / "dbt_project.yml").get("profile")
    profile = _yaml(_profiles(root)).get(str(name)) or {}
    outputs = profile.setdefault("outputs", {})
    of_duckdb = [key for key, output in outputs.items() if output.get("type") == DUCKDB]
    if not of_duckdb:
        schema = next((output["schema"] for output in outputs.values() if "schema" in output), None)
        outputs[DUCKDB] = {"type": DUCKDB, "schema": schema or "main"}
        of_duckdb = [DUCKDB]
    for output in outputs.values():
        if output.get("type") == DUCKDB:
            output["path"] = str(database[0])
            if database[1]:
                output["config_options"] = {
                    **(output.get("config_options") or {}), "access_mode": "READ_ONLY",
                }  # fmt: skip
    (scratch / "profiles.yml").write_text(yaml.safe_dump({name: profile}), encoding="utf-8")
    return str(of_duckdb[0])


def _profiles(root: Path) -> Path:
    places = [os.environ.get("DBT_PROFILES_DIR"), root, Path.home() / ".dbt"]
    paths = [Path(place) / "profiles.yml" for place in places if place]
    path = next((path for path in paths if path.exists()), None)
    if path is None:
        name = _yaml(root / "dbt_project.yml").get("profile")
        raise ProjectError(f"No profiles.yml for the profile '{name}' of {root}.")
    return path


def _placed(root: Path) -> dict[str, Any]:
    """Every source as a bare table, where the project's sources have places."""
    if "cadran_sources" not in variables(root):
        return {}
    names = [
        source["name"]
        for path in project_files(root)
        if path.suffix in (".yml", ".yaml") and "sources:" in path.read_text(encoding="utf-8")
        if path.name != "dbt_project.yml"  # where `sources` configures, and describes none
        for source in _yaml(path).get("sources") or []
    ]
    return {"cadran_sources": dict.fromkeys(names, "contract")}


def _yaml(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = strict_yaml.read(path, ProjectError) or {}
    return content


def _telling(log: str) -> str:
    # DuckDB's binding reports leaks when a process ends early; they say nothing of the project.
    noise = ("nanobind:", "- leaked", "- ... skipped", "See https://nanobind")
    lines = [line.strip() for line in log.splitlines()]
    return " ".join(line for line in lines if line and not line.startswith(noise))[-700:]

"""Where a built dbt project keeps what the layer reads: artefacts and the warehouse."""

from __future__ import annotations

import hashlib
import json
import os
from functools import cached_property
from pathlib import Path
from typing import Any

from cadran.core.project.measures import in_one_specification
from cadran.core.warehouse import Address, Remote, dialects, spark
from cadran.core.warehouse.postgres import PREFIXES, PROFILE_KEYS, address, address_of_profile
from cadran.errors import ProjectError

_CATALOGUE = "model.cadran.kpi_catalog"


class Project:
    """The artefacts of one project. Every file is read when it is first needed, once."""

    def __init__(  # noqa: PLR0913 - where a part of it lies elsewhere
        self,
        semantic_manifest: Path,
        database: Path | Address | None,
        root: Path | None,
        *,
        plans: Path | None = None,
        text: bytes | None = None,
        dialect: str | None = None,
    ) -> None:
        """Name the files; nothing is read yet.

        Args:
            semantic_manifest: MetricFlow's artefact, or where it would be.
            database: the DuckDB file, or where PostgreSQL is; None for that of the profile.
            root: the folder of the dbt project; None where there is none.
            plans: the folder for compiled questions, where it is another than `plans` would find.
            text: the semantic manifest itself, where it stands in no file of its own.
            dialect: in which its questions are compiled, where it is not the warehouse's.
        """
        self._dialect = dialect
        self._manifest_text = text
        self.semantic_manifest_path = semantic_manifest
        self.root = root
        self._database = database
        self._plans = plans

    @cached_property
    def text(self) -> bytes:
        """The semantic manifest as it is written."""
        if self._manifest_text is not None:
            return self._manifest_text
        try:
            return self.semantic_manifest_path.read_bytes()
        except OSError:
            raise ProjectError(
                f"There is no {self.semantic_manifest_path}. Run `dbt build` (or `dbt parse`)"
                " in the project first, or name the manifest with manifest=."
            ) from None

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the semantic manifest: every definition is in it."""
        return hashlib.sha256(self.text).hexdigest()

    @cached_property
    def semantic_manifest(self) -> dict[str, Any]:
        """MetricFlow's own artefact, in the specification without measures."""
        try:
            manifest: dict[str, Any] = json.loads(self.text)
            manifest["metrics"], manifest["semantic_models"]
            configuration = manifest["project_configuration"]
        except (ValueError, KeyError, TypeError):
            raise ProjectError(
                f"{self.semantic_manifest_path} is no semantic manifest. Run `dbt parse` again."
            ) from None
        if "time_spines" not in configuration:
            raise ProjectError(
                f"{self.semantic_manifest_path} was written by a dbt that is too old: it knows no"
                " time spines in YAML. pip install 'dbt-core>=1.12', then run `dbt parse`."
            )
        return in_one_specification(manifest)

    @cached_property
    def dialect(self) -> str:
        """The dialect of the warehouse's SQL; that of a manifest alone is DuckDB's."""
        if self._dialect is not None:
            return self._dialect
        try:
            database = self.database
        except ProjectError:
            return dialects.DEFAULT  # whoever asks the warehouse is told then
        if isinstance(database, Remote):
            return dialects.SPARK
        return dialects.POSTGRES if isinstance(database, Address) else dialects.DUCKDB

    @cached_property
    def dbt_manifest(self) -> dict[str, Any]:
        """Dbt's manifest, which knows files, models and lineage.

        Raises:
            ProjectError: it does not lie beside the semantic manifest.
        """
        path = self.semantic_manifest_path.with_name("manifest.json")
        try:
            manifest: dict[str, Any] = json.loads(path.read_bytes())
        except (OSError, ValueError):
            raise ProjectError(
                f"There is no readable {path}. Run `dbt parse` in the project."
            ) from None
        return manifest

    @property
    def title(self) -> str:
        """The project's name as a title has it."""
        name = self.dbt_manifest["metadata"].get("project_name")
        return str(name or "Cadran").replace("_", " ").capitalize()

    @cached_property
    def marks_schema(self) -> str:
        """The schema in which builds of this target leave their marks: that of its catalogue."""
        try:
            return str(self.dbt_manifest["nodes"][_CATALOGUE]["schema"])
        except (ProjectError, KeyError):
            return "governance"

    def switched_off(self, kind: str) -> dict[str, dict[str, Any]]:
        """What the project has of a kind and does not enable, by name: `metric`, `saved_query`."""
        return {
            str(node["name"]): node
            for nodes in (self.dbt_manifest.get("disabled") or {}).values()
            for node in nodes
            if node["resource_type"] == kind
        }

    def file_of(self, metric: str) -> str:
        """The file that defines a metric, or the semantic manifest when dbt's is not there."""
        try:
            nodes = self.dbt_manifest["metrics"].values()
        except ProjectError:
            return str(self.semantic_manifest_path)
        files = [node["original_file_path"] for node in nodes if node["name"] == metric]
        return files[0] if files else str(self.semantic_manifest_path)

    @cached_property
    def database(self) -> Path | Address:  # noqa: PLR0911 - one for each way to name it
        """The DuckDB file, the database of PostgreSQL or the Spark named, else the profile's.

        A profile of type postgres is connected to as CADRAN_POSTGRES says, where that is set: by a
        user who only reads, for example.
        """
        if self._database is not None:
            return self._database
        path = os.environ.get("CADRAN_DATABASE")
        if path and path.startswith((*PREFIXES, *spark.PREFIXES)):
            return _address(path)
        if path:
            return (self.root or Path()) / path  # relative to the project, as dbt reads it
        named = os.environ.get("CADRAN_POSTGRES")
        if self.root is None:
            if not named:
                raise ProjectError("A manifest alone names no warehouse: give database= as well.")
            return address(named)
        output, target = _profile_output(self.root)
        if output["type"] == dialects.POSTGRES:
            return address(named) if named else address_of_profile(output)
        if output["type"] == dialects.SPARK:
            return spark.remote_of_profile(output)
        # dbt-duckdb builds in memory where its profile names no path.
        return self.root / _file_of(output.get("path", ":memory:"), target)

    @property
    def is_unbuilt(self) -> bool:
        """Whether it is seen without asking the warehouse that nothing was built."""
        return isinstance(self.database, Path) and not self.database.exists()

    @cached_property
    def database_alias(self) -> str | None:
        """The database name that compiled SQL writes before each schema, if it writes one."""
        for model in self.semantic_manifest["semantic_models"]:
            alias = model["node_relation"]["database"]
            if alias:
                return str(alias)
        return None

    @cached_property
    def relations(self) -> tuple[str, ...]:
        """The physical relations that metrics and time spines read, quoted as in compiled SQL."""
        configuration = self.semantic_manifest["project_configuration"]
        nodes = [model["node_relation"] for model in self.semantic_manifest["semantic_models"]]
        nodes += [spine["node_relation"] for spine in configuration["time_spines"]]
        return tuple(sorted({node["relation_name"] for node in nodes}))

    @property
    def plans(self) -> Path | None:
        """The folder for compiled questions, in dbt's target folder; None when this is no such."""
        if self._plans is not None:
            return self._plans
        folder = self.semantic_manifest_path.parent
        is_target = self.root is not None or (folder / "manifest.json").exists()
        return folder / "cadran" / "plans" if is_target else None


def find(
    project_dir: Path | str | None, manifest: Path | str | None, database: Path | str | None
) -> Project:
    """The project in a folder, or the one whose semantic manifest is named.

    Raises:
        ProjectError: there is neither a project nor a manifest there.
    """
    path = _named(database)
    if manifest is not None:
        return Project(Path(manifest), path, None)
    root = located(Path(project_dir or "."))
    if not (root / "dbt_project.yml").exists():
        raise ProjectError(
            f"There is no dbt_project.yml in {root.resolve()}. Name the project's folder, or"
            " give manifest= and database=."
        )
    target = Path(os.environ.get("DBT_TARGET_PATH") or "target")
    return Project(root / target / "semantic_manifest.json", path, root)


def _named(database: Path | str | None) -> Path | Address | None:
    if database is None:
        return None
    if str(database).startswith((*PREFIXES, *spark.PREFIXES)):
        return _address(str(database))
    return Path(database)


def _address(url: str) -> Address:
    return spark.remote(url) if url.startswith(spark.PREFIXES) else address(url)


def located(folder: Path) -> Path:
    """The folder of the dbt project that is meant, as dbt finds it.

    A folder that is named is taken as it is. For this folder, that is DBT_PROJECT_DIR where it is
    set, else the nearest folder above that holds a project; itself where none does.
    """
    if folder != Path():
        return folder
    named = os.environ.get("DBT_PROJECT_DIR")
    if named:
        return Path(named)
    here = Path.cwd()
    above = (parent for parent in here.parents if (parent / "dbt_project.yml").exists())
    return folder if (here / "dbt_project.yml").exists() else next(above, folder)


# What DuckDB takes for a path and is no file, and why it cannot be read here.
_NO_FILES = (
    (":memory:", "a warehouse in memory, which ends with the process of dbt that filled it"),
    ("md:", "a warehouse at MotherDuck, which is no file"),
    ("motherduck:", "a warehouse at MotherDuck, which is no file"),
    ("ducklake:", "a DuckLake catalogue, which is no file"),
)


def _file_of(path: str, target: str) -> str:
    for prefix, what in _NO_FILES:
        if path.startswith(prefix):
            raise ProjectError(
                f"The output '{target}' of the profile names {path}: {what}. Cadran reads a DuckDB"
                " file: let dbt build into one, such as `path: warehouse.duckdb`, or name it with"
                " --database or CADRAN_DATABASE."
            )
    return path


# What an output of each type says of the connection; the rest is dbt's own.
_READ = {
    dialects.DUCKDB: {"path"},
    dialects.POSTGRES: {*PROFILE_KEYS, "role"},
    dialects.SPARK: {"host", "method"},
}


def _profile_output(root: Path) -> tuple[dict[str, str], str]:
    """What the profile says of the target, rendered, and the target's name."""
    from cadran.formats import strict_yaml

    name = (strict_yaml.read(root / "dbt_project.yml", ProjectError) or {}).get("profile")
    folders = [os.environ.get("DBT_PROFILES_DIR"), root, Path.home() / ".dbt"]
    paths = [Path(folder) / "profiles.yml" for folder in folders if folder]
    path = next((path for path in paths if path.exists()), None)
    if path is None:
        raise ProjectError(
            f"No profiles.yml for the profile '{name}': looked in"
            f" {', '.join(str(path.parent) for path in paths)}."
        )

    def env_var(variable: str, default: str | None = None) -> str:
        value = os.environ.get(variable, default)
        if value is None:
            raise ProjectError(f"{path}: the environment variable {variable} is not set.")
        return value

    profiles = strict_yaml.read(path, ProjectError) or {}
    if name not in profiles:
        raise ProjectError(f"{path} has no profile '{name}', which dbt_project.yml asks for.")

    def rendered(value: object) -> str:
        if "{" not in str(value):
            return str(value)
        from jinja2 import StrictUndefined
        from jinja2.exceptions import TemplateError
        from jinja2.sandbox import SandboxedEnvironment

        environment = SandboxedEnvironment(undefined=StrictUndefined)
        # Of dbt, which makes numbers of texts; libpq takes texts.
        environment.filters |= dict.fromkeys(("as_number", "as_text", "as_native"), str)
        try:
            return environment.from_string(str(value)).render(
                env_var=env_var, fromjson=json.loads, tojson=json.dumps
            )
        except TemplateError as error:
            raise ProjectError(f"{path}: {value} cannot be read: {error}") from None

    profile = profiles[name]
    target = os.environ.get("DBT_TARGET") or rendered(profile.get("target", "default"))
    output = profile.get("outputs", {}).get(target)
    if output is None:
        raise ProjectError(f"{path}: the profile '{name}' has no output '{target}'.")
    if output.get("type") not in _READ:
        raise ProjectError(
            f"{path}: the output '{target}' is of type {output.get('type')}; Cadran reads"
            f" {', '.join(_READ)}."
        )
    read = _READ[output["type"]]
    keys = [key for key in output if key in read and output[key] is not None]
    return {"type": output["type"]} | {key: rendered(output[key]) for key in keys}, target

"""The input contracts of a project: what each source table has to look like.

They are read where dbt reads them (`models/staging/<source>/_<source>__sources.yml`, the
variables in `vars.yml` and `dbt_project.yml`), so that a contract is written once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jinja2 import Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from cadran.core.warehouse.dialects import literal
from cadran.errors import ProjectError
from cadran.formats import strict_yaml

if TYPE_CHECKING:
    from pathlib import Path

READERS = {
    ".parquet": "read_parquet({}, union_by_name = true)",
    ".csv": "read_csv({}, all_varchar = true, union_by_name = true)",
    ".csv.gz": "read_csv({}, all_varchar = true, union_by_name = true)",
}


@dataclass(frozen=True, slots=True)
class Column:
    """What a column's values must read as and the rules on each of them."""

    name: str
    data_type: str
    required: bool = False
    accepted: tuple[str, ...] = ()
    minimum: Any = None
    maximum: Any = None
    references: str | None = None

    def expected(self) -> str:
        """The rule in words."""
        words = [self.data_type]
        if self.accepted:
            words.append("one of " + ", ".join(self.accepted))
        if self.minimum is not None:
            words.append(f"at least {self.minimum}")
        if self.maximum is not None:
            words.append(f"at most {self.maximum}")
        if self.references:
            words.append(f"found in {self.references}")
        words.append("never empty" if self.required else "may be empty")
        return ", ".join(words)


@dataclass(frozen=True, slots=True)
class Table:
    """One table of a source, its key and its columns."""

    source: str
    name: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]

    @property
    def full_name(self) -> str:
        """The name as `source.table`."""
        return f"{self.source}.{self.name}"

    def column(self, name: str) -> Column | None:
        """The column of that name, if the contract has one."""
        return next((column for column in self.columns if column.name == name), None)


@dataclass(frozen=True, slots=True)
class Contracts:
    """The contracts and variables of a project; `graph` has the sources as dbt's own graph has."""

    project_dir: Path
    variables: dict[str, Any]
    tables: tuple[Table, ...]
    graph: dict[str, Any] = field(repr=False)

    def place(self, source: str) -> str | None:
        """Where the variable `cadran_sources` says that the source is."""
        places = self.variables.get("cadran_sources")
        place = places.get(source) if isinstance(places, dict) else places
        return None if place is None else str(place)


def load(project_dir: Path, overrides: dict[str, Any] | None = None) -> Contracts:
    """The contracts of every source whose domain is switched on.

    Raises:
        ProjectError: the folder holds no dbt project with source contracts.
    """
    settings = _read(project_dir / "dbt_project.yml")
    if settings is None:
        raise ProjectError(
            f"{project_dir} holds no dbt_project.yml: run this in a dbt project or name one with "
            "--project-dir."
        )
    variables = _flat(settings.get("vars"), settings["name"])
    variables |= _flat((_read(project_dir / "vars.yml") or {}).get("vars"), settings["name"])
    variables |= overrides or {}
    files = sorted((project_dir / "models" / "staging").glob("*/_*__sources.yml"))
    if not files:
        raise ProjectError(
            f"{project_dir.resolve()} has no input contract: none of"
            " models/staging/*/_*__sources.yml exists. `cadran doctor` holds raw data against"
            " these; a project without them needs no doctor."
        )
    staging = settings.get("models", {}).get(settings["name"], {}).get("staging", {})
    tables: list[Table] = []
    graph: dict[str, Any] = {}
    for file in files:
        switch = (staging.get(file.parent.name) or {}).get("+enabled", True)
        if str(rendered(switch, variables)).strip().lower() != "true":
            continue
        for source in (_read(file) or {}).get("sources", ()):
            for table in rendered(source["tables"], variables):
                tables.append(_table(source["name"], table))
                graph[tables[-1].full_name] = _node(source["name"], table, settings["name"])
    return Contracts(project_dir, variables, tuple(tables), graph)


def rendered(value: Any, variables: dict[str, Any]) -> Any:
    """The value with `{{ var(...) }}` filled in, in texts, lists and mappings alike."""
    if isinstance(value, dict):
        return {key: rendered(item, variables) for key, item in value.items()}
    if isinstance(value, list):
        return [rendered(item, variables) for item in value]
    if not isinstance(value, str) or "{" not in value:
        return value
    environment = ImmutableSandboxedEnvironment(undefined=Undefined)
    template = environment.from_string(value)
    return template.render(
        var=lambda name, default="": variables.get(name, default),
        doc=lambda name: name,
        target={"schema": "analytics"},
    )


def find_files(place: str, table: Table, base: Path) -> tuple[str, str] | None:
    """The reader's pattern and the ending of the table's files, looked for as the build does."""
    stem = base / place.rstrip("/") / table.source / table.name
    for ending in READERS:
        path = stem.with_name(stem.name + ending)
        if path.is_file():
            return str(path), ending
        if any(stem.rglob(f"*{ending}")):
            return str(stem / "**" / f"*{ending}"), ending
    return None


def reader(pattern: str, ending: str) -> str:
    """The DuckDB table function that reads the pattern."""
    return READERS[ending].format(literal(pattern))


def _read(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    content = strict_yaml.read(path, ProjectError)
    return content if isinstance(content, dict) else {}


def _flat(variables: dict[str, Any] | None, package: str) -> dict[str, Any]:
    """Variables of the project, those under its package name included."""
    flat = dict(variables or {})
    own = flat.pop(package, None)
    return flat | (own if isinstance(own, dict) else {})


def _rules(holder: dict[str, Any]) -> dict[str, Any]:
    return dict((holder.get("config") or {}).get("meta") or {})


def _table(source: str, table: dict[str, Any]) -> Table:
    columns = []
    for column in table.get("columns", ()):
        rules = _rules(column)
        columns.append(
            Column(
                name=column["name"],
                data_type=str(column.get("data_type", "varchar")),
                required=bool(rules.get("required")),
                accepted=tuple(str(word) for word in rules.get("accepted", ())),
                minimum=rules.get("minimum"),
                maximum=rules.get("maximum"),
                references=rules.get("references"),
            )
        )
    return Table(source, table["name"], tuple(_rules(table).get("key", ())), tuple(columns))


def _node(source: str, table: dict[str, Any], package: str) -> dict[str, Any]:
    columns = {
        column["name"]: column | {"config": {"meta": _rules(column)}}
        for column in table.get("columns", ())
    }
    return {
        "package_name": package,
        "source_name": source,
        "name": table["name"],
        "columns": columns,
        "config": {"meta": _rules(table)},
    }

"""The project's own staging and checking models, run on the raw files without a build.

What the build would reject is decided by the SQL of the project: the macros of `macros/` and the
models behind `rejected_*`. Here these few models become temporary views and tables of an
in-memory DuckDB, so that the doctor counts what the build will count, by the same words. Only the
part of dbt that such models use is there; a model that wants more raises `NotRenderableError`.
"""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NoReturn

from jinja2 import Environment, TemplateError

from cadran.core.warehouse.dialects import DUCKDB, literal
from cadran.errors import CadranError, WarehouseError

if TYPE_CHECKING:
    from collections.abc import Callable

    from cadran.core.project.contracts import Contracts
    from cadran.core.warehouse.duckdb_local import Scratch

RELATION = re.compile(r"^[a-z_][a-z0-9_]*$")


class NotRenderableError(CadranError):
    """A model uses a part of dbt that is not here."""


class _ReturnError(Exception):
    """Carries the value of dbt's `return()` out of a macro."""

    def __init__(self, value: Any) -> None:
        self.value = value


class Models:
    """The models of a project as relations of a database in memory, made when they are asked."""

    def __init__(
        self,
        contracts: Contracts,
        scratch: Scratch,
        raw: dict[tuple[str, str], str] | None = None,
    ) -> None:
        """Load the project's macros; no model is touched yet.

        Args:
            contracts: the project's contracts and variables.
            scratch: where the relations are made.
            raw: what to read for a source's table, instead of what the project would read.
        """
        self._contracts = contracts
        self._scratch = scratch
        self._made: dict[str, str] = {}
        self._files = {
            path.stem: path for path in sorted((contracts.project_dir / "models").rglob("*.sql"))
        }
        self._environment = Environment(  # noqa: S701 - SQL is not HTML; the project is trusted
            extensions=["jinja2.ext.do"]
        )
        self._macros: dict[str, Callable[..., Any]] = {}
        self._environment.globals.update(self._context())
        for path in sorted((contracts.project_dir / "macros").rglob("*.sql")):
            self._load(path.read_text(encoding="utf-8"))
        if raw is not None:
            self._macros["source_rows"] = lambda source, table: self._raw(raw, source, table)

    def exists(self, model: str) -> bool:
        """True when the project has a model of that name."""
        return model in self._files

    def relation(self, model: str) -> str:
        """The relation that holds the model, made with all it stands on.

        Raises:
            NotRenderableError: the model, or one before it, cannot be made here.
        """
        if model in self._made:
            return self._made[model]
        if model not in self._files or not RELATION.match(model):
            raise NotRenderableError(f"there is no model {model}")
        source = self._files[model].read_text(encoding="utf-8")
        try:
            sql = self._environment.from_string(source).render()
            # A mart is asked many times for its keys: it is kept; the others are looked through.
            kind = "view" if model.startswith(("stg_", "int_")) else "table"
            self._scratch.execute(f"create or replace temp {kind} {model} as {sql}")
        except _ReturnError as value:
            raise NotRenderableError(f"{model} returns {value.value!r}") from value
        except (TemplateError, TypeError, ValueError, KeyError, WarehouseError) as problem:
            reason = str(problem).splitlines()[0] if str(problem) else type(problem).__name__
            raise NotRenderableError(f"{model}: {reason}") from problem
        self._made[model] = model
        return model

    def _load(self, text: str) -> None:
        try:
            module = self._environment.from_string(text).make_module()
        except TemplateError:
            return  # a test or a materialisation: not what these models call
        for name, macro in vars(module).items():
            if callable(macro) and not name.startswith("_"):
                self._macros[name] = _returning(macro)

    def _context(self) -> dict[str, Any]:
        variables = self._contracts.variables
        own = _Namespace(self._macros)
        return {
            "cadran": own,
            "dbt": _Namespace(DBT),
            "dbt_utils": _Namespace({}),
            "adapter": SimpleNamespace(dispatch=self._dispatch, type=lambda: DUCKDB),
            "var": lambda name, default=None: variables.get(name, default),
            "env_var": lambda _name, default="": default,
            "ref": self.relation,
            "source": self._source,
            "run_query": self._run_query,
            "return": _return,
            "config": lambda **_: "",
            "is_incremental": lambda: False,
            "log": lambda *_, **__: "",
            "exceptions": SimpleNamespace(raise_compiler_error=_refuse),
            "execute": True,
            "graph": SimpleNamespace(sources=self._contracts.graph),
            "model": SimpleNamespace(package_name=next(iter(self._packages()), "")),
            "target": SimpleNamespace(type=DUCKDB, schema="analytics", name="doctor"),
            "this": "this",
        }

    def _packages(self) -> set[str]:
        return {node["package_name"] for node in self._contracts.graph.values()}

    def _dispatch(self, name: str, _package: str | None = None) -> Callable[..., Any]:
        for prefix in (f"{DUCKDB}__", "default__"):
            if prefix + name in self._macros:
                return self._macros[prefix + name]
        raise NotRenderableError(f"there is no macro {name}")

    @staticmethod
    def _raw(raw: dict[tuple[str, str], str], source: str, table: str) -> str:
        if (source, table) not in raw:
            raise NotRenderableError(f"{source}.{table} is not there")
        return raw[source, table]

    def _source(self, source: str, table: str) -> str:
        place = self._contracts.place(source) or source
        return f'warehouse."{place.removeprefix("schema:")}"."{table}"'

    def _run_query(self, sql: str) -> Any:
        rows = self._scratch.rows(sql)
        width = len(rows[0]) if rows else 1
        columns = [
            SimpleNamespace(values=lambda column=column: [row[column] for row in rows])
            for column in range(width)
        ]
        return SimpleNamespace(columns=columns, rows=rows)


class _Namespace:
    """Macros as attributes."""

    def __init__(self, macros: dict[str, Callable[..., Any]]) -> None:
        self._macros = macros

    def __getattr__(self, name: str) -> Callable[..., Any]:
        try:
            return self._macros[name]
        except KeyError:
            raise NotRenderableError(f"there is no macro {name} here") from None


def _returning(macro: Callable[..., Any]) -> Callable[..., Any]:
    def call(*arguments: Any, **named: Any) -> Any:
        try:
            return macro(*arguments, **named)
        except _ReturnError as returned:
            return returned.value

    return call


def _return(value: Any = None) -> NoReturn:
    raise _ReturnError(value)


def _refuse(message: str) -> NoReturn:
    raise NotRenderableError(message)


# dbt's own macros, as its DuckDB adapter writes them.
DBT: dict[str, Callable[..., Any]] = {
    "type_string": lambda: "varchar",
    "type_timestamp": lambda: "timestamp",
    "type_int": lambda: "integer",
    "type_bigint": lambda: "bigint",
    "type_numeric": lambda: "decimal(18, 3)",
    "type_float": lambda: "double",
    "type_boolean": lambda: "boolean",
    "safe_cast": lambda field, kind: f"try_cast({field} as {kind})",
    "cast": lambda field, kind: f"cast({field} as {kind})",
    "concat": " || ".join,
    "hash": lambda field: f"md5(cast({field} as varchar))",
    "length": lambda field: f"length({field})",
    "any_value": lambda field: f"any_value({field})",
    "bool_or": lambda field: f"bool_or({field})",
    "date_trunc": lambda part, field: f"date_trunc('{part}', {field})",
    "datediff": lambda start, stop, part: f"date_diff('{part}', {start}, {stop})",
    "dateadd": lambda part, number, field: f"date_add({field}, interval ({number}) {part})",
    "current_timestamp": lambda: "now()",
    "string_literal": lambda text: f"'{text}'",
    "escape_single_quotes": lambda text: literal(text)[1:-1],
}

"""Where own modules are imported: at the top, but where that would make the start slow."""

import ast
from functools import cache
from pathlib import Path

import pytest

PYTHON = Path(__file__).resolve().parents[1]
# Packages that take longer to import than a command line may take to say its help, or that are not
# there without an extra.
HEAVY = {
    "babel", "cryptography", "dbt", "duckdb", "google.protobuf", "grpc", "httpx", "jinja2", "jwt",
    "mcp", "metricflow", "metricflow_semantics", "numpy", "pandas", "polars", "pyarrow", "pydantic",
    "resvg_py", "sqlglot", "sqlglot.optimizer", "starlette", "strawberry", "uvicorn", "xlsxwriter",
    "yaml",
}  # fmt: skip
FILES = {
    ".".join(path.relative_to(PYTHON).with_suffix("").parts).removesuffix(".__init__"): path
    for package in ("cadran", "cadran_demo")
    for path in (PYTHON / package).rglob("*.py")
}


def imported(module, node):
    """The modules that a statement names; `from a import b` names `a.b`, if that is a module."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    assert not node.level, f"{module} imports relatively"
    inner = [f"{node.module}.{alias.name}" for alias in node.names]
    return [name if name in FILES else node.module for name in inner]


@cache
def imports(module):
    """What a module imports when it is loaded, and in functions, with the lines of the latter."""
    at_top, in_functions = [], []

    def walk(node, *, in_function):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
                continue
            if isinstance(child, ast.Import | ast.ImportFrom):
                names = imported(module, child)
                at_top.extend([] if in_function else names)
                in_functions.extend((child.lineno, name) for name in names if in_function)
            is_function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
            walk(child, in_function=in_function or is_function)

    walk(ast.parse(FILES[module].read_text(encoding="utf-8")), in_function=False)
    return at_top, in_functions


@cache
def heavy(module):
    """The heavy packages that are loaded with a module, by whatever it imports at the top."""
    loaded, waiting, seen = set(), [module], set()
    while waiting:
        name = waiting.pop()
        parts = name.split(".")
        parents = {".".join(parts[: end + 1]) for end in range(len(parts))} - seen
        seen |= parents
        for parent in parents:
            if parent in FILES:
                waiting += imports(parent)[0]
            elif parent in HEAVY:
                loaded.add(parent)
    return loaded


def test_the_heavy_are_known():
    assert "sqlglot" in heavy("cadran.exports.expressions")
    assert "numpy" in heavy("cadran.insight.harm")


@pytest.mark.parametrize(
    "module", ["cadran", "cadran.cli.app", "cadran.cli.query", "cadran.core.layer"]
)
def test_what_every_question_loads_is_light(module):
    assert heavy(module) == set()


@pytest.mark.parametrize("module", sorted(FILES))
def test_an_own_module_is_imported_in_a_function_only_to_spare_a_heavy_package(module):
    spared = [
        f"line {line}: {name}"
        for line, name in imports(module)[1]
        if name in FILES and not heavy(name) - heavy(module)
    ]
    assert spared == []

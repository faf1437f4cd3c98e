"""YAML as people write it, read strictly: a key that stands twice is an error, with its line."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, TypeVar

import yaml

from cadran.formats.validation import validated

if TYPE_CHECKING:
    from pathlib import Path

    from cadran.errors import CadranError

T = TypeVar("T")
_BASE: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class DuplicateKeyError(yaml.constructor.ConstructorError):
    """A key stands twice in one mapping."""


class StrictLoader(_BASE):  # type: ignore[misc]
    """A safe loader that refuses a key that stands twice in one mapping."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> Any:  # noqa: FBT001, FBT002 - PyYAML's own signature
        """The mapping of a node.

        Raises:
            DuplicateKeyError: a key stands twice.
        """
        lines: dict[tuple[str, str], int] = {}
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if not isinstance(key, yaml.ScalarNode):
                continue
            name, line = (key.tag, key.value), key.start_mark.line + 1
            if name in lines:
                raise DuplicateKeyError(
                    None, None, f"the key '{key.value}' stands twice, on line {lines[name]} and"
                    f" on line {line}", key.start_mark,
                )  # fmt: skip
            lines[name] = line
        return super().construct_mapping(node, deep=deep)


class ExactLoader(StrictLoader):
    """A strict loader that gives numbers with a point as decimals, as they are written."""


def _decimal(loader: Any, node: yaml.ScalarNode) -> Any:
    try:
        return Decimal(node.value)
    except InvalidOperation:  # infinity, in YAML's own words
        return loader.construct_yaml_float(node)


ExactLoader.add_constructor("tag:yaml.org,2002:float", _decimal)


def parse(text: str, file: str, error: type[CadranError], loader: Any = StrictLoader) -> Any:
    """What a text in YAML holds; None for an empty one.

    Args:
        text: the YAML.
        file: what it is called in a sentence.
        error: what is raised.
        loader: `ExactLoader` for decimals.

    Raises:
        CadranError: it is no YAML, or a key stands twice in it.
    """
    try:
        return yaml.load(text, loader)  # noqa: S506 - a safe loader
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark
        place = f"{file}, line {mark.line + 1}" if mark else file
        is_yaml = isinstance(problem, DuplicateKeyError)
        reason = problem.problem or problem.context
        raise error(f"{place}{':' if is_yaml else ' is no YAML:'} {reason}.") from None
    except (yaml.YAMLError, ValueError) as problem:
        raise error(f"{file} is no YAML: {' '.join(str(problem).split())}.") from None


def read(
    path: Path, error: type[CadranError], *, file: str | None = None, loader: Any = StrictLoader
) -> Any:
    """What a file in YAML holds; None for an empty one.

    Args:
        path: the file.
        error: what is raised.
        file: what it is called in a sentence, where that is not its path.
        loader: `ExactLoader` for decimals.

    Raises:
        CadranError: it cannot be read, is no YAML, or a key stands twice in it.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise error(f"{file or path} cannot be read: {problem}.") from None
    return parse(text, file or str(path), error, loader)


def read_as(kind: type[T], path: Path, error: type[CadranError], *, file: str | None = None) -> T:
    """What a file in YAML holds, as the type that it must be; an empty file has no keys.

    Args:
        kind: a `Strict` dataclass or a pydantic model.
        path: the file.
        error: what is raised.
        file: what it is called in a sentence, where that is not its path.

    Raises:
        CadranError: as `read`, or a key is unknown, missing or holds what it must not.
    """
    return parsed_as(kind, read(path, error, file=file), file or str(path), error)


def parsed_as(kind: type[T], content: object, file: str, error: type[CadranError]) -> T:
    """What a file holds, as the type that it must be; an empty file has no keys.

    Raises:
        CadranError: a key is unknown, missing or holds what it must not.
    """

    def wrong(key: str, sentence: str) -> CadranError:
        place = f", key '{key}'" if key else ""
        return error(f"{file}{place}: {sentence}.")

    return validated(kind, {} if content is None else content, wrong)

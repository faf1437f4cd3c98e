"""YAML as people write it, read strictly: a key that stands twice is an error, with its line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from pathlib import Path

    from cadran.errors import CadranError

_BASE: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class StrictLoader(_BASE):  # type: ignore[misc]
    """A safe loader that refuses a key that stands twice in one mapping."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> Any:  # noqa: FBT001, FBT002 - PyYAML's own signature
        """The mapping of a node.

        Raises:
            yaml.constructor.ConstructorError: a key stands twice.
        """
        lines: dict[tuple[str, str], int] = {}
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if not isinstance(key, yaml.ScalarNode):
                continue
            name, line = (key.tag, key.value), key.start_mark.line + 1
            if name in lines:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key '{key.value}' stands twice, on line {lines[name]} and"
                    f" on line {line}", key.start_mark,
                )  # fmt: skip
            lines[name] = line
        return super().construct_mapping(node, deep=deep)


def parse(text: str, file: str, error: type[CadranError]) -> Any:
    """What a text in YAML holds; None for an empty one.

    Args:
        text: the YAML.
        file: what it is called in a sentence.
        error: what is raised.

    Raises:
        CadranError: it is no YAML, or a key stands twice in it.
    """
    try:
        return yaml.load(text, StrictLoader)  # noqa: S506 - a safe loader
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark
        place = f"{file}, line {mark.line + 1}" if mark else file
        raise error(f"{place}: this is no YAML: {problem.problem or problem.context}.") from None
    except (yaml.YAMLError, ValueError) as problem:
        reason = " ".join(str(problem).split())
        raise error(f"{file}: this is no YAML: {reason}.") from None


def read(path: Path, error: type[CadranError], *, file: str | None = None) -> Any:
    """What a file in YAML holds; None for an empty one.

    Args:
        path: the file.
        error: what is raised.
        file: what it is called in a sentence, where that is not its path.

    Raises:
        CadranError: it cannot be read, is no YAML, or a key stands twice in it.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise error(f"{file or path} cannot be read: {problem}.") from None
    return parse(text, file or str(path), error)

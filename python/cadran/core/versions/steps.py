"""Frozen steps: the SQL of a model as versions of KPIs read it, each text stored once.

A step stands in `versions/steps/<sha256>.sql`, and a record names it, `fct_orders: sha256:<hash>`.
Several records name one step, so that a reviewer sees what changed of a model once. A record is
sealed by its text with the steps written out, as records stood before steps were shared: neither a
record nor a step can be edited by itself, and a seal holds in either form.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

import yaml

from cadran.core.project.graph import checksum
from cadran.errors import CardError
from cadran.formats import files

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FOLDER = "steps"
_NAMED = re.compile(r"sha256:([0-9a-f]{64})")
_LINE = re.compile(r"^  (?P<name>\S.*): sha256:(?P<hash>[0-9a-f]{64})$")
_HEAD = "steps:"


class Sql(str):
    """SQL that YAML writes as a block, to be read and compared by line."""

    __slots__ = ()


class Dumper(yaml.SafeDumper):
    """Writes SQL as blocks, and repeats rather than refers."""


def _block(dumper: yaml.SafeDumper, sql: Sql) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", _plain(sql), style="|")


Dumper.ignore_aliases = lambda *_: True  # type: ignore[method-assign]
Dumper.add_representer(Sql, _block)


@lru_cache(maxsize=1024)  # many records share a step
def _written(name: str, sql: str) -> tuple[str, ...]:
    """The lines of a step in a record."""
    key = yaml.safe_load(f"{name}: 0").popitem()[0]
    block = yaml.dump({key: Sql(sql)}, Dumper=Dumper, allow_unicode=True)
    return tuple(f"  {row}" if row else row for row in block.rstrip("\n").split("\n"))


class StepStore:
    """The steps beside the records of one project."""

    def __init__(self, versions: Path) -> None:
        """Take the folder of the records; nothing is read yet."""
        self._folder = versions / FOLDER
        self._read: dict[str, str] = {}

    def write(self, sql: str) -> str:
        """Store a step unless it is there; returns what a record names it by.

        Raises:
            OSError: the file cannot be written.
        """
        text = _plain(sql)
        name = checksum(text)
        path = self._folder / f"{name}.sql"
        if not path.exists():
            self._folder.mkdir(parents=True, exist_ok=True)
            files.write(path, f"{text}\n")
        return f"sha256:{name}"

    def read(self, value: str, file: str) -> str:
        """The SQL of a step: of what a record names, or the SQL that an older record holds.

        Args:
            value: `sha256:<hash>`, or SQL.
            file: the record, for the error.

        Raises:
            CardError: the step is gone, or is not what its name says.
        """
        match = _NAMED.fullmatch(value)
        if match is None:
            return value
        name = match[1]
        if name not in self._read:
            path = self._folder / f"{name}.sql"
            try:
                text = path.read_text(encoding="utf-8").removesuffix("\n")
            except OSError:
                raise CardError(
                    f"{file} names the step {FOLDER}/{name}.sql, which is gone; take it back from"
                    " git."
                ) from None
            if checksum(text) != name:
                raise CardError(
                    f"{file} names the step {FOLDER}/{name}.sql, which was edited; take it back"
                    " from git."
                )
            self._read[name] = text
        return self._read[name]

    def written_out(self, text: str, file: str) -> str:
        """A record's text with its steps in it, as it is sealed.

        Raises:
            CardError: as `read`.
        """
        lines, inside = [], False
        for line in text.split("\n"):
            if line[:1].strip():
                inside = line == _HEAD
            step = _LINE.fullmatch(line) if inside else None
            if step is None:
                lines.append(line)
                continue
            sql = self.read(f"sha256:{step['hash']}", file)
            lines += _written(step["name"], sql)
        return "\n".join(lines)

    def shared(self, text: str, steps: Mapping[str, str]) -> str:
        """A record's text that names its steps, which are stored; the inverse of `written_out`.

        Args:
            text: a record's text, its steps in it or named.
            steps: its steps as read.
        """
        start = text.index(f"\n{_HEAD}") + 1
        following = re.compile(r"^(?=\S)", re.MULTILINE).search(text, start + 1)
        end = following.start() if following else len(text)
        hashes = {name: self.write(sql) for name, sql in steps.items()}
        block = yaml.dump(
            {"steps": hashes}, Dumper=Dumper, sort_keys=False, default_flow_style=False, width=1000
        )
        return text[:start] + block + text[end:]


def _plain(sql: str) -> str:
    """SQL as it is stored and hashed: white space at the ends of lines means nothing."""
    return "\n".join(line.rstrip() for line in sql.splitlines())

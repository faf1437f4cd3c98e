"""The head of the ledger's chain, kept in `kpi.lock` where git guards it.

A chain shows a change in its middle, but not that its end was cut off. So the number and hash of
the last batch stand outside the warehouse as well.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from cadran.errors import ProjectError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILE = "kpi.lock"
ORIGIN = "0" * 64


@dataclass(frozen=True, slots=True)
class Head:
    """The last batch of a ledger; batch 0 is an empty one."""

    batch: int = 0
    hash: str = ORIGIN


def anchored(path: Path | None) -> Head | None:
    """The head in a lock file, or in a file that `cadran verify --export` wrote; None without.

    Raises:
        ProjectError: the file cannot be read.
    """
    if path is None or not path.exists():
        return None
    found = _load(path).get("ledger")
    if not found:
        return None
    return Head(int(found["batch"]), str(found["head"]))


def anchor(path: Path | None, head: Head) -> None:
    """Write the head into a lock file, leaving the rest of it as it is."""
    if path is None:
        return
    with alone(path.parent):
        lock = _load(path) if path.exists() else {}
        lock["ledger"] = {"batch": head.batch, "head": head.hash}
        aside = path.with_name(f".{path.name}.{os.getpid()}")
        aside.write_text(json.dumps(lock, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        aside.replace(path)


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep others from writing a lock file of this folder: the ledger and the versions share one.

    The folder itself is locked, since the file is replaced.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def path_of(root: Path | None) -> Path | None:
    """The lock file of a project; None for a manifest without a project."""
    return None if root is None else root / FILE


def sealed(header: dict[str, Any]) -> str:
    """The hash of a batch: over everything its record says, the hash before it included."""
    text = json.dumps(header, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _load(path: Path) -> dict[str, Any]:
    try:
        lock = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, yaml.YAMLError) as problem:
        raise ProjectError(f"{path} cannot be read: {problem}") from None
    if not isinstance(lock, dict):
        raise ProjectError(f"{path} is no lock file.")
    return lock

"""`kpi.lock`: the present version and hash of each KPI, and the head of the ledger.

It stands in git beside the records. Each record's file is sealed in it, so that an old version
cannot be edited by itself.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from cadran.errors import ProjectError
from cadran.formats import files

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
    found = _load_anchor(path).get("ledger")
    if not found:
        return None
    return Head(int(found["batch"]), str(found["head"]))


def anchor(path: Path | None, head: Head) -> None:
    """Write the head into a lock file, leaving the rest of it as it is."""
    if path is None:
        return
    with alone(path.parent):
        lock = _load_anchor(path) if path.exists() else {}
        lock["ledger"] = {"batch": head.batch, "head": head.hash}
        files.write(path, json.dumps(lock, indent=2, sort_keys=True) + "\n")


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


def _load_anchor(path: Path) -> dict[str, Any]:
    try:
        lock = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, yaml.YAMLError) as problem:
        raise ProjectError(f"{path} cannot be read: {problem}") from None
    if not isinstance(lock, dict):
        raise ProjectError(f"{path} is no lock file.")
    return lock


@dataclass(frozen=True, slots=True)
class Locked:
    """What the lock says of one KPI.

    Attributes:
        version: the present one.
        hash: what it means.
        seals: checksums of the files of its records, by version.
    """

    version: int
    hash: str
    seals: dict[int, str] = field(default_factory=dict)


def read(root: Path) -> dict[str, Locked]:
    """What is locked, by KPI; nothing when there is no lock yet.

    Raises:
        ProjectError: the lock cannot be read.
    """
    try:
        return {
            name: Locked(
                int(entry["version"]),
                str(entry["hash"]),
                {int(number): str(mark) for number, mark in (entry.get("seals") or {}).items()},
            )
            for name, entry in (_load(root).get("kpis") or {}).items()
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ProjectError(f"{root / FILE} cannot be read: {error}") from None


def write(root: Path, locked: dict[str, Locked]) -> None:
    """Write KPIs into the lock, leaving the rest of it as it is."""
    kpis = {
        name: {
            "version": entry.version,
            "hash": entry.hash,
            "seals": {str(number): mark for number, mark in sorted(entry.seals.items())},
        }
        for name, entry in locked.items()
    }
    with alone(root):
        lock = _load(root) | {"kpis": kpis}
        files.write(root / FILE, json.dumps(lock, indent=2, sort_keys=True) + "\n")


def _load(root: Path) -> dict[str, Any]:
    path = root / FILE
    if not path.exists():
        return {}
    try:
        lock: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ProjectError(f"{path} is no lock: {error}") from None
    return lock

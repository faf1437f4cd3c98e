"""`kpi.lock`: the present version and hash of each KPI, and the head of the ledger.

It stands in git beside the records. Each record's file is sealed in it, so that an old version
cannot be edited by itself.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cadran.errors import ProjectError
from cadran.governance.anchor import alone

if TYPE_CHECKING:
    from pathlib import Path

FILE = "kpi.lock"


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
        aside = root / f".{FILE}.{os.getpid()}"
        aside.write_text(json.dumps(lock, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        aside.replace(root / FILE)


def _load(root: Path) -> dict[str, Any]:
    path = root / FILE
    if not path.exists():
        return {}
    try:
        lock: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ProjectError(f"{path} is no lock: {error}") from None
    return lock

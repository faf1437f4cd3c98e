"""What changed: versions of KPIs where the project keeps them, and edits of definitions in git."""

from __future__ import annotations

import datetime as dt
import importlib
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cadran.errors import CadranError

if TYPE_CHECKING:
    from pathlib import Path

    from cadran.cards import Card
    from cadran.layer import Layer

DEFINITIONS = ("metrics", "semantic_models", "versions", "seeds", "vars.yml")
MOST_EDITS = 20
FIELDS = 3


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a KPI as its record tells it; the first has no kind."""

    kpi: str
    version: int
    effective_from: dt.date | None
    kind: str = ""
    reason: str = ""
    ticket: str = ""
    author: str = ""
    approver: str = ""
    restatement: str = ""


@dataclass(frozen=True, slots=True)
class Edit:
    """One commit that touched definitions."""

    day: dt.date
    subject: str
    files: tuple[str, ...]


def versions(layer: Layer, card: Card) -> list[Version]:
    """The versions of a KPI, the newest first; the card's own alone where none is recorded."""
    root = layer.project.root
    records: list[Any] = []
    if root is not None:
        try:
            module = importlib.import_module("cadran.governance.versions")
            records = list(module.records(root, card.name))
        except (ImportError, AttributeError, CadranError):
            records = []
    found = [
        Version(card.name, int(one.version), *(_text(one, name) for name in _NAMES))
        for one in records
    ]
    found = found or [Version(card.name, card.version, None)]
    return sorted(found, key=lambda one: -one.version)


_NAMES = (
    "effective_from", "kind", "reason", "ticket", "author", "approver", "restatement",
)  # fmt: skip


def edits(root: Path | None) -> list[Edit]:
    """The last commits that touched definitions, the newest first; none outside git."""
    git = shutil.which("git")
    if root is None or git is None:
        return []
    # Fields end with a control character that no message holds.
    form = "%x1e%cs%x1f%s%x1f"
    command = [
        git, "-C", str(root), "log", f"-{MOST_EDITS}", "--no-merges", f"--format={form}",
        "--name-only", "--", *DEFINITIONS,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = []
    for entry in done.stdout.split("\x1e") if done.returncode == 0 else ():
        parts = entry.split("\x1f")
        if len(parts) == FIELDS:
            files = tuple(line for line in parts[2].splitlines() if line)
            found.append(Edit(dt.date.fromisoformat(parts[0].strip()), parts[1], files))
    return found


def _text(record: Any, name: str) -> Any:
    # A first version is no change, and speaks for all that was ever published.
    if name in {"effective_from", "kind"} and record.kind == "first":
        return None if name == "effective_from" else ""
    value = getattr(record, name, "")
    return value if isinstance(value, dt.date) else str(value or "")

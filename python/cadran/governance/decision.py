"""What people decide about a new version, and whether it can be decided so."""

from __future__ import annotations

import datetime as dt
import re
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cadran.errors import QueryError, UnknownNameError
from cadran.governance import settings
from cadran.governance.versions import KINDS, RESTATEMENTS

if TYPE_CHECKING:
    from pathlib import Path

# A first version speaks for all that was ever published.
BEGINNING = dt.date(1970, 1, 1)
_MONTHS = {"month": 1, "quarter": 3, "year": 12}


@dataclass(frozen=True, slots=True)
class Decision:
    """What people decide about a new version; see `versions.VersionRecord`."""

    kind: str
    reason: str
    author: str
    approver: str
    effective_from: dt.date
    restatement: str = "none"
    window: tuple[dt.date, dt.date] | None = None
    ticket: str = ""
    overlap: str = "12 months"
    expected_impact: tuple[float, float] | None = None


def sound(decision: Decision, root: Path, owner: str) -> None:
    """Refuse a decision that the gate would not let pass.

    Raises:
        UnknownNameError: its kind or restatement is none.
        QueryError: it lacks something, or is approved by somebody who may not.
    """
    kinds = [kind for kind in KINDS if kind != "first"]
    if decision.kind not in kinds:
        raise UnknownNameError("kind of change", decision.kind, kinds)
    if decision.restatement not in RESTATEMENTS:
        raise UnknownNameError("restatement", decision.restatement, RESTATEMENTS)
    if (decision.restatement == "window") != (decision.window is not None):
        raise QueryError("A window is given with the restatement 'window', and only with it.")
    if decision.window and decision.window[0] > decision.window[1]:
        raise QueryError("The window ends before it begins: exchange the two days.")
    if not decision.reason.strip():
        raise QueryError("A new version needs a reason.")
    if decision.kind != "equivalent" and decision.expected_impact is None:
        raise QueryError(
            "A new version needs the impact that is expected of it, least and greatest: -3 0, say."
        )
    if decision.author.lower() == decision.approver.lower():
        raise QueryError(f"{decision.author} cannot approve a version of their own.")
    allowed = approvers(root, owner)
    if decision.approver not in allowed:
        raise QueryError(
            f"{decision.approver} cannot approve it: the owner is {owner}, with the delegates"
            f" {', '.join(allowed[1:]) or 'none'} ({settings.FILE})."
        )
    months_of(decision.overlap)


def approvers(root: Path, owner: str) -> list[str]:
    """Who may approve a version of an owner's KPI: the owner first, then the delegates."""
    from cadran.governance.rules import registered

    return [owner, *settings.read(root, set(registered())).delegates(owner)]


def months_of(overlap: str) -> int:
    """An overlap such as "3 months" in months.

    Raises:
        QueryError: it is not such a text.
    """
    found = re.fullmatch(r"(\d+) (month|quarter|year)s?", overlap)
    if not found or not int(found[1]):
        raise QueryError(f"The overlap is '{overlap}'; it takes a text such as '3 months'.")
    return int(found[1]) * _MONTHS[found[2]]


def git_author(root: Path) -> str | None:
    """Who git says is working here."""
    try:
        run = subprocess.run(
            ["git", "-C", str(root), "config", "user.email"],  # noqa: S607 - git is where git is
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    except OSError:
        return None
    return run.stdout.strip() or None

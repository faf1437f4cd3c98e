"""Which version records were merged: those of the revision that a branch left the main line at."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cadran.governance.versions import FOLDER

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Merged:
    """Paths of merged records, from the project's folder on.

    Attributes:
        there: those that the main line has.
        altered: those of them that are edited or gone since.
    """

    there: frozenset[str] = frozenset()
    altered: frozenset[str] = frozenset()


def merged(root: Path) -> Merged:
    """What git knows of a project's records; nothing without git or a main line.

    The main line is that of CADRAN_BASE, of a pull request on GitHub (GITHUB_BASE_REF), or of the
    remote `origin`.
    """
    named = os.environ.get("GITHUB_BASE_REF")
    line = os.environ.get("CADRAN_BASE") or (f"origin/{named}" if named else "origin/HEAD")
    base = _git(root, "merge-base", "HEAD", line)
    if not base:
        return Merged()
    there = _git(root, "ls-tree", "-r", "--name-only", base[0], "--", f"{FOLDER}/")
    altered = _git(
        root, "diff", "--name-only", "--no-renames", "--relative", base[0], "--", f"{FOLDER}/"
    )
    return Merged(frozenset(there), frozenset(there) & frozenset(altered))


def _git(root: Path, *words: str) -> list[str]:
    try:
        run = subprocess.run(
            ["git", "-C", str(root), *words],  # noqa: S607 - git is where git is
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    except OSError:
        return []
    return run.stdout.split("\n")[:-1] if run.returncode == 0 else []

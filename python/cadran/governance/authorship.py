"""Who is at work, and on which revision of the project."""

from __future__ import annotations

import getpass
import os
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cadran.layer import Layer


def who(layer: Layer) -> str:
    """Who is at work: CADRAN_AUTHOR, git's user, or the user of this machine."""
    named = os.environ.get("CADRAN_AUTHOR")
    return named or _git(layer, "config", "user.email") or getpass.getuser()


def revision(layer: Layer) -> str | None:
    """The revision of the project in git, with `+` when there are changes beside it."""
    found = _git(layer, "rev-parse", "HEAD")
    changed = _git(layer, "status", "--porcelain", "--untracked-files=no") if found else ""
    return f"{found}+" if found and changed else found


def _git(layer: Layer, *words: str) -> str | None:
    root = layer.project.root or layer.project.semantic_manifest_path.parent
    try:
        told = subprocess.run(
            ["git", *words],  # noqa: S607 - the git of whoever publishes
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return told.stdout.strip() or None

"""What git knows of a project's folder."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def output(
    folder: Path, *words: str, stdin: str | None = None, timeout: float | None = None
) -> str | None:
    """What a git command prints in a folder; None without git, outside a repository, on failure.

    Args:
        folder: where it runs.
        words: the command and its arguments.
        stdin: what it reads.
        timeout: seconds after which it has failed.
    """
    try:
        run = subprocess.run(
            ["git", "-C", str(folder), *words],  # noqa: S607 - the git of whoever is at work
            input=stdin, capture_output=True, text=True, check=True, timeout=timeout,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return run.stdout


def user(folder: Path) -> str | None:
    """The address of whoever is at work, as git has it."""
    return (output(folder, "config", "user.email", timeout=10) or "").strip() or None


def revision(folder: Path) -> str | None:
    """The revision of a folder, with `+` when there are changes beside it."""
    commit = (output(folder, "rev-parse", "HEAD", timeout=10) or "").strip()
    if not commit:
        return None
    changed = output(folder, "status", "--porcelain", "--untracked-files=no", timeout=10)
    return f"{commit}+" if (changed or "").strip() else commit

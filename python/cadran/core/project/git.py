"""What git knows of a project's folder."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_MOST = 1000  # earlier states of a file that are read


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
    """The address of whoever is at work: that of CADRAN_AUTHOR, else git's."""
    author = os.environ.get("CADRAN_AUTHOR")
    return author or (output(folder, "config", "user.email", timeout=10) or "").strip() or None


def revision(folder: Path) -> str | None:
    """The revision of a folder, with `+` when there are changes beside it."""
    commit = (output(folder, "rev-parse", "HEAD", timeout=10) or "").strip()
    if not commit:
        return None
    changed = output(folder, "status", "--porcelain", "--untracked-files=no", timeout=10)
    return f"{commit}+" if (changed or "").strip() else commit


def states(path: Path, lines: Iterable[str]) -> list[tuple[str, str]] | None:
    """Earlier states of a file, as commit and text, the newest first; None where git has none.

    Args:
        path: the file, which need not be there.
        lines: the branches on which they are looked for, such as HEAD.
    """
    folder = path.parent
    known = [
        line for line in lines if output(folder, "rev-parse", "-q", "--verify", line + "^{commit}")
    ]
    prefix = output(folder, "rev-parse", "--show-prefix") if known else None
    if prefix is None:
        return None
    name = f"{prefix.strip()}{path.name}"
    listing = output(
        folder, "rev-list", f"--max-count={_MOST}", "--first-parent", *known, "--", path.name
    )
    revisions = (listing or "").split()
    requests = "".join(f"{revision}:{name}\n" for revision in revisions)
    contents = output(folder, "cat-file", "--batch", stdin=requests) if revisions else ""
    return _texts(revisions, (contents or "").encode())


def _texts(revisions: list[str], contents: bytes) -> list[tuple[str, str]]:
    texts, place = [], 0
    for revision in revisions:
        end = contents.find(b"\n", place)
        words = contents[place:end].split()
        place = end + 1
        if len(words) == 3 and words[1] == b"blob":  # noqa: PLR2004 - object, kind, size
            size = int(words[2])
            texts.append((revision, contents[place : place + size].decode(errors="replace")))
            place += size + 1
    return texts


def verified(folder: Path, kind: str, name: str, signers: str) -> str | None:
    """What git says of a good signature; None where it has none that is good.

    Args:
        folder: where git runs.
        kind: tag or commit.
        name: the tag or the commit.
        signers: the file of allowed SSH keys.
    """
    try:
        run = subprocess.run(
            ["git", "-C", str(folder), "-c", f"gpg.ssh.allowedSignersFile={signers}",  # noqa: S607
             f"verify-{kind}", "--raw", "--", name],
            capture_output=True, text=True, check=True, timeout=60,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return run.stderr


def sign_tag(folder: Path, name: str, message: str) -> None:
    """Sign a tag of HEAD, by git's own settings; one that is there is replaced.

    Raises:
        OSError: git does not, and why.
    """
    run = subprocess.run(
        ["git", "-C", str(folder), "tag", "--sign", "--force", "--message", message, name],  # noqa: S607
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    # Some versions of git leave a tag without a signature where a key is missing.
    if run.returncode or "-----BEGIN " not in (output(folder, "cat-file", "tag", name) or ""):
        output(folder, "tag", "--delete", name)
        raise OSError(" ".join(run.stderr.split()) or "it gives no reason")

"""Where the copies of a server stand, and what servers that were killed have left.

A server holds the lock of its folder as long as it lives, wherever its process runs: a folder
whose lock can be had belongs to nobody.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import shutil
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

_LOCK = "lock"
_STATE = "state.json"  # in a copy that is whole, of a build that ended well


class Copies:
    """The folders of one server's copies."""

    def __init__(self, home: Path) -> None:
        """Say below which folder they stand; nothing is written yet."""
        self.home = home
        # One for each: two servers of a project in one process end apart.
        self._folder = home / f"{os.getpid()}-{secrets.token_hex(4)}"
        self._lock: IO[str] | None = None
        self._number = 0

    def new(self) -> Path:
        """An empty folder for a copy."""
        folder = self._next()
        folder.mkdir()
        return folder

    def adopted(self, left: Path) -> Path:
        """A copy that another server has left, which stands in a folder of this one from now on.

        Raises:
            OSError: a third one was quicker.
        """
        folder = self._next()
        left.rename(folder)
        return folder

    def _next(self) -> Path:
        if self._lock is None:
            self.home.mkdir(parents=True, exist_ok=True)
            made = self.home / f".{self._folder.name}"  # seen by nobody until it is locked
            made.mkdir()
            self._lock = (made / _LOCK).open("w", encoding="utf-8")
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            made.rename(self._folder)
        self._number += 1
        return self._folder / str(self._number)

    def left(self) -> Path | None:
        """The newest whole copy of servers that are no more, if there is one."""
        states = [state for entry in self._ended() for state in entry.glob(f"*/{_STATE}")]
        newest = max(states, key=lambda state: state.stat().st_mtime, default=None)
        return newest.parent if newest else None

    def sweep(self, *, but: Path | None = None) -> None:
        """Remove what servers that are no more have left, but for one copy."""
        for entry in self._ended():
            if but is None or but.parent != entry:
                shutil.rmtree(entry, ignore_errors=True)

    def _ended(self) -> list[Path]:
        return [entry for entry in self.home.glob("[0-9]*") if _is_free(entry / _LOCK)]

    def close(self) -> None:
        """Remove the copies."""
        shutil.rmtree(self._folder, ignore_errors=True)
        if self._lock is not None:
            self._lock.close()


def seal(folder: Path, facts: dict[str, Any]) -> None:
    """Say that a copy is whole, and what is to be known of it by whoever takes it up."""
    aside = folder / f".{_STATE}"
    aside.write_text(json.dumps(facts), encoding="utf-8")
    aside.replace(folder / _STATE)


def sealed(folder: Path) -> dict[str, Any]:
    """What is known of a copy that is whole."""
    facts: dict[str, Any] = json.loads((folder / _STATE).read_text(encoding="utf-8"))
    return facts


def _is_free(lock: Path) -> bool:
    with contextlib.suppress(OSError), lock.open("a", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return not lock.exists()

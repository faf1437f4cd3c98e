"""Compiled questions, kept on disk so that a question is compiled once and not once a process.

Memory and folder are bounded: of the plans beyond, those that were used longest ago are forgotten.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cadran.core.recent import Recent
from cadran.formats import files

MOST_IN_MEMORY = 4_096
MOST_FILES = 4_096
_BETWEEN_SWEEPS = 64  # plans written by a process between two looks at how many files there are


def key_of(*parts: object) -> str:
    """The key of what the parts say: definitions, question, dialect, versions."""
    return hashlib.sha256(_packed(parts)).hexdigest()


@cache
def code() -> str:
    """A hash of the code that writes SQL, that of the package and of each module of the core.

    An installation for development changes without its version.
    """
    core = Path(__file__).parents[1]
    digest = hashlib.sha256(version("cadran").encode())
    for module in sorted(core.rglob("*.py")):
        digest.update(module.read_bytes())
    return digest.hexdigest()


class PlanCache:
    """A folder with one file a plan; several processes may share it.

    A file is written aside and renamed, carries its own key and checksum, and is believed only
    when both hold. What cannot be read or written is compiled again: a cache is never an error.
    """

    def __init__(self, folder: Path | None) -> None:
        """Use a folder, or keep plans in memory only when there is none."""
        self._folder = folder
        self._memory: Recent[Any] = Recent(MOST_IN_MEMORY)
        self._written = 0

    def get(self, key: str) -> Any:
        """What was kept under a key, or None."""
        plan = self._memory.get(key)
        if plan is not None or self._folder is None:
            return plan
        path = self._folder / f"{key}.json"
        try:
            stored = json.loads(path.read_bytes())
            whole = stored["key"] == key and stored["checksum"] == key_of(key, stored["plan"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError):
            whole = False
        if not whole:
            with contextlib.suppress(OSError):
                path.unlink()
            return None
        with contextlib.suppress(OSError):
            path.touch()  # the sweep goes by when a plan was last used
        self._memory.put(key, stored["plan"])
        return stored["plan"]

    def put(self, key: str, plan: Any) -> None:
        """Keep a plan of JSON types under a key."""
        self._memory.put(key, plan)
        if self._folder is None:
            return
        entry = {"key": key, "checksum": key_of(key, plan), "plan": plan}
        with contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            files.write(self._folder / f"{key}.json", _packed(entry), durable=False)
            if self._written % _BETWEEN_SWEEPS == 0:
                _sweep(self._folder)
            self._written += 1


def _sweep(folder: Path) -> None:
    """Remove the plans beyond the bound, those used longest ago first."""
    paths = list(folder.glob("*.json"))
    if len(paths) <= MOST_FILES:
        return
    used = {}
    for path in paths:
        with contextlib.suppress(FileNotFoundError):  # another process sweeps as well
            used[path] = path.stat().st_mtime_ns
    for path in sorted(used, key=used.__getitem__)[: len(used) - MOST_FILES]:
        path.unlink(missing_ok=True)


def _packed(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()

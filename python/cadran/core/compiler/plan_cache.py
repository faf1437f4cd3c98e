"""Compiled questions, kept on disk so that a question is compiled once and not once a process."""

from __future__ import annotations

import contextlib
import hashlib
import json
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cadran.formats import files


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
        self._memory: dict[str, Any] = {}

    def get(self, key: str) -> Any:
        """What was kept under a key, or None."""
        if key in self._memory or self._folder is None:
            return self._memory.get(key)
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
        self._memory[key] = stored["plan"]
        return stored["plan"]

    def put(self, key: str, plan: Any) -> None:
        """Keep a plan of JSON types under a key."""
        self._memory[key] = plan
        if self._folder is None:
            return
        entry = {"key": key, "checksum": key_of(key, plan), "plan": plan}
        with contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            files.write(self._folder / f"{key}.json", _packed(entry), durable=False)


def _packed(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()

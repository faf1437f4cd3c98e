"""The version number on a card, set where its file writes it; nothing else of the file moves."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def renumber(root: Path, file: str, kpi: str, number: int) -> bool:
    """Set the version of a KPI; False when its file has no such number to set.

    Args:
        root: the project's folder.
        file: the file that defines the KPI, from there on.
        kpi: the KPI.
        number: its version.
    """
    path = root / file
    if not path.exists():
        return False
    text = path.read_text(encoding="utf-8")
    start = re.search(rf"^\s*- name: {re.escape(kpi)}\s*(?:#.*)?$", text, re.MULTILINE)
    if start is None:
        return False
    rest = text[start.end() :]
    following = re.search(r"^\s*- name: ", rest, re.MULTILINE)
    block = rest[: following.start()] if following else rest
    # On a line of its own, else within braces.
    for pattern in (r"^(\s*version: )\d+", r"([{,]\s*version: )\d+"):
        changed, found = re.subn(pattern, rf"\g<1>{number}", block, count=1, flags=re.MULTILINE)
        if found:
            aside = path.with_name(f".{path.name}.part")
            aside.write_text(text[: start.end()] + changed + rest[len(block) :], encoding="utf-8")
            aside.replace(path)
            return True
    return False

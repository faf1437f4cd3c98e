"""Write docs/licences.md: the licence of every package that requirements.lock installs."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "licences.md"
_HEAD = """\
# Licences of what is installed

Written by `scripts/licences.py` from the packages of `requirements.lock` as each declares itself.

| package | version | licence |
|---|---|---|
"""
_LONGEST = 60  # characters; some packages hold the whole text where its name belongs


def licence(package: metadata.PackageMetadata) -> str:
    """The licence as a package declares it: its expression, classifiers, or free text."""
    expression = package.get("License-Expression")
    if expression:
        return str(expression)
    classifiers = [
        text.rpartition(" :: ")[2]
        for text in package.get_all("Classifier") or ()
        if text.startswith("License :: ") and text != "License :: OSI Approved"
    ]
    text = " ".join((package.get("License") or "").split())
    return ", ".join(classifiers) or (text if text and len(text) <= _LONGEST else "see its files")


def page() -> str:
    """The page for what is installed here.

    Raises:
        PackageNotFoundError: a package of the lock is not installed.
    """
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    rows = []
    for name, version in re.findall(r"^([\w.-]+)==([^\s;]+)", lock, re.MULTILINE):
        rows.append(f"| {name} | {version} | {licence(metadata.metadata(name))} |\n")
    return _HEAD + "".join(rows)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

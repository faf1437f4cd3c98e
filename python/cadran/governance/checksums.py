"""The checksum of a text."""

from __future__ import annotations

import hashlib


def checksum(text: str) -> str:
    """The SHA-256 of a text, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()

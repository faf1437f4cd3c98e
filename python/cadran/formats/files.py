"""Files that appear whole: written beside their place, flushed to disk, and renamed into it."""

from __future__ import annotations

import contextlib
import os
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextlib.contextmanager
def placing(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """A new name beside a place; the file that the block writes under it takes the place.

    Whoever has the old file open keeps reading it. When the block fails, the old file stays and
    nothing is left beside it.

    Args:
        path: the place; its folder must be there.
        durable: have the file on the disk before it takes the place, so that a crash of the
            machine leaves the old file or the new one. What can be made again does not need it.

    Raises:
        OSError: nothing can be written there.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.part")
    try:
        yield aside
        if durable:
            with aside.open("rb") as stream:
                os.fsync(stream.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def write(path: Path, content: str | bytes, *, mode: int = 0o666, durable: bool = True) -> None:
    """Put a whole file in place; text as UTF-8, lines as they are.

    Args:
        path: the place; its folder must be there.
        content: what the file holds.
        mode: its permissions, as far as the process's mask lets them be.
        durable: as `placing`.

    Raises:
        OSError: it cannot be written.
    """
    with placing(path, durable=durable) as aside:
        handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(handle, "wb") as stream:
            stream.write(content.encode() if isinstance(content, str) else content)

"""Files that appear whole: written beside their place, flushed to disk, and renamed into it."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@contextlib.contextmanager
def placing(path: Path, *, durable: bool = True, keep_mode: bool = True) -> Iterator[Path]:
    """A new name beside a place; the file that the block writes under it takes the place.

    Whoever has the old file open keeps reading it. When the block fails, the old file stays and
    nothing is left beside it. A link is followed, and a file that is replaced keeps its mode. What
    is no regular file, such as a device or a named pipe, is written through.

    Args:
        path: the place; its folder must be there.
        durable: have the file on the disk before it takes the place, so that a crash of the
            machine leaves the old file or the new one. What can be made again does not need it.
        keep_mode: give it the permissions of the file that it replaces.

    Raises:
        OSError: nothing can be written there.
    """
    path = path.resolve()
    if path.exists() and not path.is_file():
        yield path
        return
    aside = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.part")
    try:
        yield aside
        if keep_mode and path.exists():
            aside.chmod(stat.S_IMODE(path.stat().st_mode))
        if durable:
            with aside.open("rb") as stream:
                os.fsync(stream.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, with the ends of its lines as they are.

    Raises:
        OSError: it cannot be read.
        UnicodeDecodeError: it is not UTF-8.
    """
    return path.read_bytes().decode()


def added(text: str, lines: str) -> str:
    """A text with more lines at its end, which end as those of the text do."""
    first = "" if not text or text.endswith(("\n", "\r")) else "\n"
    return text + ending_as(text, first + lines)


def ending_as(text: str, lines: str) -> str:
    """Lines that end as those of a text do: by CR LF where it has one, by LF otherwise."""
    return lines.replace("\n", "\r\n") if "\r\n" in text else lines


def write(
    path: Path, content: str | bytes, *, mode: int | None = None, durable: bool = True
) -> None:
    """Put a whole file in place; text as UTF-8, lines as they are.

    Args:
        path: the place; its folder must be there.
        content: what the file holds.
        mode: its permissions, as far as the process's mask lets them be; by default those of the
            file that it replaces.
        durable: as `placing`.

    Raises:
        OSError: it cannot be written.
    """
    with placing(path, durable=durable, keep_mode=mode is None) as aside:
        handle = os.open(aside, os.O_WRONLY | os.O_CREAT, 0o666 if mode is None else mode)
        with os.fdopen(handle, "wb") as stream:
            stream.write(content.encode() if isinstance(content, str) else content)


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_file(path: Path, write: Callable[[Path], None]) -> None:
    """Put a file in place by what writes it, file and name on disk when this returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with placing(path) as aside:
        write(aside)
    sync_folder(path.parent)

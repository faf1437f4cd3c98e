"""Follows access logs: each whole line once, over rotations and crashes.

How far a log is read is remembered with the lines themselves, in one record. A log is known by its
inode: where the name has a new one, the rest of the old file is read first.
"""

from __future__ import annotations

import asyncio
import glob
import json
import logging
import os
from typing import IO, TYPE_CHECKING

from cadran.telemetry import lines
from cadran.telemetry.records import Batch, service_name

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

    from cadran.telemetry.records import Rules
    from cadran.telemetry.settings import LogFile

_LOG = logging.getLogger("cadran.collect")
_BLOCK = 256 * 1024
_LOOK = 0.25  # seconds between two looks at a log


async def follow(
    log: LogFile,
    offsets: Mapping[str, list[int]],
    take: Callable[[bytes], Awaitable[object]],
) -> None:
    """Follow a log until it is cancelled; one that is not there yet is waited for.

    Args:
        log: what is followed.
        offsets: inode and byte up to which each log was read.
        take: takes a block of lines, as `block` makes it.
    """
    handle: IO[bytes] | None = None
    inode = at = 0
    read_inode, begun = offsets.get(str(log.path), [0, 0])
    try:
        while True:
            try:
                if handle is None:
                    # Where it was rotated while nobody read, the rest of the old file comes first.
                    handle = (_rotated(log.path, read_inode) or log.path).open("rb")
                    inode = os.fstat(handle.fileno()).st_ino
                    at, read_inode = (begun if inode == read_inode else 0), 0
                if os.fstat(handle.fileno()).st_size < at:
                    at = 0  # it was cut off and begins anew
                handle.seek(at)
                data = handle.read(_BLOCK)
                size = data.rfind(b"\n") + 1
                if not size and len(data) == _BLOCK:
                    size = len(data)  # no log has such a line; it is read past
                if size:
                    await take(block(log.service, log.path, inode, at, data[:size]))
                    at += size
                    continue
                if _inode(log.path) not in (inode, None):
                    handle.close()
                    handle = None
                    continue
            except FileNotFoundError:
                pass
            except Exception as problem:  # noqa: BLE001 - the same lines are tried again
                _LOG.error("cannot follow %s: %s", log.path, problem)
                await asyncio.sleep(1)
            await asyncio.sleep(_LOOK)
    finally:
        if handle is not None:
            handle.close()


def block(service: str, path: Path, inode: int, at: int, data: bytes) -> bytes:
    """Lines with where they stand, as one body."""
    return json.dumps([service, str(path), inode, at]).encode() + b"\n" + data


def read(body: bytes, rules: Rules, received: int) -> Batch:
    """Requests from a block of lines, and how far the log is read by them."""
    head, _, data = body.partition(b"\n")
    service, path, inode, at = json.loads(head)
    batch = Batch(offset=(path, inode, at + len(data)))
    name = service_name(service)
    earliest, latest = rules.window(received)
    elsewhere = rules.other_origin(name, "logs")
    for line in data.splitlines(keepends=True):
        text = line.decode("utf-8", "backslashreplace")
        request = lines.request(name, text, f"{inode:x}-{at}")
        at += len(line)
        if request is None:
            if text.strip():
                batch.reject(f"a line of {path} is no line of an access log.")
        elif elsewhere:
            batch.reject(elsewhere)
        elif not earliest <= request.at <= latest:
            batch.reject(rules.outside)
        else:
            batch.requests.append(request)
    return batch


def _rotated(path: Path, inode: int) -> Path | None:
    """The file that a log was renamed to."""
    if not inode or _inode(path) == inode:
        return None
    others = path.parent.glob(f"{glob.escape(path.name)}*")
    return next((other for other in others if _inode(other) == inode), None)


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None

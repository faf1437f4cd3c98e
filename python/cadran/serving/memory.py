"""Memory of the machine: the part that a server takes by itself, and giving back what it needed."""

from __future__ import annotations

import ctypes
import threading
from pathlib import Path

_SHARE = 0.5  # of what there is: answers, and the state before, need room beside the warehouse
_MEGABYTE = 1_000_000
_LIMITS = (  # of a container, as the two editions of control groups have them
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
_MACHINE = Path("/proc/meminfo")


def available() -> int | None:
    """Bytes that the container may use, or that the machine has; None where nothing says it."""
    limits = [int(text) for path in _LIMITS if (text := _text(path).strip()).isdigit()]
    limits += [
        int(line.split()[1]) * 1024
        for line in _text(_MACHINE).splitlines()
        if line.startswith("MemTotal:")
    ]
    return min(limits, default=None)


def share() -> str | None:
    """The most memory of a warehouse where nobody set it, as a setting has it: "4000MB"."""
    known = available()
    return None if known is None else f"{max(1, int(known * _SHARE) // _MEGABYTE)}MB"


_lock = threading.Lock()


def give_back() -> None:
    """Let the system have what was needed for answers and is free now."""
    import pyarrow as pa

    if not _lock.acquire(blocking=False):
        return  # another thread is at it
    try:
        pa.default_memory_pool().release_unused()
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:  # other systems' allocators give back by themselves
            trim(0)
    finally:
        _lock.release()


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except OSError:
        return ""

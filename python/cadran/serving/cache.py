"""Answers that are kept: bounded in bytes, the longest unused leave first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable

    from cadran.serving.answer import Answer


_SHARE = 4  # an answer larger than this part of the whole is not kept: it would push all out


class Cache:
    """A thread-safe store of answers. The state of the data is part of each key.

    So nothing in it is ever stale: a new state asks under new keys, and `forget` frees the room
    of the old ones.
    """

    def __init__(self, most_bytes: int) -> None:
        """Keep at most so many bytes; 0 keeps nothing."""
        self._most = most_bytes
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, tuple[Answer, int]] = OrderedDict()
        self.bytes = 0
        self.hits = 0
        self.misses = 0

    def get(self, key: Hashable) -> Answer | None:
        """The answer under a key."""
        with self._lock:
            found = self._kept.get(key)
            if found is None:
                self.misses += 1
                return None
            self.hits += 1
            self._kept.move_to_end(key)
            return found[0]

    def put(self, key: Hashable, answer: Answer) -> None:
        """Keep an answer, or weigh it again after a form was added to it."""
        size = answer.size
        with self._lock:
            before = self._kept.pop(key, None)
            if before is not None:
                self.bytes -= before[1]
            if size * _SHARE > self._most:
                return
            self._kept[key] = answer, size
            self.bytes += size
            while self.bytes > self._most:
                self.bytes -= self._kept.popitem(last=False)[1][1]

    def forget(self, state: str) -> None:
        """Free what is not of this state."""
        with self._lock:
            for key in [key for key, (kept, _) in self._kept.items() if kept.state != state]:
                self.bytes -= self._kept.pop(key)[1]

    def __contains__(self, key: Hashable) -> bool:
        return key in self._kept

    def __len__(self) -> int:
        return len(self._kept)

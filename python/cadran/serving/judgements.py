"""Judgements that are remembered, so that a question asked again is not judged again."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable

    from cadran.access.gate import Allowed


class Judgements:
    """What was allowed to whom; the longest unused leaves first. Thread-safe."""

    def __init__(self, most: int) -> None:
        """Remember at most so many."""
        self._most = most
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, Allowed] = OrderedDict()

    def get(self, key: Hashable) -> Allowed | None:
        """What was allowed; None where nobody asked so yet, or it was refused."""
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
            return found

    def put(self, key: Hashable, allowed: Allowed) -> None:
        """Remember what was allowed."""
        with self._lock:
            self._kept[key] = allowed
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._kept.clear()

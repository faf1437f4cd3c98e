"""What was used last, within a bound: the cache in memory of plans, answers and pages."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

V = TypeVar("V")


class Recent(Generic[V]):
    """Values by key, the most recently used of them, bounded by number or by weight. Thread-safe.

    Attributes:
        weight: of all that is held.
        hits: how often a value was there.
        misses: how often none was.
    """

    def __init__(
        self,
        most: int,
        weigh: Callable[[V], int] = lambda _: 1,
        largest: int | None = None,
    ) -> None:
        """Hold nothing yet.

        Args:
            most: the weight that all together have at most.
            weigh: what a value weighs.
            largest: what one weighs at most that is held at all.
        """
        self._most, self._weigh = most, weigh
        self._largest = most if largest is None else largest
        self._lock = threading.Lock()
        self._values: OrderedDict[Hashable, tuple[V, int]] = OrderedDict()
        self.weight = self.hits = self.misses = 0

    def __len__(self) -> int:
        """How many there are."""
        return len(self._values)

    def __contains__(self, key: Hashable) -> bool:
        """Whether there is a value, without using it."""
        return key in self._values

    def get(self, key: Hashable) -> V | None:
        """The value of a key, which is then the most recent; None where there is none."""
        with self._lock:
            entry = self._values.get(key)
            if entry is None:
                self.misses += 1
                return None
            self.hits += 1
            self._values.move_to_end(key)
            return entry[0]

    def put(self, key: Hashable, value: V) -> None:
        """Hold a value, weighed anew, and let go of the least recent ones beyond the bound."""
        weight = self._weigh(value)
        with self._lock:
            self._drop(key)
            if weight > self._largest:
                return
            self._values[key] = value, weight
            self.weight += weight
            while self.weight > self._most:
                self._drop(next(iter(self._values)))

    def keep(self, wanted: Callable[[V], bool]) -> None:
        """Let go of all but the values that are wanted."""
        with self._lock:
            for key in [key for key, (value, _) in self._values.items() if not wanted(value)]:
                self._drop(key)

    def clear(self) -> None:
        """Let go of all."""
        self.keep(lambda _: False)

    def _drop(self, key: Hashable) -> None:
        self.weight -= self._values.pop(key, (None, 0))[1]

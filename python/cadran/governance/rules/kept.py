"""Version records under examination: read once, and each KPI compared with its last one once."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from cadran.errors import CadranError
from cadran.governance import lock, versions
from cadran.governance.merged import Merged, merged

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cadran.governance.changes import Change
    from cadran.governance.context import Context
    from cadran.governance.versions import VersionRecord


class Kept:
    """What the rules of one run share: each record is read, and each KPI compared, once."""

    def __init__(self, context: Context) -> None:
        """Read the records and the lock of the project, where it has them."""
        self.context = context
        self.history: dict[str, list[VersionRecord]] = {}
        self.broken: dict[str, str] = {}
        self.locked: dict[str, lock.Locked] = {}
        self._changes: dict[str, Change] = {}
        root = context.root
        if root is None:
            return
        self.locked = lock.read(root)
        for name in sorted({*versions.recorded(root), *self.locked}):
            try:
                self.history[name] = versions.records(root, name)
            except CadranError as problem:
                self.broken[name] = str(problem)

    @property
    def used(self) -> bool:
        """Whether the project records versions at all."""
        return bool(self.history or self.broken or self.locked)

    @cached_property
    def merged(self) -> Merged:
        """The records that the main line has."""
        return merged(self.context.root) if self.context.root else Merged()

    def change(self, kpi: str) -> Change:
        """How a KPI stands to its last version."""
        from cadran.governance.changes import compare

        if kpi not in self._changes:
            self._changes[kpi] = compare(self.context.layer, self.history[kpi][-1])
        return self._changes[kpi]

    def live(self) -> Iterator[tuple[str, list[VersionRecord]]]:
        """The KPIs that have both a readable card and records."""
        for name in self.context.cards:
            if self.history.get(name):
                yield name, self.history[name]


def kept_of(context: Context) -> Kept:
    """What is kept for one run of the check."""
    found = context.__dict__.get("_versions")
    if found is None:
        found = context.__dict__["_versions"] = Kept(context)
    return found

"""A copy of a DuckDB file that is whole: taken between builds, never within one.

While a build or a publication has the file, no one else can open it; holding it open for reading
keeps them out in turn while the copy is made, some tenths of a second for some hundred megabytes.
What a build that failed or was killed has left is told by its mark in the file (see the macro
`mark_build`).
"""

from __future__ import annotations

import contextlib
import shutil
from typing import TYPE_CHECKING

from cadran.core.warehouse.dialects import quoted
from cadran.core.warehouse.duckdb import DuckDB
from cadran.errors import WarehouseError

if TYPE_CHECKING:
    from collections.abc import Hashable
    from pathlib import Path

    from cadran.core.warehouse.protocol import Confinement

_MARK = "select state, invocation_id, marked_at from {}.build_marks"


class UnfinishedBuildError(WarehouseError):
    """The last build of this warehouse did not end well; what is in it may not fit together."""


class FileSource:
    """Where a server's states come from: a file of DuckDB, of which each state is a copy."""

    def __init__(self, database: Path, alias: str | None) -> None:
        """Remember which file it is."""
        self._database, self._alias = database, alias

    def stamp(self) -> Hashable:
        """What changes when the file is written; None where there is none."""
        return stamp(self._database)

    def take(self, target: Path, marks_schema: str, *, unfinished: bool) -> None:
        """As `copy`."""
        copy(self._database, self._alias, target, marks_schema=marks_schema, unfinished=unfinished)

    def close(self) -> None:
        """Nothing is held."""


def opened(target: Path, alias: str | None, confined: Confinement | None) -> DuckDB:
    """A copy, which is opened by its first statement."""
    warehouse = DuckDB(target, alias, confined=confined)
    warehouse.is_copy = True
    return warehouse


def stamp(database: Path) -> tuple[int, int, int] | None:
    """What changes when the file is written; None where there is none."""
    try:
        stat = database.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def copy(
    database: Path,
    alias: str | None,
    target: Path,
    *,
    marks_schema: str = "governance",
    unfinished: bool = False,
) -> None:
    """Copy a warehouse that is at rest.

    Args:
        database: the file that builds write.
        alias: what compiled SQL calls it.
        target: the copy.
        marks_schema: where builds of the project's target leave their marks.
        unfinished: take it although its last build did not end well.

    Raises:
        UnfinishedBuildError: its last build did not end well.
        WarehouseError: it is being written now, or is not there.
    """
    connection = DuckDB(database, alias)
    connection.arrow("select 1")
    try:
        if not unfinished:
            _finished(connection, database, marks_schema)
        write_ahead = database.with_name(database.name + ".wal")
        # Closing any handle on a file lets go of this process's locks on it: the file goes last.
        with contextlib.suppress(FileNotFoundError):
            shutil.copyfile(write_ahead, target.with_name(target.name + ".wal"))
        shutil.copyfile(database, target)
    finally:
        connection.close()


def _finished(connection: DuckDB, database: Path, marks_schema: str) -> None:
    try:
        marks = connection.arrow(_MARK.format(quoted(marks_schema))).to_pylist()
    except WarehouseError:
        return  # built without the mark: nothing is known against it
    for mark in marks:
        if mark["state"] != "finished":
            raise UnfinishedBuildError(
                f"The last build of {database} is marked '{mark['state']}'"
                f" ({mark['marked_at']:%Y-%m-%d %H:%M} UTC): build it again."
            )

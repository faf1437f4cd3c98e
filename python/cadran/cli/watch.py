"""`--watch`: a command that runs again whenever its project or its warehouse changed."""

from __future__ import annotations

import contextlib
import gc
import time
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING

from cadran.cli.language import tell, warn
from cadran.core.project import artifacts
from cadran.errors import CadranError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

_SECONDS = 1.0  # between two looks


def add_watch(parser: argparse.ArgumentParser) -> None:
    """Add the flag."""
    parser.add_argument(
        "--watch", action="store_true", help="run again after each change, until Ctrl-C"
    )


def watched(run: Callable[[argparse.Namespace], int]) -> Callable[[argparse.Namespace], int]:
    """The command, which with `--watch` runs until it is interrupted; a refusal does not end it."""

    @wraps(run)
    def again(parsed: argparse.Namespace) -> int:
        if not parsed.watch:
            return run(parsed)
        from cadran.core.project import dbt

        seen: dict[Path, int] = {}
        while True:
            now = _times(parsed)
            if now != seen:
                seen = now
                try:
                    dbt.refresh(artifacts.find(parsed.project_dir, parsed.manifest, None))
                    run(parsed)
                except CadranError as problem:
                    warn(str(problem))
                gc.collect()  # the warehouse is let go of, so that dbt can build it
                tell("Waiting for a change; Ctrl-C ends.")
            time.sleep(_SECONDS)

    return again


def _times(parsed: argparse.Namespace) -> dict[Path, int]:
    """When each file of the project was written, its settings and a warehouse of a file too."""
    from cadran.core.project import dbt

    project = artifacts.find(parsed.project_dir, parsed.manifest, parsed.database)
    if project.root is None:
        paths = [project.semantic_manifest_path]
    else:
        settings = (*project.root.glob("cadran_*.yml"), project.root / "kpi.lock")
        paths = [*dbt.project_files(project.root), *settings]
    with contextlib.suppress(CadranError):  # the command says what is wrong with the profile
        if isinstance(project.database, Path):
            paths.append(project.database)
    return {path: path.stat().st_mtime_ns for path in paths if path.exists()}

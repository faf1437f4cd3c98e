"""Processes of dbt that begin with its modules imported.

dbt wants a process of its own: its exit code, its output, its hold on a file. Most of the time of
a small one goes to imports, so these are forked from a server that imported once and has opened
nothing. The command line's own tests begin dbt anew, as users do.
"""

from __future__ import annotations

import gc
import multiprocessing
import multiprocessing.forkserver
import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

HERE = Path(__file__).parent
_DBT = "from dbt.cli.main import cli; cli()"


@cache
def _context() -> Any:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["forked_imports"])
    path = os.pathsep.join([str(HERE.parent), str(HERE), os.environ.get("PYTHONPATH", "")])
    with mock.patch.dict(os.environ, {"PYTHONPATH": path}):
        multiprocessing.forkserver.ensure_running()
    return context


def run(command: list[Any], **options: Any) -> subprocess.CompletedProcess[Any]:
    """As `subprocess.run`, for dbt; anything else runs as ever.

    Raises:
        TimeoutExpired: it took longer.
        CalledProcessError: it failed, where `check` is wanted.
    """
    words = list(map(str, command))
    if Path(words[0]).name == "dbt":
        arguments = words[1:]
    elif words[0] == sys.executable and words[1:3] == ["-c", _DBT]:
        arguments = words[3:]
    else:
        return subprocess.run(command, check=options.pop("check", False), **options)
    timeout = options.get("timeout", 600)
    place, env = str(options.get("cwd") or Path.cwd()), dict(options.get("env") or os.environ)
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, name) for name in ("stdout", "stderr")]
        process = _context().Process(target=_begin, args=(arguments, place, env, files))
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            raise subprocess.TimeoutExpired(words, timeout)
        said = [file.read_bytes() for file in files]
    told = [one.decode() for one in said] if options.get("text") else said
    done = subprocess.CompletedProcess(words, process.exitcode, *told)
    if options.get("check"):
        done.check_returncode()
    return done


def _begin(arguments: list[str], cwd: str, env: dict[str, str], files: list[Path]) -> None:
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.cli.main import cli

    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    for number, file in enumerate(files, 1):
        written = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(written, number)
        os.close(written)
    sys.argv = ["dbt", *arguments]
    try:
        cli()
    finally:
        # A fork ends at once: what a process closes as it ends is closed here.
        DuckDBConnectionManager.close_all_connections()
        gc.collect()
        sys.stdout.flush()
        sys.stderr.flush()

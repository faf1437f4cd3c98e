"""`cadran doctor`, `load`, `demo` and `ingest`."""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cadran.cli.common import describe
from cadran.cli.language import said, tell, warn
from cadran.core.project import artifacts
from cadran.core.warehouse import Address, postgres_load
from cadran.errors import ProjectError, QueryError

if TYPE_CHECKING:
    from collections.abc import Callable


def add(parser: argparse.ArgumentParser, _name: str) -> None:
    """Describe the command's arguments."""
    usage = """
        --sources PLACE   a folder or schema:<name> for all sources, or source=PLACE for each
                          (default: the variable cadran_sources)
        --domains DOMAIN  commerce, support, platform (default: the variable cadran_domains)
        --format          form of the report
    """
    more: dict[str, Any] = {
        "sources": {"nargs": "+"},
        "domains": {"nargs": "+"},
        "format": {"choices": ("text", "json"), "default": "text"},
    }
    shown = (
        "cadran doctor",
        "cadran doctor --sources data/mine --domains commerce",
        "cadran doctor --sources shop=data/mine helpdesk=schema:helpdesk --format json",
    )
    describe(parser, _doctor, usage, project="folder", shown=shown, **more)


def _doctor(parsed: argparse.Namespace) -> int:
    from cadran.doctor import examine

    # Several seconds at full size: a person is told where it is, a pipe is not.
    is_watched = sys.stderr.isatty()
    report = examine(
        parsed.project_dir,
        sources=_places(parsed.sources),
        domains=parsed.domains,
        database=parsed.database,
        progress=_say if is_watched else None,
    )
    if parsed.format == "json":
        print(json.dumps(report.to_dict(), indent=2, ensure_ascii=False))
    else:
        print(report.to_text(said))
    return 0 if report.is_clean else 1


def _say(table: str) -> None:
    warn(f"looking at {table} ...")


def _places(texts: list[str] | None) -> str | dict[str, str] | None:
    if not texts:
        return None
    if len(texts) == 1 and "=" not in texts[0]:
        return texts[0]
    pairs = [text.partition("=") for text in texts]
    if any(not middle for _, middle, _ in pairs):
        raise QueryError(
            "Several places need the name of their source before them: "
            "--sources shop=data/mine helpdesk=schema:helpdesk."
        )
    return {source: place for source, _, place in pairs}


def add_load(parser: argparse.ArgumentParser, _name: str) -> None:
    """Describe the command's arguments."""
    usage = """
        --sources PLACE   a folder for all sources, or source=PLACE for each
                          (default: the variable cadran_sources)
        --domains DOMAIN  commerce, support, platform (default: the variable cadran_domains)
    """
    more: dict[str, Any] = {"sources": {"nargs": "+"}, "domains": {"nargs": "+"}}
    shown = (
        "cadran load",
        "cadran load --sources data/mine --domains commerce",
        "cadran load --database postgresql://loader@localhost/warehouse",
    )
    describe(parser, _load, usage, project="folder", shown=shown, **more)


def _load(parsed: argparse.Namespace) -> int:
    from cadran.core.project import contracts

    database = artifacts.find(parsed.project_dir, None, parsed.database).database
    if not isinstance(database, Address):
        tell(f"Files are read where they lie when {database} is built: there is nothing to load.")
        return 0
    overrides = {} if parsed.domains is None else {"cadran_domains": parsed.domains}
    if parsed.sources is not None:
        overrides["cadran_sources"] = _places(parsed.sources)
    loaded = contracts.load(parsed.project_dir, overrides)
    relations = {}
    for table in loaded.tables:
        place = loaded.place(table.source)
        if place is None or place.startswith("schema:"):
            continue
        files = contracts.find_files(place, table, parsed.project_dir)
        if files is None:
            raise ProjectError(
                f"{table.full_name} has no file in {parsed.project_dir / place}: `cadran doctor`"
                " lists everything that is missing."
            )
        relations[table.source, table.name] = contracts.reader(*files)
    is_watched = sys.stderr.isatty()
    counts = postgres_load.load(database, relations, _say_loading if is_watched else None)
    tell(f"{database}: {sum(counts.values()):,} rows in {len(counts)} tables")
    return 0


def _say_loading(table: str) -> None:
    warn(f"loading {table} ...")


LARGEST_SCALE = 100
LARGEST_RATE = 100_000


def add_demo(parser: argparse.ArgumentParser, _name: str) -> None:
    """Describe the command's arguments."""
    usage = """
        --out FOLDER  where the data goes (default: %(default)s)
        --seed SEED   another company (default: 7)
        --end DATE    last day of the data (default: yesterday, UTC)
        --scale F     size; 1 is full (default: 1)
        --force       write even what is there already
        --live        send the company's requests as they happen to `cadran collect`, until Ctrl-C
        --outage SERVICE  with --live: this service fails most of its requests
        --to ADDRESS  with --live: where the collector listens (default: %(default)s)
        --rate RATE   with --live: requests a second (default: 50)
        --seconds S   with --live: for how long (default: no end)
    """
    more: dict[str, Any] = {
        "out": {"default": Path("data/demo")},
        "seed": {"type": int, "default": 7},
        "scale": {"type": _above_0(LARGEST_SCALE), "default": 1.0},
        "to": {"default": "http://127.0.0.1:4318"},
        "rate": {"type": _above_0(LARGEST_RATE), "default": 50.0},
        "seconds": {"type": _above_0(LARGEST_RATE)},
    }
    shown = (
        "cadran demo",
        "cadran demo --end 2026-10-31 --scale 0.05 --out data/small",
        "cadran demo --live --outage checkout",
    )
    describe(parser, _demo, usage, project="", shown=shown, **more)


def _above_0(most: int) -> Callable[[str], float]:
    def read(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = 0.0
        if not 0 < number <= most:
            raise argparse.ArgumentTypeError(f"{text} is no number above 0, {most} at most")
        return number

    return read


def _send(parsed: argparse.Namespace) -> int:
    from cadran_demo import live

    try:
        sent = live.send(
            parsed.to,
            rate=parsed.rate,
            outage=parsed.outage,
            seconds=parsed.seconds,
            say=lambda text: print(text, flush=True),
        )
    except (ConnectionError, LookupError) as problem:
        raise ProjectError(str(problem.args[0])) from None
    if sent.taken < sent.requests:
        warn(f"the collector did not take {sent.requests - sent.taken:,} requests")
        return 1
    return 0


def _lacks(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is None
    except ModuleNotFoundError:  # what it stands in
        return True


def _demo(parsed: argparse.Namespace) -> int:
    packages = ["cadran_demo", "numpy", *(["opentelemetry.sdk"] if parsed.live else [])]
    if parsed.outage and not parsed.live:
        raise QueryError("--outage goes with --live: `cadran demo --live --outage checkout`.")
    for package in packages:
        if _lacks(package):
            raise ProjectError(
                f"The demo company is a package of its own, and {package} is not installed:"
                f" pip install {'cadran-demo[live]' if parsed.live else 'cadran[demo]'!r}."
            )
    if parsed.live:
        return _send(parsed)
    from cadran_demo import generate

    summary = generate(
        parsed.out,
        seed=parsed.seed,
        end=parsed.end,
        scale=parsed.scale,
        force=parsed.force,
        progress=lambda text: print(text, flush=True),
    )
    tell(f"{summary.folder}: {sum(summary.rows.values()):,} rows in {summary.seconds:.1f} s")
    return 0


NOTES = """\
Each log is kept under OUT/access_log, and the tables of the telemetry contract (services,
requests, request_lines of the last seven days, unparsed) are made from them under OUT/telemetry:
a log that comes twice, or comes again with more lines, counts once. Plain and gzip files.

Routes: no query string; numbers, UUIDs and long hexadecimal words become {id}; beyond the 200 most
frequent routes of a service they are `other`. Times are turned into UTC. The time of a request is
read where the line ends with it, as nginx's $request_time; else the latency buckets stay empty.
"""


def add_ingest(parser: argparse.ArgumentParser, _name: str) -> None:
    """Describe the command's arguments."""
    parser.description = f"{parser.description}\n\n{NOTES}"
    usage = """
        kind                  what the files are
        files FILE            logs, plain or gzip
        --service NAME        who wrote the logs
        --out FOLDER          the data folder, for cadran_sources (default: %(default)s)
        --team TEAM           who runs the service
        --tier                how much depends on the service (default: %(default)s)
        --format              lines of another format are kept as unparsed (default: %(default)s)
        --project-dir FOLDER  a project whose other telemetry tables are written empty where they
                              lack
    """
    more: dict[str, Any] = {
        "kind": {"choices": ("access-log",)},
        "files": {"nargs": "+"},
        "service": {"required": True},
        "out": {"default": Path("data/logs")},
        "team": {"default": "platform"},
        "tier": {"choices": ("critical", "standard"), "default": "standard"},
        "format": {"choices": ("auto", "combined", "common"), "default": "auto"},
        "project_dir": {"default": Path()},
    }
    shown = (
        "cadran ingest access-log access.log access.log.1.gz --service website",
        "dbt build --vars '{cadran_domains: [platform], cadran_sources: data/logs}'",
    )
    describe(parser, _ingest, usage, project="", shown=shown, **more)


def _ingest(parsed: argparse.Namespace) -> int:
    from cadran.telemetry.access_log import ingest

    summary = ingest(
        parsed.files,
        service=parsed.service,
        out=parsed.out,
        team=parsed.team,
        tier=parsed.tier,
        log_format=parsed.format,
        project_dir=parsed.project_dir,
        progress=print,
    )
    lines = summary.requests + summary.unparsed
    tell(
        f"{summary.folder}: {summary.requests:,} requests of service {summary.service_id}, "
        f"{summary.unparsed:,} of {lines:,} lines kept as unparsed, {summary.seconds:.1f} s"
    )
    if lines and not summary.requests:
        warn("no line of these files is of an access log")
        return 1
    return 0

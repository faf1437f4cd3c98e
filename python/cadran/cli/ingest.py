"""`cadran ingest`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from cadran.cli.common import examples

if TYPE_CHECKING:
    import argparse

NOTES = """\
Each log is kept under OUT/access_log, and the tables of the telemetry contract (services,
requests, request_lines of the last seven days, unparsed) are made from them under OUT/telemetry:
a log that comes twice, or comes again with more lines, counts once. Plain and gzip files.

Routes: no query string; numbers, UUIDs and long hexadecimal words become {id}; beyond the 200 most
frequent routes of a service they are `other`. Times are turned into UTC. The time of a request is
read where the line ends with it, as nginx's $request_time; else the latency buckets stay empty.
"""


def add(parser: argparse.ArgumentParser, _name: str) -> None:
    """Describe the command's arguments."""
    parser.description = f"{parser.description}\n\n{NOTES}"
    parser.add_argument("kind", choices=("access-log",), help="what the files are")
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="logs, plain or gzip")
    parser.add_argument("--service", required=True, metavar="NAME", help="who wrote the logs")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("data/logs"),
        metavar="FOLDER",
        help="the data folder, for cadran_sources (default: %(default)s)",
    )
    parser.add_argument("--team", default="platform", help="who runs the service")
    parser.add_argument(
        "--tier",
        choices=("critical", "standard"),
        default="standard",
        help="how much depends on the service (default: %(default)s)",
    )
    parser.add_argument(
        "--format",
        choices=("auto", "combined", "common"),
        default="auto",
        help="lines of another format are kept as unparsed (default: %(default)s)",
    )
    parser.add_argument(
        "--project-dir",
        type=Path,
        default=Path(),
        metavar="FOLDER",
        help="a project whose other telemetry tables are written empty where they lack",
    )
    examples(
        parser,
        "cadran ingest access-log access.log access.log.1.gz --service website",
        "dbt build --vars '{cadran_domains: [platform], cadran_sources: data/logs}'",
    )
    parser.set_defaults(run=_ingest)


def _ingest(parsed: argparse.Namespace) -> int:
    from cadran.ingest import ingest

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
    print(
        f"{summary.folder}: {summary.requests:,} requests of service {summary.service_id}, "
        f"{summary.unparsed:,} of {lines:,} lines kept as unparsed, {summary.seconds:.1f} s"
    )
    if lines and not summary.requests:
        print("cadran: no line of these files is of an access log", file=sys.stderr)
        return 1
    return 0

"""`cadran serve`: the layer over HTTP and Flight SQL."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from cadran.cli.common import add_project, examples
from cadran.core.project import artifacts

if TYPE_CHECKING:
    import argparse

    from cadran.server.run import Running


_FLAGS = (
    "host", "port", "flight_port", "certificate", "key", "cache", "memory", "seconds", "refresh",
    "tokens", "policy", "audit", "alerts",
)  # fmt: skip


def add(parser: argparse.ArgumentParser, _: str) -> None:
    """Add the flags."""
    examples(
        parser,
        "cadran serve",
        "cadran serve --live --alerts cadran_alerts.yml",
        "cadran serve --port 8765 --flight-port 8766",
        "cadran serve --host 0.0.0.0 --certificate server.pem --key server.key",
    )
    parser.add_argument("--host", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, help="port of HTTP (default: 8765; 0: a free one)")
    parser.add_argument("--flight-port", type=int, help="port of Flight SQL (default: 8766)")
    parser.add_argument("--certificate", type=Path, metavar="FILE", help="PEM file for TLS")
    parser.add_argument("--key", type=Path, metavar="FILE", help="PEM file of its key")
    parser.add_argument(
        "--insecure",
        action="store_true",
        default=None,
        help="listen to other machines without tokens or TLS: anybody who reaches it may ask",
    )
    parser.add_argument("--cache", type=float, metavar="MB", help="megabytes of answers to keep")
    parser.add_argument("--memory", help="most memory of the warehouse (default: half)")
    parser.add_argument("--seconds", type=float, help="for how long a question may run")
    parser.add_argument("--refresh", type=float, help="seconds between looks for a new build")
    parser.add_argument(
        "--live",
        action="store_true",
        default=None,
        help="answer also from what `cadran collect` landed since the build, up to the last second",
    )
    parser.add_argument("--tokens", type=Path, metavar="FILE", help="file of tokens")
    parser.add_argument("--policy", type=Path, metavar="FILE", help="policy file")
    parser.add_argument("--audit", type=Path, metavar="FOLDER", help="record of questions")
    parser.add_argument(
        "--alerts", type=Path, metavar="FILE", help="evaluate the alert policies of this file too"
    )
    add_project(parser)
    parser.set_defaults(run=run)


def run(parsed: argparse.Namespace) -> int:
    """Serve until interrupted."""
    from cadran.server import settings
    from cadran.server.run import serve

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    project = artifacts.find(parsed.project_dir, parsed.manifest, parsed.database)
    flags = {name: getattr(parsed, name) for name in (*_FLAGS, "insecure", "live")}
    serve(project, settings.read(project.root, flags), _announce)
    return 0


def _announce(running: Running) -> None:
    print(f"HTTP        {running.http}  (REST: /api/v1, GraphQL: /api/graphql, health: /health)")
    if running.flight:
        print(f"Flight SQL  {running.flight}")
    if running.server_context.who.open:
        print("No token is configured: any bearer is accepted. Make one: cadran token create NAME")
    print("Ctrl-C stops it.", flush=True)


TOKEN = "CADRAN_TOKEN"  # noqa: S105 - the name of a variable


def add_mcp(parser: argparse.ArgumentParser, _: str) -> None:
    """Add the flags."""
    parser.description = (
        f"{parser.description} It speaks MCP on its standard input and output, so an agent's"
        f" configuration starts it. Where tokens are configured, {TOKEN} has to hold one."
    )
    examples(parser, "cadran mcp", "cadran mcp --project-dir /srv/kpis")
    add_project(parser)
    parser.set_defaults(run=_run_mcp)


def _run_mcp(parsed: argparse.Namespace) -> int:
    """Serve one agent until it closes its end."""
    import anyio

    from cadran.server import settings
    from cadran.server.mcp.server import serve

    # What is printed would be read as MCP: everything that is said goes to the errors.
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    project = artifacts.find(parsed.project_dir, parsed.manifest, parsed.database)
    anyio.run(serve, project, settings.read(project.root, {}), os.environ.get(TOKEN))
    return 0

"""`cadran serve`: the layer over HTTP and Flight SQL."""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING, Any

from cadran.cli.common import begin_log, describe
from cadran.cli.language import tell
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
    usage = """
        --host HOST         address to listen on (default: 127.0.0.1)
        --port PORT         port of HTTP (default: 8765; 0: a free one)
        --flight-port PORT  port of Flight SQL (default: 8766)
        --certificate FILE  PEM file for TLS
        --key FILE          PEM file of its key
        --insecure          listen to other machines without tokens or TLS: anybody who reaches it
                            may ask
        --cache MB          megabytes of answers to keep
        --memory MEMORY     most memory of the warehouse (default: half)
        --seconds SECONDS   for how long a question may run
        --refresh SECONDS   seconds between looks for a new build
        --live              answer also from what `cadran collect` landed since the build, up to the
                            last second
        --tokens FILE       file of tokens
        --policy FILE       policy file
        --audit FOLDER      record of questions
        --alerts FILE       evaluate the alert policies of this file too
    """
    more: dict[str, Any] = {
        **{key: {"type": int} for key in ("port", "flight_port")},
        **{key: {"type": float} for key in ("cache", "seconds", "refresh")},
        **{key: {"default": None} for key in ("insecure", "live")},
    }
    shown = (
        "cadran serve",
        "cadran serve --live --alerts cadran_alerts.yml",
        "cadran serve --port 8765 --flight-port 8766",
        "cadran serve --host 0.0.0.0 --certificate server.pem --key server.key",
    )
    describe(parser, run, usage, shown=shown, **more)


def run(parsed: argparse.Namespace) -> int:
    """Serve until interrupted."""
    from cadran.server import settings
    from cadran.server.run import serve

    begin_log()
    project = artifacts.find(parsed.project_dir, parsed.manifest, parsed.database)
    flags = {name: getattr(parsed, name) for name in (*_FLAGS, "insecure", "live")}
    serve(project, settings.read(project.root, flags), _announce)
    return 0


def _announce(running: Running) -> None:
    print(f"HTTP        {running.http}  (REST: /api/v1, GraphQL: /api/graphql, health: /health)")
    if running.flight:
        print(f"Flight SQL  {running.flight}")
    print(f"Board       {running.http}/board")
    if running.server_context.who.open:
        tell("No token is configured: any bearer is accepted. Make one: cadran token create NAME")
    tell("Ctrl-C stops it.")


TOKEN = "CADRAN_TOKEN"  # noqa: S105 - the name of a variable


def add_mcp(parser: argparse.ArgumentParser, _: str) -> None:
    """Add the flags."""
    parser.description = (
        f"{parser.description} It speaks MCP on its standard input and output, so an agent's"
        f" configuration starts it. Where tokens are configured, {TOKEN} has to hold one."
    )
    describe(parser, _run_mcp, shown=("cadran mcp", "cadran mcp --project-dir /srv/kpis"))


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

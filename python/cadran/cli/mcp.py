"""`cadran mcp`: the layer as tools for an agent that starts this command, over stdio."""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING

from cadran.cli.common import add_project, examples

if TYPE_CHECKING:
    import argparse

TOKEN = "CADRAN_TOKEN"  # noqa: S105 - the name of a variable


def add(parser: argparse.ArgumentParser, _: str) -> None:
    """Add the flags."""
    parser.description = (
        f"{parser.description} It speaks MCP on its standard input and output, so an agent's"
        f" configuration starts it. Where tokens are configured, {TOKEN} has to hold one."
    )
    examples(parser, "cadran mcp", "cadran mcp --project-dir /srv/kpis")
    add_project(parser)
    parser.set_defaults(run=run)


def run(parsed: argparse.Namespace) -> int:
    """Serve one agent until it closes its end."""
    import anyio

    from cadran import project
    from cadran.server import settings
    from cadran.server.agents.stdio import serve

    # What is printed would be read as MCP: everything that is said goes to the errors.
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    found = project.find(parsed.project_dir, parsed.manifest, parsed.database)
    anyio.run(serve, found, settings.read(found.root, {}), os.environ.get(TOKEN))
    return 0

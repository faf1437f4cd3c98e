"""`cadran export`."""

from __future__ import annotations

import argparse
import importlib

from cadran.cli.common import add_project, examples

# Target: the module that writes its files, with `add(parser)`, `run(parsed)` and an EXAMPLE.
TARGETS = {
    "powerbi": (
        "cadran.exports.powerbi",
        "a Power BI project (PBIP): model, measures, data",
    ),
}


def add(parser: argparse.ArgumentParser, _name: str) -> None:
    """Describe the command's arguments."""
    targets = parser.add_subparsers(title="targets", metavar="TARGET", required=True)
    shown = []
    for target, (module, summary) in TARGETS.items():
        made = importlib.import_module(module)
        described = targets.add_parser(
            target, help=summary, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        made.add(described)
        add_project(described)
        examples(described, made.EXAMPLE)
        described.set_defaults(run=made.run)
        shown.append(made.EXAMPLE)
    examples(parser, *shown)

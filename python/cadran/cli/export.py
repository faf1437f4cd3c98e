"""`cadran export`: one module of `cadran.exports` for each target."""

from __future__ import annotations

import argparse
import importlib

from cadran.cli.common import add_language, add_project, examples

# Target: the module that knows it, and what it makes.
TARGETS = {
    "superset": (
        "cadran.exports.superset",
        "datasets with governed metrics for Apache Superset: files, and a push over its REST API",
    ),
    "ossie": (
        "cadran.exports.ossie",
        "the semantic layer with its cards as an Apache Ossie document",
    ),
}


def add(parser: argparse.ArgumentParser, _name: str) -> None:
    """Describe the command's targets and their arguments."""
    examples(parser, *(f"cadran export {target}" for target in TARGETS))
    targets = parser.add_subparsers(title="targets", metavar="TARGET", required=True)
    for target, (module, summary) in TARGETS.items():
        described = targets.add_parser(
            target,
            help=summary,
            description=f"{summary[0].upper()}{summary[1:]}.",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        known = importlib.import_module(module)
        known.add(described)
        add_language(described)
        add_project(described)
        described.set_defaults(run=known.run)

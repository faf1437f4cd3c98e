"""`cadran export`: one module of `cadran.exports` for each target."""

from __future__ import annotations

import argparse
import importlib

from cadran.cli.common import add_language, add_project, examples

# Target: the module that makes it, with `add(parser)`, `run(parsed)` and an EXAMPLE; what it makes.
TARGETS = {
    "powerbi": (
        "cadran.exports.powerbi",
        "a Power BI project (PBIP): model, measures, data",
    ),
    "superset": (
        "cadran.exports.superset",
        "datasets with governed metrics for Apache Superset: files, and a push over its REST API",
    ),
    "ossie": (
        "cadran.exports.ossie",
        "the semantic layer with its cards as an Apache Ossie document",
    ),
}
IN_ONE_LANGUAGE = ("superset", "ossie")


def add(parser: argparse.ArgumentParser, _name: str) -> None:
    """Describe the command's targets and their arguments."""
    targets = parser.add_subparsers(title="targets", metavar="TARGET", required=True)
    shown = []
    for target, (module, summary) in TARGETS.items():
        made = importlib.import_module(module)
        described = targets.add_parser(
            target,
            help=summary,
            description=f"{summary[0].upper()}{summary[1:]}.",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        made.add(described)
        if target in IN_ONE_LANGUAGE:
            add_language(described)
        add_project(described)
        examples(described, made.EXAMPLE)
        described.set_defaults(run=made.run)
        shown.append(made.EXAMPLE)
    examples(parser, *shown)

"""`cadran tables`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from cadran.cli.common import add_project, examples, open_layer

if TYPE_CHECKING:
    import argparse


def add(parser: argparse.ArgumentParser, _name: str) -> None:
    """Describe the command's arguments."""
    parser.add_argument(
        "--check",
        action="store_true",
        help="write nothing; show where models/kpis differs from its definitions, and exit 1",
    )
    add_project(parser)
    examples(parser, "cadran tables", "cadran tables --check")
    parser.set_defaults(run=_tables)


def _tables(parsed: argparse.Namespace) -> int:
    from cadran import tables

    layer = open_layer(parsed)
    if parsed.check:
        different = tables.differences(layer, parsed.project_dir)
        for difference in different:
            print(difference)
        if different:
            print(
                f"cadran: {len(different)} files of models/kpis differ from their definitions: "
                "run `cadran tables` and commit what it writes",
                file=sys.stderr,
            )
        return 1 if different else 0
    written = tables.write(layer, parsed.project_dir)
    for path in written:
        print(path)
    if not written:
        print("cadran: the KPI tables are as they are defined", file=sys.stderr)
    return 0

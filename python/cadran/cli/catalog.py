"""`cadran catalog`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cadran.cli.common import add_project, examples, open_layer

if TYPE_CHECKING:
    import argparse

NOTES = """\
Writes a static site in English and French: the KPIs by objective, tier and team, a page for each
with its definition, figures, lineage, targets and versions, the KPI tree, a dictionary of tables
and columns, a glossary and what changed lately. It opens from disk and needs no network.
Exits 1 when an exact relation of the KPI tree does not hold in the figures.
"""


def add(parser: argparse.ArgumentParser, _name: str) -> None:
    """Describe the command's arguments."""
    parser.description = f"{parser.description}\n\n{NOTES}"
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER",
        help="where to write it; made anew each time (default: target/catalog of the project)",
    )
    add_project(parser)
    examples(parser, "cadran catalog", "cadran catalog --out public")
    parser.set_defaults(run=_catalog)


def _catalog(parsed: argparse.Namespace) -> int:
    from cadran import catalog

    out = parsed.out or parsed.project_dir / "target" / "catalog"
    made = catalog.build(open_layer(parsed), out)
    print(f"{len(made.pages)} pages: open {out / 'index.html'}")
    for check in made.broken:
        print(
            f"{check.kpi}: its {check.kind} does not hold in the figures"
            f" ({check.note or f'differs by up to {check.gap:.2g}'})"
        )
    return 1 if made.broken else 0

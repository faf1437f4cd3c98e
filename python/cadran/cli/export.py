"""`cadran export`: one module of `cadran.exports` for each target."""

from __future__ import annotations

import argparse
import importlib
from typing import TYPE_CHECKING

from cadran.audit import log
from cadran.cli.common import add_language, add_project, describe, examples, open_layer
from cadran.cli.language import tell, warn

if TYPE_CHECKING:
    from cadran.core.layer import Layer

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
    lines = []
    for target, (module, summary) in TARGETS.items():
        target_module = importlib.import_module(module)
        described = targets.add_parser(
            target,
            help=summary,
            description=f"{summary[0].upper()}{summary[1:]}.",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        target_module.add(described)
        if target in IN_ONE_LANGUAGE:
            add_language(described)
        add_project(described)
        examples(described, target_module.EXAMPLE)
        described.set_defaults(run=target_module.run)
        lines.append(target_module.EXAMPLE)
    examples(parser, *lines)


NOTES = """\
Writes a static site in English and French: the KPIs by objective, tier and team, a page for each
with its definition, figures, lineage, targets and versions, the KPI tree, a dictionary of tables
and columns, a glossary and what changed lately. It opens from disk and needs no network.
Exits 1 when an exact relation of the KPI tree does not hold in the figures.
"""


def add_catalog(parser: argparse.ArgumentParser, _name: str) -> None:
    """Describe the command's arguments."""
    parser.description = f"{parser.description}\n\n{NOTES}"
    usage = """
        --out FOLDER  where to write it; made anew each time (default: target/catalog of the
                      project)
    """
    describe(parser, _catalog, usage, shown=("cadran catalog", "cadran catalog --out public"))


def _catalog(parsed: argparse.Namespace) -> int:
    from cadran import catalog

    out = parsed.out or parsed.project_dir / "target" / "catalog"
    site = catalog.build(open_layer(parsed), out)
    tell(f"{len(site.pages)} pages: open {out / 'index.html'}")
    for check in site.broken:
        tell(
            f"{check.kpi}: its {check.kind} does not hold in the figures"
            f" ({check.note or f'differs by up to {check.gap:.2g}'})"
        )
    return 1 if site.broken else 0


def add_tables(parser: argparse.ArgumentParser, _name: str) -> None:
    """Describe the command's arguments."""
    usage = """
        --check  write nothing; show where models/kpis and models/preaggregates differ from their
                 definitions, and exit 1
        --suggest  write nothing; print the pre-aggregates that recorded questions would have been
                   answered from, with the time saved and the room taken
        --audit FOLDER  the record of questions that --suggest reads
    """
    shown = ("cadran tables", "cadran tables --check", "cadran tables --suggest")
    describe(parser, _tables, usage, shown=shown)


def _tables(parsed: argparse.Namespace) -> int:
    from cadran.governance import kpi_tables

    layer = open_layer(parsed)
    if parsed.suggest:
        return _suggest(parsed, layer)
    if parsed.check:
        different = kpi_tables.differences(layer, parsed.project_dir)
        for difference in different.values():
            print(difference)
        if different:
            warn(
                f"{len(different)} files of models/kpis differ from their definitions: "
                "run `cadran tables` and commit what it writes"
            )
        return 1 if different else 0
    paths = kpi_tables.write(layer, parsed.project_dir)
    for path in paths:
        print(path)
    if not paths:
        warn("the KPI tables are as they are defined")
    return 0


def _suggest(parsed: argparse.Namespace, layer: Layer) -> int:
    from cadran.audit import usage
    from cadran.governance import suggestions

    folder = parsed.audit or usage.folder_of(layer.project.root or parsed.project_dir)
    record = log.read(folder)
    for place in record.torn[:10]:
        warn(f"{place} is torn and was skipped")
    found = suggestions.suggested(layer, record.entries)
    for suggestion in found:
        print(suggestion.yaml)
    if not found:
        warn(
            f"{len(record.entries):,} questions are recorded in {folder}, and no"
            " pre-aggregate would have saved half of their time"
        )
    return 0

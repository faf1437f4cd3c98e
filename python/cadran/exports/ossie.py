"""`cadran export ossie`: the semantic layer with its cards as an Apache Ossie (OSI) document.

The document holds what the format can say: datasets, relationships, metrics as expressions. All
that it cannot say stands in `custom_extensions`: cards, versions, targets, and every definition
whole. So `read` gives back what `write` was given.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cadran import cards
from cadran.board import Target, targets
from cadran.errors import ProjectError
from cadran.exports import ossie_document, ossie_records
from cadran.governance import versions

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from cadran.cards import Card
    from cadran.governance.versions import VersionRecord
    from cadran.layer import Layer

FILE = "ossie.json"
EXAMPLE = "cadran export ossie"
NOTES = """\
Datasets, relationships and metrics stand in the document as the specification has them; cards,
versions, targets, and the definitions that no expression can say stand in its custom_extensions,
so that nothing is lost. What has no expression is named with the reason.
"""


@dataclass(frozen=True, slots=True)
class Exchange:
    """What a document carries of the semantic layer of a project."""

    project: str
    cards: dict[str, Card]
    versions: dict[str, tuple[VersionRecord, ...]]
    targets: tuple[Target, ...]
    semantic_manifest: dict[str, Any]


def add(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments of the target."""
    parser.description = f"{parser.description}\n\n{NOTES}"
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help=f"where it goes (default: target/{FILE} of the project)",
    )
    parser.add_argument(
        "--spec",
        choices=ossie_document.SPECS,
        default=ossie_document.SPECS[0],
        help="version of the specification (default: %(default)s); dbt 1.12 reads 0.1.1",
    )


def run(parsed: argparse.Namespace) -> int:
    """Write the document; tells what has no expression in it.

    Raises:
        CadranError: a card or a version record is broken.
    """
    import cadran

    layer = cadran.open(parsed.project_dir, manifest=parsed.manifest, database=parsed.database)
    path = parsed.output or parsed.project_dir / "target" / FILE
    reasons = write(exchange(layer), path, spec=parsed.spec, lang=parsed.lang)
    for name, reason in reasons.items():
        sys.stdout.write(f"{name}: kept as an extension only, because {reason}\n")
    sys.stdout.write(f"{path}\n")
    return 0


def write(
    given: Exchange, path: Path, *, spec: str = ossie_document.SPECS[0], lang: str = "en"
) -> dict[str, str]:
    """Write a document.

    Args:
        given: what it is to carry.
        path: the file; an old one is replaced at once.
        spec: the version of the specification.
        lang: the language of descriptions.

    Returns:
        The metrics that have no expression in it, each with the reason.

    Raises:
        OSError: the file cannot be written.
    """
    document, reasons = ossie_document.make(given, spec=spec, lang=lang)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.part")
    text = json.dumps(document, indent=2, ensure_ascii=False)
    aside.write_text(f"{text}\n", encoding="utf-8")
    aside.replace(path)
    return reasons


def exchange(layer: Layer) -> Exchange:
    """What there is to be told of a layer; the targets are read from its warehouse.

    Raises:
        CardError: a card or a version record is broken.
        ProjectError: dbt's manifest is not there.
    """
    found = {card.name: card for card in layer.kpis()}
    root = layer.project.root
    return Exchange(
        str(layer.project.dbt_manifest["metadata"]["project_name"]),
        found,
        {name: tuple(versions.records(root, name)) if root else () for name in found},
        _sorted(target for target in targets(layer) if target.kpi in found),
        layer.project.semantic_manifest,
    )


def read(path: Path | str) -> Exchange:
    """What `write` was given.

    Raises:
        ProjectError: the file is no such document, or was not written by this export.
        CardError: a card in it is broken.
    """
    file = Path(path)
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        project, manifest, kpis = ossie_document.opened(document)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ProjectError(f"{file} is no Ossie document of this export: {error}.") from None
    return Exchange(
        project,
        {
            metric["name"]: cards.read(metric, lambda: str(file))
            for metric in manifest["metrics"]
            if cards.carried_by(metric) is not None
        },
        {
            name: tuple(ossie_records.to_version(one) for one in kpi["versions"])
            for name, kpi in kpis.items()
        },
        _sorted(ossie_records.to_target(one) for kpi in kpis.values() for one in kpi["targets"]),
        manifest,
    )


def _sorted(found: Iterable[Target]) -> tuple[Target, ...]:
    return tuple(sorted(found, key=lambda target: (target.kpi, target.grain, target.start)))

"""`cadran export superset`: a database file, an archive to import, and a push over the REST API."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from cadran.exports import superset_bundle, superset_model, superset_push
from cadran.warehouse import duckdb_file

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from cadran.layer import Layer

FILE, ARCHIVE = "kpis.duckdb", "superset.zip"
URL = "CADRAN_SUPERSET_URL"
EXAMPLE = "cadran export superset"
NOTES = """\
Writes kpis.duckdb, which Superset reads with duckdb-engine, and superset.zip, which it imports.
With --url it brings a Superset up to date over its REST API; log in by CADRAN_SUPERSET_USER and
CADRAN_SUPERSET_PASSWORD, or CADRAN_SUPERSET_TOKEN. Run it after every build: the file is replaced
at once, and what Superset has already is changed only where the definitions changed.
"""


def add(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments of the target."""
    parser.description = f"{parser.description}\n\n{NOTES}"
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FOLDER",
        help="where the files go (default: target/superset of the project)",
    )
    parser.add_argument(
        "--url",
        default=os.environ.get(URL),
        help=f"a Superset to bring up to date, such as http://localhost:8088 (default: {URL})",
    )
    parser.add_argument(
        "--file-in-superset",
        metavar="PATH",
        help=f"where Superset finds {FILE}, if its machine sees it elsewhere",
    )
    parser.add_argument(
        "--plain-http",
        action="store_true",
        help="send the login over plain HTTP to another machine",
    )


def run(parsed: argparse.Namespace) -> int:
    """Write the files and push; tells what was done, and every KPI that is left out.

    Raises:
        CadranError: a card is broken, the warehouse or Superset cannot be reached, or refuses.
    """
    import cadran

    layer = cadran.open(parsed.project_dir, manifest=parsed.manifest, database=parsed.database)
    folder = parsed.output or parsed.project_dir / "target" / "superset"
    seen = parsed.file_in_superset or str((folder / FILE).resolve())
    for line in export(layer, folder, lang=parsed.lang, seen=seen):
        sys.stdout.write(f"{line}\n")
    if parsed.url:
        from cadran.exports.superset_client import Client

        model = superset_model.make(layer, parsed.lang)
        with Client(parsed.url, plain=parsed.plain_http) as client:
            done = superset_push.push(client, model, seen)
        for line in (*done.changes, f"{done.unchanged} datasets were as they should be"):
            sys.stdout.write(f"{line}\n")
    return 0


def export(layer: Layer, folder: Path, *, lang: str = "en", seen: str) -> Iterator[str]:
    """Write the database file and the archive; yields what to say of each.

    Args:
        layer: the layer of a built project.
        folder: where they go.
        lang: the language of labels and descriptions.
        seen: the path of the database file, as Superset sees it.

    Raises:
        CadranError: a card is broken, or the warehouse cannot be read.
    """
    model = superset_model.make(layer, lang)
    tables = {made.name: made.rows() for made in model.datasets}
    duckdb_file.write(folder / FILE, tables)
    superset_bundle.write(model, folder / ARCHIVE, seen)
    for made in model.datasets:
        kpis = ", ".join(metric.card.name for metric in made.metrics)
        yield f"{made.name}: {tables[made.name].num_rows} rows; {kpis}"
    for name, reason in model.left_out.items():
        yield f"{name}: left out, because {reason}"
    yield f"{folder / FILE}, {folder / ARCHIVE}"

"""`cadran export superset`: a database file, an archive to import, and a push over the REST API."""

from __future__ import annotations

import datetime as dt
import json
import os
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from cadran.core.layer import open_layer
from cadran.core.warehouse.duckdb_local import write as write_duckdb
from cadran.exports.superset import client as superset_push
from cadran.exports.superset import model as superset_model
from cadran.exports.superset import payload as superset_payload
from cadran.exports.superset.client import Client
from cadran.formats.files import placing

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from cadran.core.layer import Layer
    from cadran.exports.superset.model import Model


_ROOT = "cadran"
# Two exports of the same definitions are the same bytes.
_WHEN = (1980, 1, 1, 0, 0, 0)


def write(model: Model, path: Path, database: str) -> None:
    """Write the archive; an old one is replaced at once.

    Args:
        model: the datasets.
        path: the archive.
        database: the DuckDB file, as Superset sees it.

    Raises:
        OSError: it cannot be written.
    """
    with placing(path) as aside, zipfile.ZipFile(aside, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files(model, database).items():
            text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100)
            archive.writestr(zipfile.ZipInfo(f"{_ROOT}/{name}", _WHEN), text)


def files(model: Model, database: str) -> dict[str, Any]:
    """The content of each file of the archive, by its name."""
    connection = {**superset_payload.database(model, database), "extra": {}, "version": "1.0.0"}
    documents: dict[str, Any] = {
        "metadata.yaml": {
            "version": "1.0.0",
            "type": "assets",
            "timestamp": dt.datetime(*_WHEN, tzinfo=dt.UTC).isoformat(),
        },
        "databases/kpis.yaml": connection,
    }
    for dataset in model.datasets:
        payload = superset_payload.dataset(model, dataset)
        metrics = [_opened(metric) for metric in payload["metrics"]]
        for metric in metrics:
            del metric["uuid"]  # the format has no place for it
        documents[f"datasets/kpis/{dataset.name}.yaml"] = {
            **_opened(payload),
            "metrics": metrics,
            "version": "1.0.0",
            "database_uuid": connection["uuid"],
        }
    return documents


def _opened(payload: dict[str, Any]) -> dict[str, Any]:
    return {**payload, "extra": json.loads(payload["extra"])}


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
    layer = open_layer(parsed.project_dir, manifest=parsed.manifest, database=parsed.database)
    folder = parsed.output or parsed.project_dir / "target" / "superset"
    path = parsed.file_in_superset or str((folder / FILE).resolve())
    for line in export(layer, folder, lang=parsed.lang, path=path):
        sys.stdout.write(f"{line}\n")
    if parsed.url:
        model = superset_model.make(layer, parsed.lang)
        with Client(parsed.url, plain=parsed.plain_http) as client:
            done = superset_push.push(client, model, path)
        for line in (*done.changes, f"{done.unchanged} datasets were as they should be"):
            sys.stdout.write(f"{line}\n")
    return 0


def export(layer: Layer, folder: Path, *, lang: str = "en", path: str) -> Iterator[str]:
    """Write the database file and the archive; yields what to say of each.

    Args:
        layer: the layer of a built project.
        folder: where they go.
        lang: the language of labels and descriptions.
        path: the path of the database file, as Superset sees it.

    Raises:
        CadranError: a card is broken, or the warehouse cannot be read.
    """
    model = superset_model.make(layer, lang)
    tables = {dataset.name: dataset.rows() for dataset in model.datasets}
    write_duckdb(folder / FILE, tables)
    write(model, folder / ARCHIVE, path)
    for dataset in model.datasets:
        kpis = ", ".join(metric.card.name for metric in dataset.metrics)
        yield f"{dataset.name}: {tables[dataset.name].num_rows} rows; {kpis}"
    for name, reason in model.left_out.items():
        yield f"{name}: left out, because {reason}"
    yield f"{folder / FILE}, {folder / ARCHIVE}"

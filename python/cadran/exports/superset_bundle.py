"""The same as files: the archive that Superset imports, by hand or with its command line."""

from __future__ import annotations

import datetime as dt
import json
import zipfile
from typing import TYPE_CHECKING, Any

import yaml

from cadran.exports import superset_payload

if TYPE_CHECKING:
    from pathlib import Path

    from cadran.exports.superset_model import Model

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
    aside = path.with_name(f".{path.name}.part")
    with zipfile.ZipFile(aside, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files(model, database).items():
            text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100)
            archive.writestr(zipfile.ZipInfo(f"{_ROOT}/{name}", _WHEN), text)
    aside.replace(path)


def files(model: Model, database: str) -> dict[str, Any]:
    """The content of each file of the archive, by its name."""
    connection = {**superset_payload.database(model, database), "extra": {}, "version": "1.0.0"}
    found: dict[str, Any] = {
        "metadata.yaml": {
            "version": "1.0.0",
            "type": "assets",
            "timestamp": dt.datetime(*_WHEN, tzinfo=dt.UTC).isoformat(),
        },
        "databases/kpis.yaml": connection,
    }
    for made in model.datasets:
        payload = superset_payload.dataset(model, made)
        metrics = [_opened(metric) for metric in payload["metrics"]]
        for metric in metrics:
            del metric["uuid"]  # the format has no place for it
        found[f"datasets/kpis/{made.name}.yaml"] = {
            **_opened(payload),
            "metrics": metrics,
            "version": "1.0.0",
            "database_uuid": connection["uuid"],
        }
    return found


def _opened(payload: dict[str, Any]) -> dict[str, Any]:
    return {**payload, "extra": json.loads(payload["extra"])}

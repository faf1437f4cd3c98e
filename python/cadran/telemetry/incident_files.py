"""Incidents from files that other tools export, CSV or JSON, into the folder of telemetry.

    incident_id,service,severity,cause,started_at,detected_at,acknowledged_at,restored_at
    i-9,checkout,sev2,network,2026-11-24T09:17:00Z,2026-11-24T09:21:00Z,,

The keys are those of an event of type `incident` that the collector takes, and an incident that
comes again with more is the same one here too. What is imported stands in one file,
`imported.parquet`, beside what the collector landed; where all incidents of a project are one
Parquet file, in that file.
"""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from cadran.core.project import contracts
from cadran.core.warehouse.duckdb_local import Scratch
from cadran.errors import ProjectError, QueryError
from cadran.telemetry import parts
from cadran.telemetry.events import Incident, row_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_COLUMNS = parts.SCHEMAS["incidents"].names
_NEEDED = ("service_id", "severity", "started_at")
OWN = "imported.parquet"


def load(file: Path) -> list[dict[str, Any]]:
    """The incidents of a file as rows of the contract.

    Raises:
        QueryError: it is no CSV or JSON of incidents; the place in it and the key are named.
    """
    rows = []
    for place, entry in _entries(file):
        try:
            event = Incident.model_validate({"type": "incident"} | entry)
        except ValidationError as problem:
            error = problem.errors(include_url=False)[0]
            key = ".".join(map(str, error["loc"]))
            raise QueryError(f"{file}, {place}, {key}: {error['msg']}.") from None
        rows.append(row_of(event))
    return rows


def _entries(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each incident of a file with where it stands; empty fields are left out."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise QueryError(f"{file} is no text in UTF-8.") from None
    if file.suffix == ".csv":
        reader = csv.DictReader(text.splitlines(), strict=True)
        try:
            for row in reader:
                if None in row or None in row.values():
                    raise QueryError(
                        f"{file}, line {reader.line_num}: it has not as many fields as the head."
                    )
                yield f"line {reader.line_num}", {k: v for k, v in row.items() if v.strip()}
        except csv.Error as problem:
            raise QueryError(f"{file}, line {reader.line_num}: {problem}.") from None
        return
    if file.suffix != ".json":
        raise QueryError(f"{file}: incidents are imported from a .csv or a .json file.")
    try:
        content = json.loads(text)
    except ValueError as problem:
        raise QueryError(f"{file}: this is not JSON: {problem}.") from None
    for number, entry in enumerate(content if isinstance(content, list) else [content], 1):
        if not isinstance(entry, dict):
            raise QueryError(f"{file}, entry {number}: an incident is an object with keys.")
        yield f"entry {number}", {k: v for k, v in entry.items() if v is not None}


def store(rows: Iterable[dict[str, Any]], project_dir: Path) -> tuple[Path, int]:
    """Add incidents to the data of a project; returns the file, and how many are new.

    Raises:
        ProjectError: the incidents of the project do not lie in Parquet files of a folder.
        QueryError: an incident lacks what it needs, or came through the collector.
    """
    project = contracts.load(project_dir)
    place = project.place("telemetry")
    if place is None or place.startswith("schema:"):
        raise ProjectError(
            f"The telemetry of this project is in {place or 'no place'}: incidents are imported"
            " where cadran_sources names a folder for it."
        )
    stem = project_dir / place / "telemetry" / "incidents"
    single = stem.with_name("incidents.parquet")
    for ending in (".csv", ".csv.gz"):
        if stem.with_name(f"incidents{ending}").is_file() or any(stem.glob(f"**/*{ending}")):
            raise ProjectError(
                f"The incidents of this project are CSV files that somebody keeps ({stem}{ending}):"
                " add to them."
            )
    target = single if single.is_file() else stem / OWN
    known = _read(target) if target.is_file() else {}
    landed = (
        [] if target == single else [file for file in stem.rglob("*.parquet") if file != target]
    )
    others = {incident_id: file for file in landed for incident_id in _read(file)}
    number_known = len(known)
    for row in rows:
        incident_id = row["incident_id"]
        if incident_id in others:
            raise QueryError(
                f"Incident '{incident_id}' stands in {others[incident_id]}: post what is new of it"
                " to the collector."
            )
        entry = known.setdefault(incident_id, dict.fromkeys(_COLUMNS))
        entry.update({name: value for name, value in row.items() if value is not None})
    for incident_id, entry in known.items():
        lacking = [name for name in _NEEDED if entry[name] is None]
        if lacking:
            raise QueryError(
                f"Incident '{incident_id}' lacks {', '.join(lacking).replace('_id', '')}."
            )
    _write(target, list(known.values()))
    return target, len(known) - number_known


def _read(file: Path) -> dict[str, dict[str, Any]]:
    with Scratch() as scratch:
        columns = ", ".join(_COLUMNS)
        found = scratch.rows(f"select {columns} from read_parquet(?)", [str(file)])
    return {row[0]: dict(zip(_COLUMNS, row, strict=True)) for row in found}


def _write(target: Path, rows: list[dict[str, Any]]) -> None:
    import pyarrow as pa

    target.parent.mkdir(parents=True, exist_ok=True)
    parts.save(target, pa.Table.from_pylist(rows, parts.SCHEMAS["incidents"]))

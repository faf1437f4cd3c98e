"""A Power BI project of the KPIs: a semantic model in TMDL, and its data as Parquet files.

The measures are made from the definitions of the semantic manifest, never written a second time:
`fields` and `star` find the tables, `aggregates`, `measures`, `conditions` and `expressions` say
each metric in DAX or refuse it, `guard` holds it to its card, `kpi_tables` serves what was refused,
and `tmdl` and `pbip` write it down.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from cadran.core.layer import open_layer
from cadran.errors import ProjectError, QueryError
from cadran.exports.powerbi import pbip
from cadran.exports.powerbi.planner import Planner

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from cadran.core.layer import Layer
    from cadran.exports.powerbi.model import Model

EXAMPLE = "cadran export powerbi --output powerbi"
NOTES = """\
Writes a Power BI project (PBIP): open NAME.pbip in Power BI Desktop. Each KPI is a measure, with
its description, format and folder in English and French, over the marts as Parquet files. A KPI
that DAX cannot say is left out by name, and its values are served as a table. Run it again after a
build to refresh model and data; a report that is there already is kept.
"""


def add(parser: argparse.ArgumentParser) -> None:
    """Describe the command's arguments."""
    parser.description = NOTES
    parser.add_argument(
        "--output", type=Path, required=True, metavar="FOLDER", help="the folder of the project"
    )
    parser.add_argument(
        "--name", metavar="NAME", help="name of the model (default: that of the dbt project)"
    )
    parser.add_argument(
        "--data",
        type=Path,
        metavar="FOLDER",
        help="where the Parquet files go (default: the folder data in it)",
    )
    parser.add_argument(
        "--fiscal-start",
        type=int,
        choices=range(1, 13),
        default=1,
        metavar="MONTH",
        help="the month in which a fiscal year begins, 1 to 12 (default: 1)",
    )
    parser.add_argument(
        "--data-as",
        metavar="PATH",
        help=r"that folder as Power BI sees it, C:\kpis\data for instance (default: the same)",
    )


def run(parsed: argparse.Namespace) -> int:
    """Write the project; returns the exit code."""
    layer = open_layer(parsed.project_dir, manifest=parsed.manifest, database=parsed.database)
    export(
        layer,
        parsed.output,
        name=parsed.name,
        data=parsed.data,
        data_as=parsed.data_as,
        fiscal_start=parsed.fiscal_start,
        say=_say,
    )
    return 0


def export(  # noqa: PLR0913 - what the command asks
    layer: Layer,
    output: Path,
    *,
    name: str | None = None,
    data: Path | None = None,
    data_as: str | None = None,
    fiscal_start: int = 1,
    say: Callable[[str], None] = lambda _: None,
) -> Model:
    """Write the Power BI project of a layer, and return its model.

    Args:
        layer: the layer of a built project.
        output: the folder of the project; new, empty, or written by an earlier export.
        name: the name of the model; by default that of the dbt project.
        data: the folder of the Parquet files; by default `data` in the project.
        data_as: that folder as Power BI's machine sees it; by default the same.
        fiscal_start: the month in which a fiscal year begins.
        say: told of the progress, line by line.

    Raises:
        QueryError: a name cannot be one, or a folder holds something else.
        CardError: a card is broken.
        WarehouseError: the warehouse cannot be read.
    """
    title = name or _name(layer)
    if not re.fullmatch(r"[\w][\w .-]*", title) or title.endswith((" ", ".")):
        raise QueryError(
            f"'{title}' cannot be the name of a model: letters, digits, spaces, points and hyphens."
        )
    data = data or output / "data"
    pbip.check(output, data)
    plan = Planner(layer, say).plan(title, fiscal_start=fiscal_start)
    pbip.write(layer, plan, output, data=data, data_as=data_as, say=say)
    model = plan.model
    visible = sum(not measure.is_hidden for measure in model.measures)
    for omission in model.left_out:
        say(f"left out: {omission.what}: {omission.reason}; instead: {omission.instead}")
    say(f"{output / f'{title}.pbip'}: {visible} measures, {len(model.tables)} tables")
    return model


def _name(layer: Layer) -> str:
    try:
        return str(layer.project.dbt_manifest["metadata"].get("project_name") or "kpis")
    except ProjectError:
        return "kpis"


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()

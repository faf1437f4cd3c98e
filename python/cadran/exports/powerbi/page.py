"""The report page that a new project begins with: the strategic KPIs month by month, with targets.

Its parts are those of Power BI's enhanced report format: a page, and a file for each visual. Months
that are not whole are filtered out, so that no line ends in a running month.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cadran.exports.powerbi import dates
from cadran.exports.powerbi.model import lineage

if TYPE_CHECKING:
    from cadran.exports.powerbi.model import Model

NAME = "kpis"
MEASURES = "KPIs"
_SCHEMAS = "https://developer.microsoft.com/json-schemas/fabric/item/report/definition"
_WIDTH, _HEIGHT, _GAP = 1280, 720, 16
_ACROSS = 4
_MOST = 8  # strategic KPIs on the page; two rows of charts above the table of months


def files(model: Model) -> dict[str, dict[str, Any]]:
    """The documents of the page by their paths in the folder `pages`."""
    documents: dict[str, dict[str, Any]] = {
        "pages.json": {
            "$schema": f"{_SCHEMAS}/pagesMetadata/1.0.0/schema.json",
            "pageOrder": [NAME],
            "activePageName": NAME,
        },
        f"{NAME}/page.json": {
            "$schema": f"{_SCHEMAS}/page/2.0.0/schema.json",
            "name": NAME,
            "displayName": "Strategic KPIs",
            "displayOption": "FitToPage",
            "height": _HEIGHT,
            "width": _WIDTH,
            "filterConfig": {"filters": [_whole_months()]},
        },
    }
    shown = model.strategic[:_MOST]
    rows = -(-len(shown) // _ACROSS)
    width = (_WIDTH - _GAP * (_ACROSS + 1)) // _ACROSS
    height = (_HEIGHT - _GAP * (rows + 2)) // (rows + 1)
    names = {measure.metric: measure.name for measure in model.measures}
    for place, metric in enumerate(shown):
        row, column = divmod(place, _ACROSS)
        lines = [names[metric], *filter(None, [names.get(f"{metric}__target")])]
        query = {
            "Category": {"projections": [_month()]},
            "Y": {"projections": [_measure(line) for line in lines]},
        }
        box = (_GAP + column * (width + _GAP), _GAP + row * (height + _GAP), width, height)
        documents |= _visual(metric, "lineChart", query, box, place)
    if shown:
        values = {"projections": [_month(), *(_measure(names[metric]) for metric in shown)]}
        box = (_GAP, _HEIGHT - height - _GAP, _WIDTH - 2 * _GAP, height)
        documents |= _visual("months", "tableEx", {"Values": values}, box, len(shown))
    return documents


def _visual(
    what: str, kind: str, query: dict[str, Any], box: tuple[int, int, int, int], order: int
) -> dict[str, dict[str, Any]]:
    name = lineage("visual", what).replace("-", "")[:20]
    left, top, width, height = box
    return {
        f"{NAME}/visuals/{name}/visual.json": {
            "$schema": f"{_SCHEMAS}/visualContainer/2.0.0/schema.json",
            "name": name,
            "position": {
                "x": left, "y": top, "z": order, "width": width, "height": height,
                "tabOrder": order,
            },
            "visual": {
                "visualType": kind,
                "query": {"queryState": query},
                "drillFilterOtherVisuals": True,
            },
        }
    }  # fmt: skip


def _column(name: str) -> dict[str, Any]:
    return {"Column": {"Expression": {"SourceRef": {"Entity": dates.TABLE}}, "Property": name}}


def _month() -> dict[str, Any]:
    name = dates.COLUMNS["month"]
    return {
        "field": _column(name), "queryRef": f"{dates.TABLE}.{name}", "nativeQueryRef": name,
        "active": True,
    }  # fmt: skip


def _measure(name: str) -> dict[str, Any]:
    field = {"Measure": {"Expression": {"SourceRef": {"Entity": MEASURES}}, "Property": name}}
    return {"field": field, "queryRef": f"{MEASURES}.{name}", "nativeQueryRef": name}


def _whole_months() -> dict[str, Any]:
    """The filter of the page that leaves out months without data for each of their days."""
    name = "Complete month"
    column = {"Column": {"Expression": {"SourceRef": {"Source": "d"}}, "Property": name}}
    return {
        "name": lineage("filter", name).replace("-", "")[:20],
        "field": _column(name),
        "type": "Categorical",
        "filter": {
            "Version": 2,
            "From": [{"Name": "d", "Entity": dates.TABLE, "Type": 0}],
            "Where": [
                {
                    "Condition": {
                        "In": {
                            "Expressions": [column],
                            "Values": [[{"Literal": {"Value": "true"}}]],
                        }
                    }
                }
            ],
        },
    }

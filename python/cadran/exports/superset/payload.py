"""Datasets and metrics as Superset's REST API and its import files take them.

Everything made here bears a UUID that follows from the project and its name. What Superset has
under such a UUID is ours to change; nothing else is.
"""

from __future__ import annotations

import json
import re
import uuid
from typing import TYPE_CHECKING, Any

from cadran.exports.texts import text

if TYPE_CHECKING:
    from cadran.core.project.cards import Card
    from cadran.exports.superset.model import Column, Dataset, Metric, Model

SCHEMA = "main"  # no other name is sure to differ from that of the file
ROLES = {"time": (True, True), "dimension": (False, True), "part": (False, False)}

_NAMESPACE = uuid.UUID("2f0d1c70-5d0e-5a53-9b5c-0c1b0d8f7a11")
_CURRENCY = re.compile("[A-Z]{3}")


def identity(project: str, *names: str) -> str:
    """The UUID of something that is exported: a database, a dataset, or a metric of a dataset."""
    return str(uuid.uuid5(_NAMESPACE, "/".join((project, *names))))


def database(model: Model, path: str) -> dict[str, Any]:
    """The database of a model.

    Args:
        model: the datasets.
        path: the DuckDB file, as Superset sees it.
    """
    # The file is never written through Superset, and SQL Lab reads no other file through it.
    uri = f"duckdb:///{path}?access_mode=read_only&enable_external_access=false"
    return {
        "database_name": f"{model.project} KPIs",
        "sqlalchemy_uri": uri,
        "expose_in_sqllab": True,
        "allow_dml": False,
        "allow_ctas": False,
        "allow_cvas": False,
        "uuid": identity(model.project),
    }


def dataset(model: Model, source: Dataset) -> dict[str, Any]:
    """A dataset: every key that Superset keeps of it, with its columns and metrics."""
    time = next(column.name for column in source.columns if column.role == "time")
    return {
        "table_name": source.name,
        "schema": SCHEMA,
        "uuid": identity(model.project, source.name),
        "description": source.description,
        "main_dttm_col": time,
        "is_managed_externally": True,
        "extra": _json({"cadran": {"project": model.project}}),
        "columns": [_column(column) for column in source.columns],
        "metrics": [_metric(model, source, metric) for metric in source.metrics],
    }


def gone(payload: dict[str, Any], lang: str) -> dict[str, Any]:
    """What to change in a dataset that is no longer exported but still used."""
    warning = text("gone", lang)
    extra = json.loads(payload.get("extra") or "{}")
    return {"extra": _json({**extra, "warning_markdown": warning}), "description": warning}


def d3format(card: Card) -> str:
    """The number format of a KPI in d3's language."""
    return f",.{card.decimals}{'%' if card.unit == '%' else 'f'}"


def _column(column: Column) -> dict[str, Any]:
    is_time, is_shown = ROLES[column.role]
    return {
        "column_name": column.name,
        "verbose_name": column.label or None,
        "description": column.description or None,
        "is_dttm": is_time,
        "groupby": is_shown,
        "filterable": is_shown,
    }


def _metric(model: Model, dataset: Dataset, metric: Metric) -> dict[str, Any]:
    card, lang = metric.card, model.lang
    is_money = _CURRENCY.fullmatch(card.unit) is not None
    sentences = [card.description, text("formula", lang, formula=card.formula)]
    if card.not_for:
        sentences.append(text("not_for", lang, uses="; ".join(card.not_for)))
    if not is_money and card.unit != "%":
        sentences.append(text("unit", lang, unit=card.unit))
    if metric.note:
        sentences.append(metric.note)
    return {
        "metric_name": card.name,
        "verbose_name": card.label,
        "expression": metric.expression,
        "description": " ".join(sentences),
        "d3format": d3format(card),
        "currency": {"symbol": card.unit, "symbolPosition": "suffix"} if is_money else None,
        "extra": _json(_extra(model, card)),
        "uuid": identity(model.project, dataset.name, card.name),
    }


def _extra(model: Model, card: Card) -> dict[str, Any]:
    lang = model.lang
    extra: dict[str, Any] = {
        "cadran": {"project": model.project, "kpi": card.name, "version": card.version},
    }
    if card.status == "certified":
        extra["certification"] = {
            "certified_by": card.owner.business,
            "details": text(
                "certified",
                lang,
                version=card.version,
                review_by=card.review_by,
                technical=card.owner.technical,
            ),
        }
    elif card.status == "draft":
        extra["warning_markdown"] = text("draft", lang)
    else:
        instead = text("instead", lang, name=card.replaced_by) if card.replaced_by else ""
        extra["warning_markdown"] = text("deprecated", lang, instead=instead)
    return extra


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)

"""What to send so that a dataset in Superset becomes what it should be, and no more than that."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cadran.errors import ServiceError
from cadran.exports.superset_payload import identity

if TYPE_CHECKING:
    from cadran.exports.superset_model import Dataset, Model

# What can be sent of a column and of a metric. A list that is sent replaces the one there is, so
# what is not ours is sent back as it stands.
_SENT = {
    "column_name": (
        "id", "column_name", "type", "advanced_data_type", "verbose_name", "description",
        "expression", "extra", "filterable", "groupby", "is_active", "is_dttm",
        "python_date_format", "uuid",
    ),
    "metric_name": (
        "id", "metric_name", "expression", "description", "extra", "metric_type", "d3format",
        "currency", "verbose_name", "warning_text", "uuid",
    ),
}  # fmt: skip
_AS_JSON = ("extra", "currency")


def changed(
    model: Model, made: Dataset, wanted: dict[str, Any], known: dict[str, Any], *, is_new: bool
) -> dict[str, Any]:
    """The keys of a dataset to send; none when it is as it should be.

    Args:
        model: whose dataset it is.
        made: the dataset.
        wanted: its payload.
        known: what Superset says of it.
        is_new: it was made just now, so that nobody can have added anything.

    Raises:
        ServiceError: someone else gave a metric the name of a KPI.
    """
    lists = {
        "columns": ("column_name", _columns(wanted, known)),
        "metrics": ("metric_name", _metrics(model, made, wanted, known, is_new=is_new)),
    }
    body = {
        key: value
        for key, value in wanted.items()
        if key not in {*lists, "uuid"} and differs(key, known.get(key), value)
    }
    for key, (name, entries) in lists.items():
        there = [_sent(entry, name) for entry in known[key]]
        if _comparable(entries, name) != _comparable(there, name):
            body[key] = entries
    return body


def differs(key: str, known: Any, wanted: Any) -> bool:
    """True where a value that Superset has is not the one it should have."""
    return bool(_read(key, known) != _read(key, wanted))


def _columns(wanted: dict[str, Any], known: dict[str, Any]) -> list[dict[str, Any]]:
    there = {column["column_name"]: column for column in known["columns"]}
    ours = [
        {**_sent(there[column["column_name"]], "column_name"), **column}
        for column in wanted["columns"]
    ]
    calculated = [column for column in there.values() if column["expression"]]
    return ours + [_sent(column, "column_name") for column in calculated]


def _metrics(
    model: Model, made: Dataset, wanted: dict[str, Any], known: dict[str, Any], *, is_new: bool
) -> list[dict[str, Any]]:
    there = {metric["metric_name"]: metric for metric in known["metrics"]}
    entries = []
    for metric in wanted["metrics"]:
        found = there.pop(metric["metric_name"], None)
        if found is not None and not _is_ours(model, made, found):
            raise ServiceError(
                f"The dataset '{made.name}' in Superset has a metric '{metric['metric_name']}' that"
                " this export did not make, and there is a KPI of that name. Rename the metric."
            )
        entries.append({**(_sent(found, "metric_name") if found else {}), **metric})
    if is_new:  # Superset begins with a count of rows, which counts nothing of the business
        return entries
    others = (metric for metric in there.values() if not _is_ours(model, made, metric))
    return entries + [_sent(metric, "metric_name") for metric in others]


def _is_ours(model: Model, made: Dataset, metric: dict[str, Any]) -> bool:
    mark = identity(model.project, made.name, metric["metric_name"])
    says = (_read("extra", metric.get("extra")) or {}).get("cadran") or {}
    return metric["uuid"] == mark or says.get("project") == model.project


def _sent(entry: dict[str, Any], name: str) -> dict[str, Any]:
    kept = {key: entry[key] for key in _SENT[name] if key in entry}
    if "currency" in kept:
        kept["currency"] = _read("currency", kept["currency"])
    return kept


def _comparable(entries: list[dict[str, Any]], name: str) -> dict[str, dict[str, Any]]:
    """Entries by name; JSON is read, and what is empty is left out."""
    return {
        entry[name]: {
            key: found
            for key, value in entry.items()
            if (found := _read(key, value)) not in (None, "", {})
        }
        for entry in entries
    }


def _read(key: str, value: Any) -> Any:
    if key in _AS_JSON and isinstance(value, str):
        try:
            return json.loads(value or "null")
        except ValueError:
            return value
    return value

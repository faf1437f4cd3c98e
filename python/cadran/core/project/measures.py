"""Semantic manifests of both specifications, read as one.

In dbt's latest specification a simple metric aggregates rows itself. In the older one a semantic
model has measures, and metrics read those. Here each measure that is read becomes what it is in
the latest: the aggregation of a simple metric, which MetricFlow makes of it too.
"""

from __future__ import annotations

from typing import Any

_Measures = dict[str, tuple[str, dict[str, Any]]]
_AGGREGATION = ("agg", "agg_params", "agg_time_dimension", "non_additive_dimension")


def in_one_specification(manifest: dict[str, Any]) -> dict[str, Any]:
    """A semantic manifest in which no metric reads a measure and each has a `config.meta`."""
    measures: _Measures = {
        measure["name"]: (model["name"], _timed(measure, model))
        for model in manifest["semantic_models"]
        for measure in model.get("measures") or ()
    }
    metrics = {
        metric["name"]: metric | {"config": {"meta": {}} | (metric.get("config") or {})}
        for metric in manifest["metrics"]
    }
    if not measures:
        return manifest | {"metrics": list(metrics.values())}
    for name, metric in metrics.items():
        metrics[name] = metric | {"type_params": dict(metric["type_params"])}
        if metric["type"] == "simple":
            _aggregate(metrics[name], metric["type_params"].get("measure"), measures)
    for metric in list(metrics.values()):
        params = metric["type_params"]
        if metric["type"] == "cumulative":
            span = dict(params.get("cumulative_type_params") or {"period_agg": "first"})
            span["window"] = span.get("window") or params.get("window")
            span["grain_to_date"] = span.get("grain_to_date") or params.get("grain_to_date")
            span["metric"] = _read(span.get("metric"), params.get("measure"), metrics, measures)
            params |= {"cumulative_type_params": span, "measure": None}
        elif metric["type"] == "conversion":
            pair = dict(params.get("conversion_type_params") or {})
            for side in ("base", "conversion"):
                metric_key, measure_key = f"{side}_metric", f"{side}_measure"
                references = pair.get(metric_key), pair.get(measure_key)
                pair |= {metric_key: _read(*references, metrics, measures), measure_key: None}
            params["conversion_type_params"] = pair
    return manifest | {"metrics": list(metrics.values())}


def _timed(measure: dict[str, Any], model: dict[str, Any]) -> dict[str, Any]:
    """A measure that says by which time it is counted: its own, else its model's."""
    default = (model.get("defaults") or {}).get("agg_time_dimension")
    return measure | {"agg_time_dimension": measure.get("agg_time_dimension") or default}


def _aggregate(metric: dict[str, Any], reading: dict[str, Any] | None, measures: _Measures) -> None:
    """Let a simple metric aggregate the rows that its measure aggregates."""
    params = metric["type_params"]
    if not reading or params.get("metric_aggregation_params") or reading["name"] not in measures:
        return
    model, measure = measures[reading["name"]]
    params["metric_aggregation_params"] = {
        "semantic_model": model,
        **{key: measure.get(key) for key in _AGGREGATION},
    }
    params["expr"] = measure.get("expr") or measure["name"]
    filling = reading.get("fill_nulls_with")
    params |= {
        "fill_nulls_with": params.get("fill_nulls_with") if filling is None else filling,
        "join_to_timespine": bool(
            params.get("join_to_timespine") or reading.get("join_to_timespine")
        ),
        "measure": None,
    }
    filters = [
        *((reading.get("filter") or {}).get("where_filters") or ()),
        *((metric.get("filter") or {}).get("where_filters") or ()),
    ]
    metric["filter"] = {"where_filters": filters} if filters else None


def _read(
    metric: dict[str, Any] | None,
    reading: dict[str, Any] | None,
    metrics: dict[str, dict[str, Any]],
    measures: _Measures,
) -> dict[str, Any] | None:
    """The input of a metric that reads a measure: a simple metric that aggregates it."""
    if metric or not reading or reading["name"] not in measures:
        return metric
    simple = _simple(reading, measures)
    names = (name for name, other in metrics.items() if _values(other) == _values(simple))
    name = next(names, None)
    if name is None:
        name, number = reading["name"], 0
        while name in metrics:
            number += 1
            name = f"{reading['name']}_{number}"
        metrics[name] = simple | {"name": name}
    return {
        "name": name, "filter": reading.get("filter"), "alias": reading.get("alias"),
        "offset_window": None, "offset_to_grain": None,
    }  # fmt: skip


def _simple(reading: dict[str, Any], measures: _Measures) -> dict[str, Any]:
    """A hidden metric of a measure alone; the filter of a reading is that of the input."""
    measure = measures[reading["name"]][1]
    metric: dict[str, Any] = {
        "name": reading["name"], "description": measure.get("description"), "type": "simple",
        "type_params": {
            "measure": None, "numerator": None, "denominator": None, "expr": None, "window": None,
            "grain_to_date": None, "metrics": [], "conversion_type_params": None,
            "cumulative_type_params": None, "input_measures": [],
            "metric_aggregation_params": None, "join_to_timespine": False,
            "fill_nulls_with": None, "is_private": True,
        },
        "filter": None, "metadata": None, "label": measure.get("label"), "config": {"meta": {}},
        "time_granularity": None,
    }  # fmt: skip
    _aggregate(metric, reading | {"filter": None}, measures)
    return metric


def _values(metric: dict[str, Any]) -> list[Any]:
    """What decides the values of a simple metric."""
    params = metric["type_params"]
    keys = ("metric_aggregation_params", "expr", "fill_nulls_with", "join_to_timespine")
    return [metric["type"], metric.get("filter"), *(params.get(key) for key in keys)]

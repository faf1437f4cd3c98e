"""What a reader understands by a KPI: its words and its unit, as a version has them and as now.

A changed unit or definition moves no value, and changes what everybody takes the values for. So a
record holds them (with MetricFlow's definitions, see `Definition.semantics`), and they change by a
version of kind `wording`, which is approved and has no impact.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cadran.core.project.cards import carried_by

if TYPE_CHECKING:
    from cadran.core.versions.definition import Definition

_OF_METRIC = ("label", "description")
_OF_CARD = ("unit", "formula", "not_for", "direction", "fr")


def words_of(metric: dict[str, Any]) -> dict[str, str]:
    """What a metric of a semantic manifest says to readers, by field, "fr.label"; layout apart."""
    card = carried_by(metric) or {}
    fields = {name: metric.get(name) for name in _OF_METRIC}
    fields |= {name: card.get(name) for name in _OF_CARD}
    return dict(_flat(fields, ""))


def words_in(definition: Definition) -> dict[str, str]:
    """What a definition said to readers when it was recorded."""
    metrics = definition.semantics.get("metrics", ())
    return words_of(next((m for m in metrics if m["name"] == definition.kpi), {}))


def changed_words(before: Definition, metric: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """The words that a definition has otherwise than a metric has them now, old and new by field.

    Args:
        before: a definition as it was recorded.
        metric: the metric of the semantic manifest.
    """
    old, new = words_in(before), words_of(metric)
    names = dict.fromkeys([*old, *new])
    pairs = {name: (old.get(name, ""), new.get(name, "")) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _flat(fields: dict[str, Any], prefix: str) -> list[tuple[str, str]]:
    texts: list[tuple[str, str]] = []
    for name, value in fields.items():
        if isinstance(value, dict):
            texts += _flat(value, f"{name}.")
        elif value:
            parts = value if isinstance(value, list | tuple) else [value]
            texts.append((prefix + name, " ".join("; ".join(map(str, parts)).split())))
    return texts

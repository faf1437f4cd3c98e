"""What has to stand beside the numbers of an answer, in every form: units, versions, breaks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

    from cadran.history import Break
    from cadran.serving.answer import Answer

_PUBLISHED = "_published"  # the column beside a KPI that holds what was said of it


def described(answer: Answer) -> dict[str, Any]:
    """Units, definitions, versions, breaks and warnings of an answer, as JSON types."""
    return {
        "units": {name: card.unit for name, card in answer.cards.items()},
        "definitions": {name: card.description for name, card in answer.cards.items()},
        "versions": {name: list(numbers) for name, numbers in answer.versions.items()},
        "breaks": [broken(one) for one in answer.breaks],
        "like_for_like": answer.like_for_like,
        "governed": answer.governed,
        "note": answer.note,
        "state": answer.state,
    }


def broken(one: Break) -> dict[str, Any]:
    """A break as JSON types: without values, which belong to the rows and their policy."""
    return {
        "kpi": one.kpi,
        "period": f"{one.period:%Y-%m-%d}",
        "before": one.before,
        "after": one.after,
        "kind": one.kind,
        "reason": one.reason,
        "in_series": one.in_series,
        "sentence": str(one),
    }


def columns(answer: Answer) -> list[dict[str, Any]]:
    """The columns with their types and, where they are KPIs, their labels and units."""
    shown = []
    for field in answer.table.schema:
        card = answer.cards.get(field.name) or answer.cards.get(field.name.removesuffix(_PUBLISHED))
        told: dict[str, Any] = {"name": field.name, "type": _type(field.type)}
        if card is not None:
            told |= {"label": card.label, "unit": card.unit, "decimals": card.decimals}
        shown.append(told)
    return shown


def _type(kind: pa.DataType) -> str:
    import pyarrow as pa

    for name, test in (
        ("boolean", pa.types.is_boolean), ("integer", pa.types.is_integer),
        ("decimal", pa.types.is_decimal), ("float", pa.types.is_floating),
        ("date", pa.types.is_date), ("timestamp", pa.types.is_timestamp),
    ):  # fmt: skip
        if test(kind):
            return name
    return "text"

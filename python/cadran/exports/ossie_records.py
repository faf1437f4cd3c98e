"""Versions and targets of KPIs as JSON, and back as they were."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict
from decimal import Decimal
from typing import Any

from cadran.board import Target
from cadran.governance.closure import Node
from cadran.governance.questions import Definition, Question
from cadran.governance.versions import VersionRecord


def of_version(record: VersionRecord) -> dict[str, Any]:
    """A version record as JSON types."""
    said: dict[str, Any] = _plain(asdict(record))
    return said


def to_version(said: dict[str, Any]) -> VersionRecord:
    """The version record that `of_version` wrote."""
    given = dict(said)
    meaning = given.pop("definition")
    window, impact = given.pop("window"), given.pop("expected_impact")
    definition = Definition(
        **meaning
        | {
            "questions": tuple(
                Question(tuple(one["grains"]), tuple(one["dimensions"]), one["sql"])
                for one in meaning["questions"]
            ),
            "nodes": tuple(Node(**one) for one in meaning["nodes"]),
        }
    )
    return VersionRecord(
        **given
        | {
            "effective_from": dt.date.fromisoformat(given["effective_from"]),
            "window": tuple(dt.date.fromisoformat(day) for day in window) if window else None,
            "expected_impact": tuple(impact) if impact else None,
            "tools": tuple(given["tools"]),
            "question_hashes": tuple(given["question_hashes"]),
            "definition": definition,
        }
    )


def of_target(target: Target) -> dict[str, Any]:
    """A target as JSON types; an exact number is a text."""
    said: dict[str, Any] = _plain(asdict(target))
    return said


def to_target(said: dict[str, Any]) -> Target:
    """The target that `of_target` wrote."""
    values = {
        name: Decimal(said[name]) if isinstance(said[name], str) else said[name]
        for name in ("target", "warning", "critical")
    }
    return Target(**said | values | {"start": dt.date.fromisoformat(said["start"])})


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    return value

"""`cadran schema`: JSON Schemas of everything that people write for Cadran in YAML.

They are made from the types by which the files are read, so that an editor says what Cadran says.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cadran.cli.common import describe
from cadran.core.project.cards import CardBlock
from cadran.formats.validation import schema_of

if TYPE_CHECKING:
    import argparse

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_ATTRIBUTES = re.compile(r"\n\nAttributes:\n(?P<lines>(?:.|\n)*)$")
_ATTRIBUTE = re.compile(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", re.MULTILINE)


def add(parser: argparse.ArgumentParser, _name: str) -> None:
    """Describe the command's arguments."""
    usage = "--out FOLDER  where the schemas go (default: %(default)s)"
    shown = ("cadran schema", "cadran schema --out .schemas")
    out = {"default": Path("schemas")}
    describe(parser, _schema, usage, project="", shown=shown, out=out)


def _schema(parsed: argparse.Namespace) -> int:
    parsed.out.mkdir(parents=True, exist_ok=True)
    for name, schema in schemas().items():
        path = parsed.out / name
        path.write_text(text_of(schema), encoding="utf-8")
        print(path)
    return 0


def text_of(schema: dict[str, Any]) -> str:
    """A schema as its file holds it."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def schemas() -> dict[str, dict[str, Any]]:
    """Each schema by the name of its file."""
    from cadran.access.policy import PolicySettings
    from cadran.core.ledger.settings import LedgerSettings
    from cadran.core.project.calendar import Calendar
    from cadran.core.project.checks import Settings
    from cadran.core.project.names import Names
    from cadran.core.versions.record import RecordFile
    from cadran.reliability.alerts.policy import Policies
    from cadran.reports.rules import RecommendationSettings
    from cadran.server.settings import ServerFile
    from cadran.telemetry import settings as collector
    from cadran.web.subscriptions import Subscriptions

    kinds = {
        "card": (CardBlock, "A KPI card: what stands under config.meta.kpi of a metric"),
        "cadran_alerts": (Policies, "cadran_alerts.yml: what is watched and who is told"),
        "cadran_calendar": (Calendar, "cadran_calendar.yml: holidays and promotions"),
        "cadran_names": (Names, "cadran_names.yml: what services and members are called"),
        "cadran_checks": (Settings, "cadran_checks.yml: what a project decides about its checks"),
        "cadran_collect": (collector.Settings, "cadran_collect.yml: how a collector runs"),
        "cadran_digests": (Subscriptions, "cadran_digests.yml: who gets which digest"),
        "cadran_ledger": (LedgerSettings, "cadran_ledger.yml: what is published of which KPI"),
        "cadran_policy": (PolicySettings, "cadran_policy.yml: what each role may see"),
        "cadran_recommendations": (
            RecommendationSettings,
            "cadran_recommendations.yml: what is recommended when",
        ),
        "cadran_server": (ServerFile, "cadran_server.yml: how a server runs"),
        "version": (RecordFile, "versions/<kpi>/v<number>.yml: one meaning of a KPI"),
    }
    documents = {
        f"{name}.schema.json": {
            "$schema": DIALECT,
            **_documented(schema_of(kind)),
            "title": title,
        }
        for name, (kind, title) in kinds.items()
    }
    _let_drafts_lack(documents["card.schema.json"])
    return {"metrics.schema.json": _metrics(documents["card.schema.json"]), **documents}


def _let_drafts_lack(card: dict[str, Any]) -> None:
    """Ask of a card that is no draft what every finished card has."""
    is_draft = {"properties": {"status": {"const": "draft"}}, "required": ["status"]}
    card |= {"if": is_draft, "then": True, "else": {"required": card.pop("required")}}


def _metrics(card: dict[str, Any]) -> dict[str, Any]:
    """The schema of dbt's own files of metrics, with the card where it stands in them."""
    block = {key: value for key, value in card.items() if key not in {"$schema", "$defs"}}

    def holder(**properties: Any) -> dict[str, Any]:
        return {"type": "object", "properties": properties}

    card_of_metric = holder(config=holder(meta=holder(kpi={"$ref": "#/$defs/Card"})))
    metrics = {"type": "array", "items": card_of_metric}
    model = holder(metrics=metrics)
    return {
        "$schema": DIALECT,
        "title": "Metrics of dbt with the KPI cards in them; what else stands there is dbt's",
        "$defs": {**card["$defs"], "Card": block},
        **holder(metrics=metrics, models={"type": "array", "items": model}),
    }


def _documented(schema: Any) -> Any:
    """A schema in which each key says what its type's docstring says, instead of its own name."""
    if isinstance(schema, list):
        return [_documented(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {key: _documented(value) for key, value in schema.items()}
    for described in schema.get("properties", {}).values():
        described.pop("title", None)
    attributes = _ATTRIBUTES.search(str(schema.get("description", "")))
    if attributes is not None and "properties" in schema:
        schema["description"] = schema["description"][: attributes.start()]
        for name, text in _ATTRIBUTE.findall(attributes["lines"]):
            if name in schema["properties"]:
                schema["properties"][name]["description"] = " ".join(text.split())
    return schema

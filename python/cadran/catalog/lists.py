"""The same KPIs in the orders that people look for them, and the words of the glossary."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cadran import formats
from cadran.catalog import glossary

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cadran.catalog.dictionary import Model
    from cadran.catalog.facts import Facts
    from cadran.catalog.words import Words


class Lists:
    """The lists of one language."""

    def __init__(self, gathered: Facts, words: Words) -> None:
        """Take what was gathered and the language."""
        self.facts = gathered
        self.w = words

    def _group(
        self, title: str, note: str, names: Iterable[str], owner: str = ""
    ) -> dict[str, Any]:
        kpis = [self.facts.kpis[name] for name in names]
        return {"title": title, "note": note, "owner": owner, "kpis": kpis}

    def by_objective(self) -> list[dict[str, Any]]:
        """The KPIs of each objective."""
        lang = self.w.lang
        return [
            self._group(
                one[f"label_{lang}"],
                one[f"description_{lang}"],
                [n for n, k in self.facts.kpis.items() if k.card.objective == one["objective"]],
                one["owner"],
            )
            for one in self.facts.objectives
        ]

    def by_tier(self) -> list[dict[str, Any]]:
        """The strategic KPIs, then the operational ones."""
        return [
            self._group(
                self.w(f"{tier}_many"),
                self.w(f"{tier}_note"),
                [name for name, kpi in self.facts.kpis.items() if kpi.card.tier == tier],
            )
            for tier in ("strategic", "operational")
        ]

    def by_team(self) -> list[dict[str, Any]]:
        """The KPIs of each team."""
        teams = dict.fromkeys(kpi.card.scope for kpi in self.facts.kpis.values())
        return [
            self._group(
                self.w(team), "", [n for n, k in self.facts.kpis.items() if k.card.scope == team]
            )
            for team in teams
        ]

    def contributions(self) -> list[dict[str, Any]]:
        """For each team, which strategic KPIs its own contribute to, and by which way."""
        goals = [n for n, k in self.facts.kpis.items() if k.card.tier == "strategic"]
        teams: dict[str, list[dict[str, Any]]] = {}
        for name, kpi in self.facts.kpis.items():
            if kpi.card.tier != "strategic":
                ways = self.facts.tree.ways_up(name, goals)
                teams.setdefault(kpi.card.scope, []).append({"name": name, "ways": ways})
        return [{"team": team, "rows": rows} for team, rows in teams.items()]

    def folders(self, tables: list[Model]) -> list[dict[str, Any]]:
        """The tables of each folder and domain."""
        folders: dict[tuple[str, str], list[Model]] = {}
        for table in tables:
            folders.setdefault((table.folder, table.group), []).append(table)
        return [{"folder": k[0], "group": k[1], "tables": v} for k, v in folders.items()]

    def terms(self) -> list[dict[str, str]]:
        """The glossary, sorted as the language sorts."""
        side = 1 if self.w.lang == "en" else 2
        terms = [{"key": t[0], "term": t[side][0], "text": t[side][1]} for t in glossary.TERMS]
        return sorted(terms, key=lambda term: formats.folded(term["term"]))

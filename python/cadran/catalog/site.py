"""Writes the site: one folder a language, one style sheet, one small script."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cadran import shell
from cadran.catalog import facts, pictures
from cadran.catalog import facts as dictionary
from cadran.catalog import facts as history
from cadran.catalog.texts import Words
from cadran.core.project import names
from cadran.errors import QueryError
from cadran.formats import numbers, periods
from cadran.formats.words import words

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jinja2 import Environment

    from cadran.catalog.facts import Facts, KpiFacts, Model
    from cadran.core.layer import Layer
    from cadran.insight.tree_check import Check


class Lists:
    """The lists of one language."""

    def __init__(self, gathered: Facts, w: Words) -> None:
        """Take what was gathered and the language."""
        self.facts = gathered
        self.w = w

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
                objective[f"label_{lang}"],
                objective[f"description_{lang}"],
                [
                    n
                    for n, k in self.facts.kpis.items()
                    if k.card.objective == objective["objective"]
                ],
                objective["owner"],
            )
            for objective in self.facts.objectives
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
        names, meanings = (words(section, self.w.lang) for section in ("glossary", "meanings"))
        terms = [{"key": key, "term": names[key], "text": meanings[key]} for key in names]
        return sorted(terms, key=lambda term: numbers.folded(term["term"]))


MARK = ".cadran-catalog"
_HOME = Path(__file__).parent
REVIEW_DAYS = 120


@dataclass(frozen=True, slots=True)
class Site:
    """What was written, and the exact relations that do not hold in the figures."""

    pages: list[Path]
    broken: list[Check]


def build(layer: Layer, out: Path) -> Site:
    """The pages of the catalogue, written to a folder that is made anew.

    Args:
        layer: the layer of a built project.
        out: the folder; it must be empty, new, or an earlier catalogue.

    Raises:
        QueryError: the folder holds something else.
        CardError: a card is broken.
        WarehouseError: the warehouse cannot be read.
    """
    if out.exists() and any(out.iterdir()) and not (out / MARK).exists():
        raise QueryError(f"{out} holds something else than a catalogue; name an empty folder.")
    gathered = facts.gather(layer)
    tables = dictionary.models(layer, _kpis_of(gathered))
    edits = history.edits(layer.project.root)
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    (out / MARK).write_text("written by `cadran catalog`\n", encoding="utf-8")
    shutil.copytree(_HOME / "assets", out / "assets")
    shutil.copy(shell.STYLE, out / "assets")
    environment = shell.environment(_HOME / "templates")
    landing = environment.get_template("landing.html").render(languages=layer.languages)
    files = [_write(out / "index.html", landing)]
    courses = {
        name: pictures.course(kpi.row.history) for name, kpi in gathered.kpis.items() if kpi.row
    }
    for lang in layer.languages:
        others = [other for other in layer.languages if other != lang]
        w = Words(lang, names.words(layer.project.root, lang))
        pages = _Pages(environment, gathered, tables, w, out, courses, others)
        files += pages.write(edits)
    checks = [check for kpi in gathered.kpis.values() for check in kpi.checks]
    broken = [check for check in checks if check.expression and not check.holds]
    return Site(files, broken)


class _Pages:
    """The pages of one language."""

    def __init__(  # noqa: PLR0913, PLR0917 - what every page may show
        self,
        environment: Environment,
        gathered: Facts,
        tables: list[dictionary.Model],
        w: Words,
        out: Path,
        courses: dict[str, Any],
        others: list[str],
    ) -> None:
        self.environment = environment
        self.facts = gathered
        self.tables = tables
        self.w = w
        self.out = out / w.lang
        self.courses = courses
        self.others = others
        self.shown = {name: kpi.card.localized(w.lang) for name, kpi in gathered.kpis.items()}
        self.written: list[Path] = []
        self.lists = Lists(gathered, w)

    def write(self, edits: list[history.Edit]) -> list[Path]:
        for name, key, groups in (
            ("index", "by_objective", self.lists.by_objective()),
            ("tiers", "by_tier", self.lists.by_tier()),
            ("teams", "by_team", self.lists.by_team()),
        ):
            self.page(f"{name}.html", "home.html", "kpis", groups=groups, view=key)
        self.page(
            "tree.html", "tree.html", "tree",
            picture=pictures.tree_of_all(self.facts, self.w), teams=self.lists.contributions(),
        )  # fmt: skip
        self.page(
            "dictionary.html",
            "dictionary.html",
            "dictionary",
            folders=self.lists.folders(self.tables),
        )
        self.page("glossary.html", "glossary.html", "glossary", terms=self.lists.terms())
        versions = [v for kpi in self.facts.kpis.values() for v in kpi.versions if v.kind]
        self.page(
            "changes.html", "changes.html", "changes", edits=edits, reviews=self._reviews(),
            versions=sorted(versions, key=lambda v: str(v.effective_from), reverse=True),
        )  # fmt: skip
        for table in self.tables:
            self.page(f"tables/{table.name}.html", "table.html", "dictionary", table=table)
        for kpi in self.facts.kpis.values():
            self._kpi(kpi)
        index = json.dumps(self._index(), ensure_ascii=False, separators=(",", ":"))
        _write(self.out / "search-index.js", f"window.cadranIndex={index};\n")
        return self.written

    def page(self, path: str, template: str, section: str, **content: Any) -> None:
        up = "../" * path.count("/")
        text = self.environment.get_template(template).render(
            w=self.w, lang=self.w.lang, others=self.others, path=path, up=up,
            section=section, facts=self.facts, shown=self.shown, courses=self.courses,
            measure=self.measure, change=self.change,
            period=self.period, tables={table.name for table in self.tables}, **content,
        )  # fmt: skip
        self.written.append(_write(self.out / path, text))

    def _kpi(self, kpi: KpiFacts) -> None:
        w, card = self.w, kpi.card
        title = ""
        if card.dimensions:
            title = w(
                "breakdown", period=periods.label(self.facts.period, "month", w.lang).capitalize(),
                dimension=w.name(card.dimensions[0]).lower(),
            )  # fmt: skip
        objective = next(o for o in self.facts.objectives if o["objective"] == card.objective)
        self.page(
            f"kpis/{card.name}.html", "kpi.html", "kpis", kpi=kpi, card=self.shown[card.name],
            line=pictures.over_time(kpi, w), bars=pictures.breakdown(kpi, w, title),
            bars_title=title, origin=pictures.lineage_of(kpi, w),
            place=pictures.tree_around(kpi, self.facts, w),
            objective=objective[f"label_{w.lang}"], tree=self.facts.tree,
            models=_models(kpi), sources=kpi.origin.sources() if kpi.origin else [],
            targets=self._targets(kpi),
            relation_text=self._relation_text,
        )  # fmt: skip

    # Figures ----------------------------------------------------------------------------------

    def measure(self, value: Any, card: Any) -> str:
        return numbers.measure(value, card.unit, decimals=card.decimals, lang=self.w.lang)

    def change(self, value: Any, before: Any, card: Any) -> str:
        return numbers.change(value, before, card.unit, lang=self.w.lang)

    def period(self, start: Any, grain: str) -> str:
        return periods.label(start, grain, self.w.lang)

    def _targets(self, kpi: KpiFacts) -> dict[str, list[Any]]:
        """The targets of the periods that run now, and all others from this year on."""
        today = self.facts.until
        order = {"month": 0, "quarter": 1, "year": 2}
        open_targets = [
            target
            for target in kpi.targets
            if target.grain in order and target.start.year >= today.year
        ]
        open_targets.sort(key=lambda target: (-order[target.grain], target.start))
        now = [
            target
            for target in open_targets
            if target.start == periods.start_of(today, target.grain)
        ]
        return {
            "now": now[::-1],
            "others": [target for target in open_targets if target not in now],
        }

    def _relation_text(self, relation: Any) -> str:
        """The relation with labels in the place of names."""
        labels = []
        for part in relation.components:
            name = self.facts.tree.names.get(part.metric, part.metric)
            is_linked = name in self.shown and name != relation.kpi
            label = self.shown[name].label if is_linked else part.metric.replace("_", " ")
            labels.append((part.sign, label))
        if relation.kind in {"ratio", "conversion", "product", "sum"}:
            text = " ".join(f"{sign} {label}".strip() for sign, label in labels)
            return text.removeprefix("+ ").removeprefix("× ")  # noqa: RUF001 - times
        return ", ".join(label for _, label in labels)

    def _reviews(self) -> list[KpiFacts]:
        kpis = sorted(self.facts.kpis.values(), key=lambda k: (k.card.review_by, k.card.name))
        today = self.facts.made_at.date()
        return [k for k in kpis if (k.card.review_by - today).days <= REVIEW_DAYS]

    def _index(self) -> list[dict[str, str]]:
        w = self.w
        entries = [
            {"t": card.label, "n": name, "k": w("kpi"), "u": f"kpis/{name}.html",
             "d": f"{card.description} {card.formula} {card.owner.business} {w(card.scope)}"}
            for name, card in self.shown.items()
        ]  # fmt: skip
        for table in self.tables:
            url = f"tables/{table.name}.html"
            entries.append(
                {"t": table.name, "n": "", "k": w("table"), "u": url, "d": table.description}
            )
            entries += [
                {"t": column.name, "n": table.name, "k": w("column"),
                 "u": f"{url}#{column.name}", "d": column.description}
                for column in table.columns
            ]  # fmt: skip
        entries += [
            {"t": term["term"], "n": "", "k": w("glossary"), "u": f"glossary.html#{term['key']}",
             "d": term["text"]}
            for term in self.lists.terms()
        ]  # fmt: skip
        return entries


def _kpis_of(gathered: Facts) -> dict[str, list[str]]:
    kpis: dict[str, list[str]] = {}
    for name, kpi in gathered.kpis.items():
        for model in _models(kpi):
            kpis.setdefault(model, []).append(name)
        for use in kpi.used_by:
            kpis.setdefault(use["name"], []).append(name)
    return kpis


def _models(kpi: KpiFacts) -> list[str]:
    def walk(node: Any) -> Iterable[str]:
        if node.kind == "model":
            yield node.name
        for parent in node.parents:
            yield from walk(parent)

    return list(dict.fromkeys(walk(kpi.origin))) if kpi.origin else []


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path

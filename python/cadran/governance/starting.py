"""What `cadran init` puts into a dbt project: what is missing, and nothing that is there."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from cadran.core.project import checks, dbt, git
from cadran.core.project.cards import carried_by
from cadran.errors import ProjectError
from cadran.formats import files, strict_yaml, yaml_text

if TYPE_CHECKING:
    from collections.abc import Iterator

CI = ("github", "gitlab", "none")
_IGNORED = ("target/", "logs/", "dbt_packages/", "*.duckdb", "*.duckdb.wal", "audit/",
            "cadran_tokens.json", ".cadran_tokens.json.*")  # fmt: skip
_OBJECTIVES = "objective,label_en,label_fr,description_en,description_fr,owner\n"
_TARGETS = "kpi,period_grain,period_start,target,warning,critical,baseline,owner\n"
_STRATEGIC = (5, 10)

_SPINE_SQL = """\
{{{{ config(materialized='table') }}}}
-- One row per day, which periods are counted by. The last day is the last for which there are data.
select cast(range as date) as date_day
from range(date '{first}', current_date, interval 1 day)
"""
_SPINE_YML = """\
models:
  - name: time_spine_daily
    description: One row per day.
    time_spine: {standard_granularity_column: date_day}
    columns:
      - {name: date_day, description: The day., granularity: day}
"""
_GITHUB = """\
# Every KPI is held against the rules before a change is merged.
name: cadran
on: {pull_request: {}, push: {branches: [main]}}
jobs:
  check:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
        with: {fetch-depth: 0}  # the gate compares with the main line
      - uses: actions/setup-python@v5
        with: {python-version: "3.12"}
      - run: pip install 'cadran[build]'
      - run: dbt deps && dbt build
      - run: cadran check --ci --format github
"""
_GITLAB = """\
# Included by .gitlab-ci.yml: `include: {local: .gitlab/cadran.yml}`. Every KPI is held against the
# rules before a change is merged.
cadran:
  image: python:3.12
  variables: {GIT_DEPTH: "0"}
  script:
    - pip install 'cadran[build]'
    - dbt deps && dbt build
    - cadran check --ci
"""
_HOOK = """\
repo: local
hooks:
  - id: cadran-check
    name: every KPI against the rules
    entry: cadran check
    language: system
    pass_filenames: false
    files: \\.(sql|ya?ml|csv)$
"""
_HOOK_ITEM = textwrap.indent(_HOOK, "    ").replace("    ", "  - ", 1)


@dataclass(frozen=True, slots=True)
class Step:
    """One file: what became of it (`new`, `more lines`, `as it is`), and why where that helps."""

    path: Path
    state: str
    note: str = ""


def start(
    root: Path, *, languages: tuple[str, ...] = (), ci: str = "", first_day: str = "2020-01-01"
) -> list[Step]:
    """Write what Cadran needs in a dbt project and it has not; nothing is overwritten.

    Args:
        root: the project's folder.
        languages: those of the cards, the first of their own words; by default as they are.
        ci: `github`, `gitlab` or `none`; by default what the repository shows, GitHub otherwise.
        first_day: the first day of a time spine, where none is declared.

    Raises:
        ProjectError: there is no dbt project, or a file of it is no YAML.
    """
    if not (root / "dbt_project.yml").exists():
        raise ProjectError(
            f"There is no dbt_project.yml in {root.resolve()}: run `dbt init` first, or"
            " `cadran init --demo FOLDER` for the demo company."
        )
    models = folder_of(root, "model-paths", "models")
    documents = list(_documents(root))
    cards = list(_cards(documents))
    steps = []
    if _has_spine(root, documents):
        steps.append(Step(root / models, "as it is", "it declares a time spine"))
    else:
        folder = root / models / "utilities"
        steps.append(_new(folder / "time_spine_daily.sql", _SPINE_SQL.format(first=first_day)))
        steps.append(_new(folder / "time_spine_daily.yml", _SPINE_YML))
    steps += [
        _new(root / checks.FILE, _checks(root, documents, cards, languages)),
        _new(root / seed(root, "objectives"), _OBJECTIVES + _rows(cards)),
        _new(root / seed(root, "targets"), _TARGETS),
        _lines(root / ".gitignore", _IGNORED),
        _hook(root / ".pre-commit-config.yaml"),
    ]
    top = _repository(root)
    ci = ci or ("gitlab" if (top / ".gitlab-ci.yml").exists() else "github")
    if ci == "github":
        steps.append(_new(top / ".github" / "workflows" / "cadran.yml", _GITHUB))
    elif ci == "gitlab":
        steps.append(_new(top / ".gitlab" / "cadran.yml", _GITLAB, "include it in .gitlab-ci.yml"))
    return steps


def _new(path: Path, text: str, note: str = "") -> Step:
    if path.exists():
        return Step(path, "as it is")
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write(path, text)
    return Step(path, "new", note)


def _lines(path: Path, wanted: tuple[str, ...]) -> Step:
    text = files.read_text(path) if path.exists() else ""
    present = {line.strip().strip("/") for line in text.splitlines()}
    missing = [line for line in wanted if line.strip("/") not in present]
    if not missing:
        return Step(path, "as it is")
    state = "more lines" if text else "new"
    files.write(path, files.added(text, "".join(f"{line}\n" for line in missing)))
    return Step(path, state)


def _hook(path: Path) -> Step:
    if not path.exists():
        return _new(path, f"repos:\n{_HOOK_ITEM}", "`pre-commit install` switches it on")
    text = files.read_text(path)
    if "cadran-check" in text:
        return Step(path, "as it is")
    strict_yaml.parse(text, path.name, ProjectError)
    root = yaml_text.composed(text)
    try:
        if root is None:
            raise yaml_text.NotInsertableError("it is empty")  # noqa: TRY301 - as any other
        files.write(path, yaml_text.with_item(text, root, "repos", _HOOK))
    except yaml_text.NotInsertableError as reason:
        return Step(path, "as it is", f"{reason}; add by hand:\n{_HOOK_ITEM}")
    return Step(path, "more lines")


def _checks(
    root: Path, documents: list[Any], cards: list[dict[str, Any]], languages: tuple[str, ...]
) -> str:
    """The settings of the gate, of the size of the project."""
    strategic = sum(card.get("tier") == "strategic" for card in cards)
    least, most = _STRATEGIC
    limits = [least if strategic >= least else 0, max(most, strategic)]
    owners = sorted(
        {
            str(address)
            for card in cards
            for address in (card.get("owner") or {}).values()
            if isinstance(card.get("owner"), dict)
        }
    )
    lines = ["# What this project decides about `cadran check`; `cadran check --explain all`.", ""]
    if languages:
        lines += [f"languages: [{', '.join(languages)}]", ""]
    if owners:
        lines += [
            "# Who may own a KPI, and who may approve a change in the owner's place.",
            "owners:",
        ]
        lines += [*(f"  {owner}: []" for owner in owners), ""]
    lines += [
        "# At least and at most so many strategic KPIs; 5 to 10 once the company has chosen them.",
        f"strategic_kpis: {limits}",
    ]
    has_saved = any(isinstance(d, dict) and d.get("saved_queries") for d in documents)
    if has_saved and not (root / "models" / "kpis").exists():
        lines += [
            "",
            "# `cadran tables` makes a table of each saved query; take this out once it did.",
            "rules:",
            '  TEC07: {severity: "off", reason: No saved query has a KPI table yet.}',
        ]
    return "\n".join(lines) + "\n"


def _rows(cards: list[dict[str, Any]]) -> str:
    """A row for each objective that a card names already."""
    rows: dict[str, str] = {}
    for card in cards:
        objective = card.get("objective")
        owner = card.get("owner") if isinstance(card.get("owner"), dict) else {}
        if isinstance(objective, str) and re.fullmatch(r"\w+", objective):
            business = str((owner or {}).get("business", ""))
            rows.setdefault(objective, objective_row(objective, business))
    return "".join(rows.values())


def objective_row(objective: str, owner: str) -> str:
    """A row of the seed of objectives, whose descriptions are left to be written."""
    return f"{objective},{objective.replace('_', ' ').capitalize()},,,,{owner}\n"


def seed(root: Path, kind: str) -> Path:
    """The file of the seed of `objectives` or `targets`, from the project's folder on."""
    folder = folder_of(root, "seed-paths", "seeds")
    default = {"objectives": "objective_definitions", "targets": "target_values"}[kind]
    return Path(folder) / f"{dbt.variables(root).get(f'cadran_{kind}') or default}.csv"


def folder_of(root: Path, key: str, default: str) -> str:
    """The first folder that `dbt_project.yml` names under a key, such as `model-paths`."""
    settings = strict_yaml.read(root / "dbt_project.yml", ProjectError) or {}
    return str((settings.get(key) or [default])[0])


def _repository(root: Path) -> Path:
    """The top of the git repository that the project stands in; itself where there is none."""
    top = git.output(root, "rev-parse", "--show-toplevel", timeout=10)
    found = Path(top.strip()) if top else root
    return root if found == root.resolve() else found


def _documents(root: Path) -> Iterator[Any]:
    for path in dbt.project_files(root):
        if path.suffix in {".yml", ".yaml"} and "dbt_packages" not in path.parts:
            try:
                yield yaml.safe_load(path.read_text(encoding="utf-8"))
            except yaml.YAMLError:
                continue


def _has_spine(root: Path, documents: list[Any]) -> bool:
    for document in documents:
        models = document.get("models") if isinstance(document, dict) else None
        if isinstance(models, list) and any(
            isinstance(m, dict) and m.get("time_spine") for m in models
        ):
            return True
    return any(path.stem == "metricflow_time_spine" for path in dbt.project_files(root))


def _cards(documents: list[Any]) -> Iterator[dict[str, Any]]:
    """The cards that the project's YAML holds already."""
    for document in documents:
        for metric in _metrics(document):
            card = carried_by(metric)
            if isinstance(card, dict):
                yield card


def _metrics(document: Any) -> Iterator[Any]:
    if not isinstance(document, dict):
        return
    holders = [document, *(document.get("models") or ())]
    for holder in holders:
        metrics = holder.get("metrics") if isinstance(holder, dict) else None
        yield from (metric for metric in metrics or () if isinstance(metric, dict))

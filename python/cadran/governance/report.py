"""The report of `cadran check` as text, JSON, SARIF 2.1.0 or GitHub annotations."""

from __future__ import annotations

import json
import sys
import textwrap
from collections import Counter
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from cadran.errors import ProjectError, listing
from cadran.formats import strict_yaml
from cadran.governance.rules import Finding, Rule, Severity, in_french, of_code, registered

if TYPE_CHECKING:
    from collections.abc import Callable

    from cadran.governance.check import Report


_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


Say: TypeAlias = "Callable[[str], str]"


def to_text(report: Report, say: Say = str) -> str:
    """The findings by KPI, for a person, and a summary; `say` has them in another language."""
    lines: list[str] = []
    details: set[str] = set()
    for kpi, findings in groupby(report.findings, key=lambda finding: finding.kpi):
        lines.append(kpi or say("the project"))
        for _, alike in groupby(findings, key=lambda finding: (finding.code, finding.remedy)):
            lines += _paragraphs(list(alike), details, say)
        lines.append("")
    lines += [
        say(f"waived until {waiver.until}: {finding.code} {finding.kpi}: {waiver.reason}")
        for finding, waiver in report.waived
    ]
    if report.not_run:
        lines.append(say(f"not run: {report.not_run}"))
    return "\n".join([*lines, _summary(report, say)])


def _paragraphs(alike: list[Finding], details: set[str], say: Say) -> list[str]:
    """Findings of one rule, and once how to mend them; a detail that was shown is not repeated."""
    lines = []
    for finding in alike:
        place = _place(finding)
        severity = say(finding.severity.value)
        lines.append(f"  {severity:<8}{finding.code:<7} {say(finding.message)}")
        lines += [f"{'':<18}{say('at'):<5} {place}"] if place else []
        if finding.detail in details:
            lines.append(f"{'':<18}{say('as above')}")
        elif finding.detail:
            lines += [f"{'':<18}{line}".rstrip() for line in finding.detail.splitlines()]
            details.add(finding.detail)
    return [*lines, f"{'':<18}{say('mend'):<5} {say(alike[0].remedy)}"]


def _place(finding: Finding) -> str:
    if not finding.file:
        return ""
    return f"{finding.file}:{finding.line}" if finding.line else finding.file


def _summary(report: Report, say: Say) -> str:
    looked = f"{report.kpis} KPIs, {len(report.rules)} rules, {report.seconds:.1f} s"
    if not report.findings:
        return say(f"{looked}: nothing to mend.")
    counts = [
        f"{report.count(severity)} {severity.value}{'s' if report.count(severity) != 1 else ''}"
        for severity in (Severity.ERROR, Severity.WARNING)
    ]
    most = Counter(finding.code for finding in report.findings).most_common(1)[0][0]
    return say(f"{looked}: {', '.join(counts)}. Why: cadran check --explain {most}")


def to_json(report: Report, _say: Say = str) -> str:
    """The report as one JSON object, for machines: in English."""
    return json.dumps(
        {
            "errors": report.count(Severity.ERROR),
            "warnings": report.count(Severity.WARNING),
            "kpis": report.kpis,
            "rules": list(report.rules),
            "seconds": round(report.seconds, 2),
            "not_run": report.not_run or None,
            "findings": [_as_dict(finding) for finding in report.findings],
            "waived": [
                _as_dict(finding)
                | {"waived_until": waiver.until.isoformat(), "waived_because": waiver.reason}
                for finding, waiver in report.waived
            ],
        },
        indent=2,
        ensure_ascii=False,
    )


def _as_dict(finding: Finding) -> dict[str, Any]:
    names = ("code", "severity", "kpi", "message", "file", "line", "remedy", "detail")
    return {name: getattr(finding, name) for name in names}


def to_sarif(report: Report, _say: Say = str) -> str:
    """The report as SARIF, which code scanning of GitHub, GitLab and Azure reads.

    It is in English: a finding is known again by its words.
    """
    rules = [of_code(code) for code in report.rules]
    driver = {
        "name": "cadran check",
        "version": version("cadran"),
        "rules": [
            {
                "id": rule.code,
                "name": rule.title,
                "shortDescription": {"text": rule.title},
                "fullDescription": {"text": rule.rationale},
                "help": {"text": f"{rule.remedy}\n\n{rule.example}"},
                "defaultConfiguration": {"level": _level(rule.severity)},
            }
            for rule in rules
        ],
    }
    results = [_result(finding, report.rules) for finding in report.findings]
    results += [
        _result(finding, report.rules)
        | {"suppressions": [{"kind": "external", "justification": waiver.reason}]}
        for finding, waiver in report.waived
    ]
    run: dict[str, Any] = {"tool": {"driver": driver}, "results": results}
    run["columnKind"] = "unicodeCodePoints"
    if report.not_run:
        notice = {"level": "warning", "message": {"text": report.not_run}}
        run["invocations"] = [{"executionSuccessful": True, "toolExecutionNotifications": [notice]}]
    log = {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}
    return json.dumps(log, indent=2, ensure_ascii=False)


def _level(severity: Severity) -> str:
    return "none" if severity is Severity.OFF else severity.value


def _result(finding: Finding, codes: tuple[str, ...]) -> dict[str, Any]:
    about = f"{finding.kpi}: {finding.message}" if finding.kpi else finding.message
    place: dict[str, Any] = {"artifactLocation": {"uri": finding.file or "dbt_project.yml"}}
    if finding.line:
        place["region"] = {"startLine": finding.line}
    # The line moves when something above it changes; the finding stays the same one.
    fingerprint = f"{finding.code}/{finding.kpi or ''}/{finding.message}"
    return {
        "ruleId": finding.code,
        "ruleIndex": codes.index(finding.code),
        "level": _level(finding.severity),
        "message": {"text": f"{about}. {finding.remedy}"},
        "locations": [{"physicalLocation": place}],
        "partialFingerprints": {"finding/v1": fingerprint},
    }


def to_github(report: Report, say: Say = str) -> str:
    """The findings as workflow commands, which GitHub shows beside the lines of a pull request."""
    lines = []
    for finding in report.findings:
        message = say(finding.message)
        about = f"{finding.kpi}: {message}" if finding.kpi else message
        properties = {"file": finding.file, "line": finding.line, "title": finding.code}
        fields = ",".join(f"{key}={_property(value)}" for key, value in properties.items() if value)
        text = _data(f"{about}. {say(finding.remedy)}")
        lines.append(f"::{finding.severity.value} {fields}::{text}")
    if report.not_run:
        lines.append(f"::warning title=not run::{_data(say(report.not_run))}")
    return "\n".join([*lines, _summary(report, say)])


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(value: object) -> str:
    return _data(str(value)).replace(":", "%3A").replace(",", "%2C")


FORMS = {"text": to_text, "json": to_json, "sarif": to_sarif, "github": to_github}


_WIDTH = 96
# Of the page in each language: its head, its families, the words beside the rules.
_PAGE = strict_yaml.read(Path(__file__).with_name("rules") / "page.yml", ProjectError)
FAMILIES: tuple[str, ...] = tuple(_PAGE["en"]["families"])


def ordered() -> list[Rule]:
    """Every rule, family by family."""

    def place(rule: Rule) -> tuple[int, str]:
        is_registered = rule.family in FAMILIES
        return (FAMILIES.index(rule.family) if is_registered else len(FAMILIES), rule.code)

    return sorted(registered().values(), key=place)


def terminal(code: str, say: Say = str) -> str:
    """One rule for the terminal; `all` lists every rule.

    Raises:
        UnknownNameError: there is no such rule.
    """
    if code.lower() == "all":
        return "\n".join(
            f"{r.code:<7} {say(r.severity.value):<8} {say(r.title)}" for r in ordered()
        )
    rule = of_code(code)
    example = "\n".join(f"    {line}".rstrip() for line in rule.example.splitlines())
    head = f"{rule.code}  {say(rule.title)}  ({say(rule.severity.value)})"
    rationale, remedy = (
        textwrap.fill(text, _WIDTH)
        for text in (say(rule.rationale), f"{say('Mend:')} {say(rule.remedy)}")
    )
    return f"{head}\n\n{rationale}\n\n{example}\n\n{remedy}"


def page(language: str = "en") -> str:
    """The page of all rules, in Markdown."""
    words = _PAGE[language]
    french: dict[str, str] = in_french() | words["severities"] if language == "fr" else {}

    def say(text: str) -> str:
        return french.get(text, text)

    parts = [words["head"]]
    rows = [
        f"| [{r.code}](#{r.code.lower()}) | {say(r.title)} | {say(r.severity.value)} |"
        for r in ordered()
    ]
    parts.append("\n".join([words["table"], "|---|---|---|", *rows]) + "\n")
    for family, rules in groupby(ordered(), key=lambda rule: rule.family):
        parts.append(f"## {words['families'].get(family, family)}\n")
        parts += [_section(rule, say) for rule in rules]
    return "\n".join(parts)


def _section(rule: Rule, say: Say) -> str:
    language = "csv" if rule.example.startswith(("kpi,", "objective,", "target,")) else "yaml"
    return (
        f"### {rule.code}\n\n**{say(rule.title)}** ({say(rule.severity.value)})\n\n"
        f"{say(rule.rationale)}\n\n```{language}\n{rule.example}\n```\n\n{say(rule.remedy)}\n"
    )


if __name__ == "__main__":
    if len(sys.argv) != 2:  # noqa: PLR2004 - the folder
        sys.exit(f"usage: python -m cadran.governance.report DOCS; rules: {listing(registered())}")
    for language, folder in (("en", "."), ("fr", "fr")):
        file = Path(sys.argv[1], folder, "rules.md")
        file.write_text(page(language), encoding="utf-8")

"""The report of `cadran check` as text, JSON, SARIF 2.1.0 or GitHub annotations."""

from __future__ import annotations

import json
from collections import Counter
from itertools import groupby
from typing import TYPE_CHECKING, Any

from cadran.governance.rules import Finding, Severity, of_code

if TYPE_CHECKING:
    from cadran.governance.check import Report

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def to_text(report: Report) -> str:
    """The findings by KPI, for a person, and a summary."""
    lines: list[str] = []
    shown: set[str] = set()
    for kpi, findings in groupby(report.findings, key=lambda finding: finding.kpi):
        lines.append(kpi or "the project")
        for _, alike in groupby(findings, key=lambda finding: (finding.code, finding.remedy)):
            lines += _paragraphs(list(alike), shown)
        lines.append("")
    lines += [
        f"waived until {waiver.until}: {finding.code} {finding.kpi}: {waiver.reason}"
        for finding, waiver in report.waived
    ]
    return "\n".join([*lines, _summary(report)])


def _paragraphs(alike: list[Finding], shown: set[str]) -> list[str]:
    """Findings of one rule, and once how to mend them; a detail that was shown is not repeated."""
    lines = []
    for finding in alike:
        place = _place(finding)
        lines.append(f"  {finding.severity.value:<8}{finding.code:<7} {finding.message}")
        lines += [f"{'':<18}at    {place}"] if place else []
        if finding.detail in shown:
            lines.append(f"{'':<18}as above")
        elif finding.detail:
            lines += [f"{'':<18}{line}".rstrip() for line in finding.detail.splitlines()]
            shown.add(finding.detail)
    return [*lines, f"{'':<18}mend  {alike[0].remedy}"]


def _place(finding: Finding) -> str:
    if not finding.file:
        return ""
    return f"{finding.file}:{finding.line}" if finding.line else finding.file


def _summary(report: Report) -> str:
    looked = f"{report.kpis} KPIs, {len(report.rules)} rules, {report.seconds:.1f} s"
    if not report.findings:
        return f"{looked}: nothing to mend."
    counts = [
        f"{report.count(severity)} {severity.value}{'s' if report.count(severity) != 1 else ''}"
        for severity in (Severity.ERROR, Severity.WARNING)
    ]
    most = Counter(finding.code for finding in report.findings).most_common(1)[0][0]
    return f"{looked}: {', '.join(counts)}. Why: cadran check --explain {most}"


def to_json(report: Report) -> str:
    """The report as one JSON object."""
    return json.dumps(
        {
            "errors": report.count(Severity.ERROR),
            "warnings": report.count(Severity.WARNING),
            "kpis": report.kpis,
            "rules": list(report.rules),
            "seconds": round(report.seconds, 2),
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


def to_sarif(report: Report) -> str:
    """The report as SARIF, which code scanning of GitHub, GitLab and Azure reads."""
    from cadran import __version__

    rules = [of_code(code) for code in report.rules]
    driver = {
        "name": "cadran check",
        "version": __version__,
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
    run = {"tool": {"driver": driver}, "results": results, "columnKind": "unicodeCodePoints"}
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
    known = f"{finding.code}/{finding.kpi or ''}/{finding.message}"
    return {
        "ruleId": finding.code,
        "ruleIndex": codes.index(finding.code),
        "level": _level(finding.severity),
        "message": {"text": f"{about}. {finding.remedy}"},
        "locations": [{"physicalLocation": place}],
        "partialFingerprints": {"finding/v1": known},
    }


def to_github(report: Report) -> str:
    """The findings as workflow commands, which GitHub shows beside the lines of a pull request."""
    lines = []
    for finding in report.findings:
        about = f"{finding.kpi}: {finding.message}" if finding.kpi else finding.message
        properties = {"file": finding.file, "line": finding.line, "title": finding.code}
        named = ",".join(f"{key}={_property(value)}" for key, value in properties.items() if value)
        text = _data(f"{about}. {finding.remedy}")
        lines.append(f"::{finding.severity.value} {named}::{text}")
    return "\n".join([*lines, _summary(report)])


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(value: object) -> str:
    return _data(str(value)).replace(":", "%3A").replace(",", "%2C")


FORMS = {"text": to_text, "json": to_json, "sarif": to_sarif, "github": to_github}

"""`cadran check`: runs the rules over a project and weighs what they find."""

from __future__ import annotations

import datetime as dt
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cadran.core.project import checks as settings_reader
from cadran.governance.context import Context
from cadran.governance.rules import Finding, Rule, Severity, of_code, registered
from cadran.governance.rules.versions import MAIN_LINE_KNOWN, not_compared

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cadran.core.layer import Layer
    from cadran.core.project.checks import Settings, Waiver

UNUSED = "WAIV01"
# What CARD02 tells of a draft that lacks something, in one sentence.
_TOLD_OF_DRAFTS = frozenset(
    {"OWN01", "OWN02", "OWN03", "OWN04", "OWN06", "OWN07", "OBJ01", "OBJ02"}
)


@dataclass(frozen=True, slots=True)
class Report:
    """What was found, by KPI, and what was looked at.

    Attributes:
        findings: the project's own first, then by KPI; errors before warnings.
        waived: findings that a waiver covers, with the waiver.
        kpis: how many KPIs the project has.
        rules: the codes of the rules that ran.
        seconds: how long it took.
        not_run: what no rule could look at, and why, where that is no finding.
    """

    findings: tuple[Finding, ...]
    waived: tuple[tuple[Finding, Waiver], ...]
    kpis: int
    rules: tuple[str, ...]
    seconds: float
    not_run: str = ""

    @property
    def has_errors(self) -> bool:
        """True when the gate is closed."""
        return any(finding.severity is Severity.ERROR for finding in self.findings)

    def count(self, severity: Severity) -> int:
        """How many findings have a severity."""
        return sum(finding.severity is severity for finding in self.findings)


def check(
    layer: Layer,
    *,
    only: Iterable[str] = (),
    with_values: bool = False,
    in_ci: bool = False,
    today: dt.date | None = None,
) -> Report:
    """Examine a project by every rule that its settings do not switch off.

    Args:
        layer: the project; its artefacts must be those of its files (see `artefacts.refresh`).
        only: codes of the rules to run, off or not; by default all.
        with_values: hold targets against the values of the warehouse as well.
        in_ci: this is the gate, so what cannot be looked at is a finding.
        today: the day that reviews, sunsets and waivers are held against; by default today.

    Raises:
        UnknownNameError: a code in `only` does not exist.
        CardError: `cadran_checks.yml` holds what it must not.
    """
    begun = time.perf_counter()
    rules = registered()
    settings = settings_reader.read(layer.project.root, set(rules))
    day = today or dt.datetime.now(dt.UTC).date()
    context = Context(layer, settings, day, with_values=with_values, in_ci=in_ci)
    chosen = [of_code(code) for code in only]
    running = [
        rule
        for rule in chosen or rules.values()
        if chosen or severity_of(rule, settings) is not Severity.OFF
    ]
    findings = [
        _completed(finding, rule, context)
        for rule in running
        if rule.code != UNUSED
        for finding in rule.find(context)
        if rule.code not in _TOLD_OF_DRAFTS or not _is_unfinished(finding.kpi, context)
    ]
    live, waived = _weighed(findings, context)
    codes = {rule.code for rule in running}
    if UNUSED in codes:
        live += _idle_waivers(rules[UNUSED], context, waived, codes)
    weights = list(Severity)
    is_found = in_ci and MAIN_LINE_KNOWN in codes
    return Report(
        findings=tuple(
            sorted(live, key=lambda f: (f.kpi or "", weights.index(f.severity), f.code, f.message))
        ),
        waived=tuple(waived),
        kpis=len(context.raw),
        rules=tuple(rule.code for rule in running),
        seconds=time.perf_counter() - begun,
        not_run="" if is_found else not_compared(codes, context),
    )


def _is_unfinished(kpi: str | None, context: Context) -> bool:
    card = context.cards.get(kpi or "")
    return card is not None and bool(card.lacks)


def severity_of(rule: Rule, settings: Settings) -> Severity:
    """The severity of a rule: what the settings say, else its own."""
    override = settings.rules.get(rule.code)
    return override.severity if override else rule.severity


def _completed(finding: Finding, rule: Rule, context: Context) -> Finding:
    severity = severity_of(rule, context.settings)
    if severity is Severity.ERROR and context.is_open_draft(finding.kpi):
        severity = Severity.WARNING
    file, line = finding.file, finding.line
    if file is None and finding.kpi in context.metrics:
        file = context.file(str(finding.kpi))
    if file is not None and line is None and finding.kpi:
        line = context.line(file, finding.kpi)
    return replace(
        finding,
        code=rule.code,
        severity=rule.severity if severity is Severity.OFF else severity,
        file=file,
        line=line,
        message=" ".join(finding.message.split()),
        remedy=finding.remedy or rule.remedy,
    )


def _weighed(
    findings: list[Finding], context: Context
) -> tuple[list[Finding], list[tuple[Finding, Waiver]]]:
    valid = {
        (waiver.rule, waiver.kpi): waiver
        for waiver in context.settings.waivers
        if waiver.until >= context.today
    }
    live, waived = [], []
    for finding in dict.fromkeys(findings):
        waiver = valid.get((finding.code, finding.kpi or ""))
        if waiver:
            waived.append((finding, waiver))
        else:
            live.append(finding)
    return live, waived


def _idle_waivers(
    rule: Rule, context: Context, waived: list[tuple[Finding, Waiver]], ran: set[str]
) -> list[Finding]:
    used = {id(waiver) for _, waiver in waived}
    findings = []
    for waiver in context.settings.waivers:
        subject = f"the waiver of {waiver.rule}"
        if waiver.kpi not in context.raw:
            message = f"{subject} is for '{waiver.kpi}', which is no KPI"
        elif waiver.until < context.today:
            message = f"{subject} ended on {waiver.until.isoformat()}"
        elif id(waiver) not in used and waiver.rule in ran:
            message = f"{subject} covers nothing any more"
        else:
            continue
        kpi = waiver.kpi if waiver.kpi in context.raw else None
        finding = Finding(kpi=kpi, message=message, file=settings_reader.FILE, line=1)
        findings.append(_completed(finding, rule, context))
    return findings

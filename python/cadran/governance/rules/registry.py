"""The registry of rules: a rule is a function that looks at a project and yields findings.

    @rule("LIFE03")
    def sunset_passed(context: Context) -> Iterator[Finding]:
        yield Finding(kpi="old_revenue", message="the sunset 2026-01-31 has passed", file=...)

Its texts stand in `rules.yml` under its code: title, rationale, example and remedy, and the French
of them. A code is stable: it stands in configurations, waivers and CI logs, and is never given
twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cadran.core.project.checks import Severity
from cadran.errors import ProjectError, UnknownNameError
from cadran.formats import strict_yaml

if TYPE_CHECKING:
    from cadran.governance.context import Context


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that breaks a rule.

    A rule says what, where and, when it knows better than its own text, the remedy; the engine
    adds code and severity, and the line of the KPI in the file where the rule names none. A detail
    has lines of its own, such as a difference.
    """

    message: str
    kpi: str | None = None
    file: str | None = None
    line: int | None = None
    remedy: str = ""
    detail: str = ""
    code: str = ""
    severity: Severity = Severity.ERROR


RuleFunction = Callable[["Context"], Iterator[Finding]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule: its stable code, its texts (also its page in the documentation), its function.

    `fr` has the French of title, rationale and remedy.
    """

    code: str
    title: str
    rationale: str
    example: str
    remedy: str
    fr: Mapping[str, str]
    severity: Severity
    find: RuleFunction

    @property
    def family(self) -> str:
        """The letters of the code: OWN, OBJ, DUP, LIFE, TEC, NUM, USE, VER."""
        return self.code.rstrip("0123456789")


_RULES: dict[str, Rule] = {}
_TEXTS = strict_yaml.read(Path(__file__).with_name("rules.yml"), ProjectError)


def rule(code: str) -> Callable[[RuleFunction], RuleFunction]:
    """Register the function below as the rule of a code.

    Raises:
        ValueError: the code is taken, or has no texts; a code means one thing for ever.
    """

    def register(find: RuleFunction) -> RuleFunction:
        if code in _RULES and _RULES[code].find.__module__ != find.__module__:
            raise ValueError(f"The code {code} is taken by {_RULES[code].find.__module__}.")
        if code not in _TEXTS:
            raise ValueError(f"The code {code} has no texts in rules.yml.")
        texts = dict(_TEXTS[code])
        severity = Severity(texts.pop("severity", Severity.ERROR))
        _RULES[code] = Rule(code=code, severity=severity, find=find, **texts)
        return find

    return register


def registered() -> dict[str, Rule]:
    """Every rule that has been imported, by code, in the order of registration."""
    return dict(_RULES)


def in_french() -> dict[str, str]:
    """Each English text of a rule with its French."""
    return {getattr(one, name): text for one in _RULES.values() for name, text in one.fr.items()}


def of_code(code: str) -> Rule:
    """The rule of a code.

    Raises:
        UnknownNameError: there is none.
    """
    rule = _RULES.get(code.upper())
    if rule is None:
        raise UnknownNameError("rule", code, _RULES)
    return rule

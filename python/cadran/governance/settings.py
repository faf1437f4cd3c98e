"""`cadran_checks.yml`: who the owners are, how severe each rule is, what is waived until when.

    owners:                                   # an owner, and who may approve in the owner's place
      head.of.sales@example.com: [sales.controller@example.com]
    rules:
      DUP03: {severity: off, reason: "Names come from the ERP and stay as they are."}
    waivers:
      - {rule: LIFE01, kpi: net_revenue, reason: "Review on 12 January.", until: 2027-01-15}
    strategic_kpis: [5, 10]                   # at least, at most
    known_values: ["tests/answers/{kpi}__*.sql"]
    personal: [loyalty_number]                # column names, beside those known by nature
    unused_after: 90                          # days without a question to the server

Every block may be left out. Unknown keys are errors, as on a card.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from cadran.errors import CardError, near_misses
from cadran.governance.rules.registry import Severity

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FILE = "cadran_checks.yml"


@dataclass(frozen=True, slots=True)
class Override:
    """A severity other than the rule's own, and why."""

    severity: Severity
    reason: str


@dataclass(frozen=True, slots=True)
class Waiver:
    """A rule that does not hold for one KPI until a day, that day included, and why."""

    rule: str
    kpi: str
    reason: str
    until: dt.date


@dataclass(frozen=True, slots=True)
class Settings:
    """What a project decides about its checks.

    Attributes:
        owners: each known owner with the delegates who may approve in the owner's place; None
            where the project names no owners, so that nobody is unknown.
    """

    owners: dict[str, tuple[str, ...]] | None = None
    rules: dict[str, Override] = field(default_factory=dict)
    waivers: tuple[Waiver, ...] = ()
    strategic_kpis: tuple[int, int] = (5, 10)
    known_values: tuple[str, ...] = ("tests/**/{kpi}__*.sql", "tests/**/{kpi}.sql")
    personal: tuple[str, ...] = ()
    unused_after: int = 90

    def delegates(self, owner: str) -> tuple[str, ...]:
        """Who may approve in an owner's place; nobody when the owner is unknown."""
        return (self.owners or {}).get(owner, ())


def read(root: Path | None, codes: set[str]) -> Settings:
    """The settings of a project; the defaults where it has no such file.

    Args:
        root: the project's folder; None for a manifest without a project.
        codes: the codes of every rule there is.

    Raises:
        CardError: a key is unknown, or holds what is not allowed.
    """
    path = root / FILE if root is not None else None
    if path is None or not path.exists():
        return Settings()
    try:
        given = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as problem:
        raise CardError(f"{FILE} is no YAML: {problem}") from None
    return _Reader(codes).settings({} if given is None else given)


class _Reader:
    def __init__(self, codes: set[str]) -> None:
        self.codes = codes

    def settings(self, given: object) -> Settings:
        known = (
            "owners", "rules", "waivers", "strategic_kpis", "known_values", "personal",
            "unused_after",
        )  # fmt: skip
        block = self.block("", given, known, ())
        read: dict[str, Callable[[str, object], Any]] = {
            "owners": self.owners, "rules": self.rules, "waivers": self.waivers,
            "strategic_kpis": self.limits, "known_values": self.texts, "personal": self.texts,
            "unused_after": self.days,
        }  # fmt: skip
        return Settings(**{key: read[key](key, value) for key, value in block.items()})

    def owners(self, key: str, value: object) -> dict[str, tuple[str, ...]]:
        if not isinstance(value, dict):
            self.wrong(key, f"is {value!r}; it takes owners, each with a list of delegates")
            return {}
        return {
            str(owner): self.texts(f"{key}.{owner}", delegates or [])
            for owner, delegates in value.items()
        }

    def rules(self, key: str, value: object) -> dict[str, Override]:
        if not isinstance(value, dict):
            self.wrong(key, f"is {value!r}; it takes codes, each with severity and reason")
            return {}
        return {
            self.code(key, code): self.override(f"{key}.{code}", entry)
            for code, entry in value.items()
        }

    def override(self, key: str, entry: object) -> Override:
        names = ("severity", "reason")
        block = self.block(f"{key}.", entry, names, names)
        # YAML 1.1 reads a bare `off` as false.
        severity = "off" if block["severity"] is False else block["severity"]
        if severity not in list(Severity):
            self.wrong(f"{key}.severity", f"is {severity!r}; allowed: {', '.join(Severity)}")
        return Override(Severity(severity), self.text(f"{key}.reason", block["reason"]))

    def waivers(self, key: str, value: object) -> tuple[Waiver, ...]:
        if not isinstance(value, list):
            self.wrong(key, f"is {value!r}; it takes a list of rule, kpi, reason and until")
            return ()
        found = []
        names = ("rule", "kpi", "reason", "until")
        for index, entry in enumerate(value, 1):
            place = f"{key}[{index}]"
            block = self.block(f"{place}.", entry, names, names)
            if not isinstance(block["until"], dt.date):
                self.wrong(f"{place}.until", "takes a date such as 2027-01-31")
            found.append(
                Waiver(
                    rule=self.code(place, block["rule"]),
                    kpi=self.text(f"{place}.kpi", block["kpi"]),
                    reason=self.text(f"{place}.reason", block["reason"]),
                    until=block["until"],
                )
            )
        return tuple(found)

    def limits(self, key: str, value: object) -> tuple[int, int]:
        whole = isinstance(value, list) and all(type(item) is int for item in value)
        if not whole or len(value) != 2 or not 0 <= value[0] <= value[1]:  # type: ignore[arg-type,index] # noqa: PLR2004 - two ends
            self.wrong(key, f"is {value!r}; it takes the least and the most, such as [5, 10]")
        return value[0], value[1]  # type: ignore[index]

    def days(self, key: str, value: object) -> int:
        if type(value) is not int or value < 1:
            self.wrong(key, f"is {value!r}; it takes a number of days")
        return int(value)  # type: ignore[call-overload,no-any-return]

    def wrong(self, key: str, sentence: str) -> None:
        raise CardError(f"{FILE}, key '{key}': {sentence}.")

    def block(
        self, prefix: str, given: object, known: tuple[str, ...], needed: tuple[str, ...]
    ) -> dict[str, Any]:
        if not isinstance(given, dict):
            self.wrong(prefix.rstrip(".") or FILE, f"is {given!r}; it takes keys and values")
            return {}
        for key in given:
            if key not in known:
                hint = near_misses(str(key), known)
                meant = f"did you mean '{hint[0]}'" if hint else f"allowed: {', '.join(known)}"
                self.wrong(f"{prefix}{key}", f"is unknown; {meant}")
        for key in needed:
            if key not in given:
                self.wrong(f"{prefix}{key}", "is missing")
        return given

    def code(self, key: str, value: object) -> str:
        if value not in self.codes:
            hint = near_misses(str(value), self.codes)
            meant = f"did you mean '{hint[0]}'" if hint else "see `cadran check --explain all`"
            self.wrong(key, f"names the rule {value!r}, which is unknown; {meant}")
        return str(value)

    def text(self, key: str, value: object) -> str:
        if not isinstance(value, str) or not value.strip():
            self.wrong(key, f"is {value!r}; it takes a text")
        return " ".join(str(value).split())

    def texts(self, key: str, value: object) -> tuple[str, ...]:
        if not isinstance(value, list):
            self.wrong(key, f"is {value!r}; it takes a list of texts")
            return ()
        return tuple(self.text(key, item) for item in value)

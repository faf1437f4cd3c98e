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
    languages: [en, fr]                       # of the cards, the first of their own words
    unused_after: 90                          # days without a question to the server
    approvals:                                # what proves them; as the main line has it
      signers: allowed_signers                # SSH keys: "jo@example.com ssh-ed25519 ..."
      gpg: {head.of.sales@example.com: 0123456789ABCDEF0123456789ABCDEF01234567}
      code_owners: true                       # the main line demands reviews of code owners
      required: true                          # unproved versions are findings

Every block may be left out. Unknown keys are errors, as on a card.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

from cadran.core.project.cards import LANGUAGES
from cadran.errors import CardError, near_misses
from cadran.formats import strict_yaml
from cadran.formats.validation import (
    NOT_TWICE,
    Date,
    Strict,
    Takes,
    Text,
    one_of,
    whole_number,
)

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

FILE = "cadran_checks.yml"


class Severity(StrEnum):
    """What a finding does to the gate: an error closes it, a warning is only told."""

    ERROR = "error"
    WARNING = "warning"
    OFF = "off"


def _bare_off(value: Any) -> Any:
    """A severity; YAML 1.1 reads a bare `off` as false."""
    return "off" if value is False else value


def _least_first(limits: tuple[int, int]) -> tuple[int, int]:
    if limits[0] > limits[1]:
        raise ValueError(f"is {list(limits)}; it takes the least and the most, such as [5, 10]")
    return limits


def _some_language(languages: tuple[str, ...]) -> tuple[str, ...]:
    if not languages:
        raise ValueError(f"is empty; name at least one of {', '.join(LANGUAGES)}")
    return languages


@dataclass(frozen=True, slots=True)
class Override(Strict):
    """A severity other than the rule's own, and why."""

    severity: Annotated[Severity, Takes(check=_bare_off, before=True)]
    reason: Text


@dataclass(frozen=True, slots=True)
class Waiver(Strict):
    """A rule that does not hold for one KPI until a day, that day included, and why."""

    rule: Text
    kpi: Text
    reason: Text
    until: Date


@dataclass(frozen=True, slots=True)
class Approvals(Strict):
    """What proves that somebody approved a version.

    Attributes:
        signers: a file of SSH keys in the form of git's allowed signers, from the project on.
        gpg: the fingerprint of each approver's GPG key.
        code_owners: the main line takes nothing without the review of a code owner.
        required: a version that is not merged yet has to be proved, or to wait for a review.
    """

    signers: str = ""
    gpg: Annotated[dict[str, Text], Takes("fingerprints by address")] = field(default_factory=dict)
    code_owners: bool = False
    required: bool = False


@dataclass(frozen=True, slots=True)
class Settings(Strict):
    """What a project decides about its checks.

    Attributes:
        owners: each known owner with the delegates who may approve in the owner's place; None
            where the project names no owners, so that nobody is unknown.
        languages: those that cards are written in: the first is that of `label`, `description`
            and `formula`, each other has a block of its name on the card. Where they are not
            named, English, and French as well once a card has words in it.
    """

    owners: (
        Annotated[
            dict[str, tuple[Text, ...] | None], Takes("owners, each with a list of delegates")
        ]
        | None
    ) = None
    rules: Annotated[dict[str, Override], Takes("codes, each with severity and reason")] = field(
        default_factory=dict
    )
    waivers: Annotated[tuple[Waiver, ...], Takes("a list of rule, kpi, reason and until")] = ()
    strategic_kpis: Annotated[
        tuple[Annotated[int, whole_number(0)], Annotated[int, whole_number(0)]],
        Takes("the least and the most, such as [5, 10]", _least_first),
    ] = (5, 10)
    known_values: tuple[Text, ...] = ("tests/**/{kpi}__*.sql", "tests/**/{kpi}.sql")
    personal: tuple[Text, ...] = ()
    languages: (
        Annotated[
            tuple[Annotated[str, one_of(*LANGUAGES)], ...],
            NOT_TWICE,
            Takes(check=_some_language, schema={"minItems": 1}),
        ]
        | None
    ) = None
    unused_after: Annotated[int, whole_number(1)] = 90
    approvals: Approvals = field(default_factory=Approvals)

    def delegates(self, owner: str) -> tuple[str, ...]:
        """Who may approve in an owner's place; nobody when the owner is unknown."""
        return (self.owners or {}).get(owner) or ()


def read(root: Path | None, codes: Collection[str] | None = None) -> Settings:
    """The settings of a project; the defaults where it has no such file.

    Args:
        root: the project's folder; None for a manifest without a project.
        codes: the codes of every rule there is; None leaves it open which rules are named.

    Raises:
        CardError: a key is unknown, or holds what is not allowed.
    """
    path = root / FILE if root is not None else None
    if path is None or not path.exists():
        return Settings()
    settings = strict_yaml.read_as(Settings, path, CardError, file=FILE)
    codes_by_key = [("rules", code) for code in settings.rules]
    codes_by_key += [(f"waivers[{n}]", waiver.rule) for n, waiver in enumerate(settings.waivers, 1)]
    for key, code in codes_by_key:
        if codes is not None and code not in codes:
            hint = near_misses(code, codes)
            suggestion = f"did you mean '{hint[0]}'" if hint else "see `cadran check --explain all`"
            raise _wrong(key, f"names the rule '{code}', which is unknown; {suggestion}")
    return settings


def parsed(text: str) -> Settings:
    """The settings of a text, such as git has; the defaults of an empty one.

    Raises:
        CardError: a key is unknown, or holds what is not allowed.
    """
    content = strict_yaml.parse(text, FILE, CardError)
    return strict_yaml.parsed_as(Settings, content or {}, FILE, CardError)


def _wrong(key: str, sentence: str) -> CardError:
    return CardError(f"{FILE}, key '{key}': {sentence}.")

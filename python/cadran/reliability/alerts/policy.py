"""Alert policies: `cadran_alerts.yml`, what is watched and who is told.

    store: data/alerts/alerts.sqlite
    every: 15
    page: "https://kpis.example.com/slo/{slo}"
    receivers:
      - {name: on_call, alertmanager: "http://127.0.0.1:9093", severities: [page]}
      - {name: tickets, webhook: "https://hooks.example.com", secret: {variable: HOOK_SECRET}}
      - {name: direction, apprise: {variable: DIRECTION_URL}, lang: fr, subjects: [checkout]}
    rules:
      - {name: budget_burn, burn: {}, keep_firing_for: 5 minutes}
      - {name: budget_low, budget: {remaining_below: 0.2}, severity: ticket}
      - {name: silence, no_data: {after: 15 minutes}, severity: page}
      - {name: late_data, freshness: {}, severity: ticket}
      - name: revenue_drop
        threshold: {kpi: net_revenue, grain: day, weekday: {weeks: 8, deviations: 4}}
        severity: ticket

Unknown keys are errors. A secret is the name of an environment variable or of a file, never itself.
"""

from __future__ import annotations

import hashlib
import os
import string
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from cadran.core.project.cards import Duration, Email  # noqa: TC001 - pydantic reads them
from cadran.errors import AlertsError, QueryError, UnknownNameError, listing
from cadran.formats import periods, strict_yaml

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable

    from cadran.reliability.alerts.machine import Observation

FILE = "cadran_alerts.yml"
PAGE_KEYS = ("slo", "kpi", "subject", "rule")
SELF = "cannot_evaluate"  # the rule that tells that another one cannot be evaluated


def _is_address(url: str) -> str:
    split = urlsplit(url)
    if split.scheme not in {"http", "https"} or not split.hostname:
        raise ValueError(
            f"is {url!r}; it takes an address such as https://hooks.example.com/alerts"
        )
    if split.username or split.password:
        raise ValueError("holds a password; give it as `authorization: {variable: NAME}`")
    return url


def _is_page(url: str) -> str:
    try:
        names = {name for _, name, _, _ in string.Formatter().parse(url) if name is not None}
    except ValueError:
        names = {"{"}
    if names - set(PAGE_KEYS):
        allowed = ", ".join(f"{{{key}}}" for key in PAGE_KEYS)
        raise ValueError(f"is {url!r}; it takes an address in which {allowed} may stand")
    return _is_address(url)


Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=100)]
Address = Annotated[str, AfterValidator(_is_address)]
Page = Annotated[str, AfterValidator(_is_page)]
Severity = Literal["page", "ticket"]
_Names = tuple[Annotated[str, Field(min_length=1)], ...]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Secret(_Strict):
    """Where a secret stands: in an environment variable or in a file."""

    variable: str | None = Field(default=None, min_length=1)
    file: Path | None = None

    @model_validator(mode="after")
    def _one_place(self) -> Secret:
        if (self.variable is None) == (self.file is None):
            raise ValueError("it takes exactly one of variable and file")
        return self

    def read(self, root: Path) -> str:
        """The secret itself.

        Raises:
            AlertsError: it is not there, or empty.
        """
        if self.variable is not None:
            text, place = os.environ.get(self.variable, ""), f"the variable {self.variable}"
        else:
            path = root / (self.file or Path())
            place = f"the file {path}"
            try:
                text = path.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as problem:
                reason = getattr(problem, "strerror", None) or "it is no text"
                raise AlertsError(f"A secret is to stand in {place}: {reason}.") from None
        if not text.strip():
            raise AlertsError(f"A secret is to stand in {place}, which is empty or not there.")
        return text.strip()


class Receiver(_Strict):
    """Who is told, by exactly one of `alertmanager`, `webhook` and `apprise`.

    Attributes:
        name: by which rules name it.
        alertmanager: the address of an Alertmanager, whose v2 API takes alerts.
        webhook: an address that takes a signed JSON document for each step.
        apprise: where a URL of Apprise stands, such as `slack://...` or `mailto://...`.
        secret: of the webhook's signature.
        authorization: the header `Authorization` that webhook or Alertmanager want.
        lang: language of the message.
        severities: only alerts of these; every one where it is left out.
        subjects: only alerts of these services, SLOs or KPIs.
        rules: only alerts of these rules.
    """

    name: Name
    alertmanager: Address | None = None
    webhook: Address | None = None
    apprise: Secret | None = None
    secret: Secret | None = None
    authorization: Secret | None = None
    lang: Literal["en", "fr"] = "en"
    severities: tuple[Severity, ...] = ()
    subjects: _Names = ()
    rules: _Names = ()

    @model_validator(mode="after")
    def _one_way(self) -> Receiver:
        ways = [self.alertmanager, self.webhook, self.apprise]
        if sum(way is not None for way in ways) != 1:
            raise ValueError("a receiver has exactly one of alertmanager, webhook and apprise")
        if (self.secret is None) != (self.webhook is None):
            raise ValueError("a webhook is signed with a secret, and nothing else has one")
        if self.authorization is not None and self.apprise is not None:
            raise ValueError("the URL of Apprise holds what authorizes it")
        return self

    def check(self, root: Path) -> None:
        """Read its secrets, so that one that is not there is missed before it is needed.

        Raises:
            AlertsError: it is not there, or empty.
        """
        for secret in (self.apprise, self.secret, self.authorization):
            if secret is not None:
                secret.read(root)

    def takes(self, observation: Observation, names: Iterable[str]) -> bool:
        """Whether it is told of an alert.

        Args:
            observation: the alert.
            names: what its subject is called: SLO, service, KPI.
        """
        return (
            (not self.severities or observation.severity in self.severities)
            and (not self.subjects or not set(self.subjects).isdisjoint(names))
            and (not self.rules or observation.key.rule in self.rules)
        )


class Burn(_Strict):
    """Each tier of the policy on the SLO's card, both windows above its factor.

    Attributes:
        slos: only these; every one that is no composite where it is left out.
        tiers: only these tiers.
    """

    slos: _Names = ()
    tiers: _Names = ()


class Budget(_Strict):
    """Less than a share of the error budget is left in the SLO's window.

    Attributes:
        slos: only these.
        remaining_below: such as 0.2; a budget that is overspent is below 0.
    """

    slos: _Names = ()
    remaining_below: float = Field(le=1, allow_inf_nan=False)


class NoData(_Strict):
    """An SLO has had no event for so long, by the clock.

    Attributes:
        slos: only these.
        after: such as 15 minutes.
    """

    slos: _Names = ()
    after: Duration


class Freshness(_Strict):
    """A KPI is later than `late_after` on its card.

    Attributes:
        kpis: only these; every one that has a card where it is left out.
    """

    kpis: _Names = ()


class Weekday(_Strict):
    """How far a day may be from the same weekday before.

    Attributes:
        weeks: of how many weeks before.
        deviations: how many median absolute deviations from their median are too many.
        least: a share of the median below which a difference never counts.
        side: whether a value below, above or on both sides counts.
    """

    weeks: int = Field(default=8, ge=4, le=52)
    deviations: float = Field(default=4, gt=0, allow_inf_nan=False)
    least: float = Field(default=0.05, ge=0, allow_inf_nan=False)
    side: Literal["below", "above", "both"] = "below"


class Events(_Strict):
    """A period counts only where a metric, such as the KPI's denominator, reaches a value."""

    metric: str
    at_least: float = Field(gt=0, allow_inf_nan=False)


class Threshold(_Strict):
    """A value of a KPI in its last whole period, by exactly one measure.

    Attributes:
        kpi: its name.
        grain: of the period; one of its card.
        where: conditions, as `cadran query --where` takes them.
        below: the value is below it.
        above: the value is above it.
        target: it is worse than this threshold of the seed of targets.
        weekday: it is unlike the same weekday before; by day only.
        events: fewer events than that, and nothing is said of the period.
    """

    kpi: str
    grain: Literal["day", "week", "month", "quarter", "year"] = "day"
    where: _Names = ()
    below: float | None = Field(default=None, allow_inf_nan=False)
    above: float | None = Field(default=None, allow_inf_nan=False)
    target: Literal["target", "warning", "critical"] | None = None
    weekday: Weekday | None = None
    events: Events | None = None

    @model_validator(mode="after")
    def _one_measure(self) -> Threshold:
        measures = (self.below, self.above, self.target, self.weekday)
        if sum(measure is not None for measure in measures) != 1:
            raise ValueError("it takes exactly one of below, above, target and weekday")
        if self.weekday is not None and self.grain != "day":
            raise ValueError("weekday is for the grain day")
        return self


class Rule(_Strict):
    """One thing that is watched.

    It has exactly one of `burn`, `budget`, `no_data`, `freshness` and `threshold`.

    Attributes:
        name: of the alert.
        severity: page or ticket; a burn has it from the tier.
        pending_for: how long the condition has to hold before it fires; never of a burn, whose
            short window does that.
        keep_firing_for: how long it fires on after the condition ceased to hold.
        label: what it is called, in English.
        fr: what it is called, in French.
        runbook: the address of what to do.
        owner: who is concerned, where it is not the owner of the SLO or KPI.
        to: only these receivers.
    """

    name: Name
    burn: Burn | None = None
    budget: Budget | None = None
    no_data: NoData | None = None
    freshness: Freshness | None = None
    threshold: Threshold | None = None
    severity: Severity | None = None
    pending_for: Duration | None = None
    keep_firing_for: Duration | None = None
    label: str | None = None
    fr: str | None = None
    runbook: Address | None = None
    owner: Email | None = None
    to: tuple[Name, ...] = ()

    @model_validator(mode="after")
    def _is_whole(self) -> Rule:
        kinds = (self.burn, self.budget, self.no_data, self.freshness, self.threshold)
        if sum(kind is not None for kind in kinds) != 1:
            raise ValueError(
                "it watches exactly one of burn, budget, no_data, freshness and threshold"
            )
        if self.burn is not None and (self.severity or self.pending_for):
            raise ValueError(
                "a burn has its severity from its tiers, and its short window instead of"
                " pending_for"
            )
        if self.burn is None and self.severity is None:
            raise ValueError("it needs a severity, page or ticket")
        if self.name == SELF:
            raise ValueError(f"{SELF} is the rule that tells that another cannot be evaluated")
        return self

    @property
    def pending(self) -> dt.timedelta | None:
        """`pending_for` as a length."""
        return periods.length(self.pending_for) if self.pending_for else None

    @property
    def keep_firing(self) -> dt.timedelta | None:
        """`keep_firing_for` as a length."""
        return periods.length(self.keep_firing_for) if self.keep_firing_for else None

    def called(self, lang: str) -> str:
        """What it is called; its name where it says nothing."""
        label = self.fr if lang == "fr" else self.label
        return label or self.label or self.name.replace("_", " ").capitalize()

    @property
    def fingerprint(self) -> str:
        """A hash of what it says, so that a transition tells by which rule it was made."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]


class Policies(_Strict):
    """What is watched and who is told.

    Attributes:
        store: the file that remembers states and transitions.
        every: seconds between two evaluations.
        settle: seconds after the end of a minute until it is evaluated.
        catch_up: how far back minutes are evaluated that came while nobody evaluated.
        give_up_after: for how long a notification is tried again.
        page: the address of the page of an alert; {slo}, {kpi}, {subject} and {rule} are filled in.
        receivers: who is told.
        rules: what is watched.
    """

    store: Path = Path("data/alerts/alerts.sqlite")
    every: float = Field(default=15, ge=0.1, le=3_600)
    settle: float = Field(default=10, ge=0, le=3_600)
    catch_up: Duration = "1 day"
    give_up_after: Duration = "1 day"
    page: Page | None = None
    receivers: tuple[Receiver, ...] = Field(default=(), max_length=100)
    rules: tuple[Rule, ...] = Field(default=(), max_length=1_000)

    @model_validator(mode="after")
    def _names_what_exists(self) -> Policies:
        for kind, names in (
            ("receivers", [receiver.name for receiver in self.receivers]),
            ("rules", [rule.name for rule in self.rules]),
        ):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"{kind} names {', '.join(twice)} more than once")
        receivers = {receiver.name for receiver in self.receivers}
        rules = {rule.name for rule in self.rules} | {SELF}
        for rule in self.rules:
            if set(rule.to) - receivers:
                raise ValueError(
                    f"rule '{rule.name}' tells {listing(sorted(set(rule.to) - receivers))};"
                    f" there are the receivers {listing(sorted(receivers))}"
                )
        for receiver in self.receivers:
            if set(receiver.rules) - rules:
                raise ValueError(
                    f"receiver '{receiver.name}' takes"
                    f" {listing(sorted(set(receiver.rules) - rules))};"
                    f" there are the rules {listing(sorted(rules))}"
                )
        return self

    def rule(self, name: str) -> Rule | None:
        """The rule of that name, if there is one."""
        return next((rule for rule in self.rules if rule.name == name), None)

    def receivers_of(self, observation: Observation, names: Iterable[str]) -> list[Receiver]:
        """Who is told of an alert."""
        rule = self.rule(observation.key.rule)
        names = set(names)
        return [
            receiver
            for receiver in self.receivers
            if receiver.takes(observation, names)
            and (rule is None or not rule.to or receiver.name in rule.to)
        ]


def chat(root: Path, name: str) -> Receiver:
    """The receiver of a project by its name, which is to be reached by Apprise.

    Raises:
        UnknownNameError: nobody of that name is told anything.
        QueryError: it is reached by something else than Apprise.
    """
    receivers = {one.name: one for one in read(root).receivers}
    if name not in receivers:
        none = "cadran_alerts.yml has no receiver yet: add one with `apprise` (docs/alerts.md)."
        raise UnknownNameError("receiver", name, receivers, hint="" if receivers else none)
    if receivers[name].apprise is None:
        raise QueryError(
            f"Receiver '{name}' takes no mail, chat or file: --send needs one with `apprise`."
        )
    return receivers[name]


def read(root: Path, file: Path | None = None) -> Policies:
    """The policies of a project.

    Args:
        root: the folder of the project; paths in the file are relative to it.
        file: another file than `cadran_alerts.yml`.

    Raises:
        AlertsError: there is no such file, a key is unknown, or holds what it cannot hold.
    """
    path = root / FILE if file is None else file
    if not path.exists():
        raise AlertsError(f"There is no {path}: it says what is watched and who is told.")
    policies = strict_yaml.read_as(Policies, path, AlertsError)
    return policies.model_copy(update={"store": root / policies.store})

"""The figures that rules of recommendations look at, from the services that have them.

Each function here gives the subjects of one kind: SLOs, contracts, incidents, alerts, KPIs. None
computes a KPI: values come from the `Source`, the rest from reliability, the record of questions
and the journal. Data that are late or cannot be read make a subject that says so, never one without
findings.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Literal, get_args

from cadran.audit import log, usage
from cadran.core import journal
from cadran.core.days import Days
from cadran.core.project.cards import LANGUAGES
from cadran.core.targets import Status, target_of, targets
from cadran.errors import CadranError
from cadran.formats import periods
from cadran.formats.words import inner, named
from cadran.governance.settlement import settled_months
from cadran.governance.values import Measurer
from cadran.governance.wholeness import Wholeness
from cadran.insight.drivers import by_factor, by_member
from cadran.insight.risk import breach_probability
from cadran.reliability import incidents as incident_rows
from cadran.reliability import sla, status
from cadran.reliability.alerts import policy
from cadran.reliability.alerts.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from cadran.core.project.cards import Card
    from cadran.insight.drivers import Drivers
    from cadran.insight.impact import Impacts
    from cadran.insight.source import Source
    from cadran.reports.period import Period

Kind = Literal["slos", "contracts", "incidents", "alerts", "kpis"]
KINDS: tuple[Kind, ...] = get_args(Kind)
ALL = "all"
BEFORE = 3  # periods before the one that is judged
_MISSED_BEFORE = 11  # of these, in which a KPI may have missed its target as well
MONTHS = 12  # past months of which the next ones are drawn
_MOST_STEPS = 100_000  # transitions of alerts that are read
_MISSED = {Status.WARNING, Status.CRITICAL}
_OF_INCIDENTS = {
    "incidents": "incident_count", "detect_hours": "hours_to_detect_mean",
    "restore_hours": "hours_to_restore_mean", "acknowledge_hours": "hours_to_acknowledge_median",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Problem:
    """Why nothing is said of a subject: a key of the words and what fills them in."""

    key: str
    through: dt.date | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Subject:
    """What a rule is held against, with its figures.

    Attributes:
        kind: of the subject.
        name: that tells it from others of its kind.
        labels: for people, by language.
        owner: who answers for it.
        values: figures by name; None where there is none.
        unit: of its values where they are those of a KPI, or the currency of its money.
        decimals: of its values.
        question: the command that answers the same.
        link: the page of the board, below its address.
        rows: what stands behind the figures.
        problem: why it is not judged.
        more: figures that are dear, asked when a rule has found the subject.
    """

    kind: Kind
    name: str
    labels: Mapping[str, str]
    owner: str
    values: Mapping[str, Any]
    unit: str = ""
    decimals: int = 0
    question: str = ""
    link: str = ""
    rows: tuple[Mapping[str, Any], ...] = ()
    problem: Problem | None = None
    more: Callable[[], Mapping[str, Any]] | None = field(default=None, compare=False)

    def whole(self) -> Subject:
        """It with the figures that are dear."""
        if self.more is None:
            return self
        return replace(self, values={**self.values, **self.more()}, more=None)


class Gathering:
    """The subjects of a period, each kind read once."""

    def __init__(
        self,
        source: Source,
        period: Period,
        *,
        impacts: Impacts | None = None,
        settlements: Mapping[str, Iterable[sla.Settlement]] | None = None,
    ) -> None:
        """Take what is asked.

        Args:
            source: the numbers, for whoever reads the recommendations.
            period: the one that is judged.
            impacts: what its incidents cost, where that was estimated.
            settlements: months of contracts that are known already, by contract.
        """
        self.source, self.layer, self.period = source, source.layer, period
        self._impacts, self._settlements = impacts, settlements
        self._wholeness = Wholeness(self.layer, Measurer(self.layer))
        self._known: dict[Kind, tuple[Subject, ...]] = {}

    def subjects(self, kind: Kind) -> tuple[Subject, ...]:
        """The subjects of a kind; one that says why, where they cannot be read."""
        if kind not in self._known:
            try:
                self._known[kind] = tuple(getattr(self, f"_{kind}")())
            except CadranError as problem:
                self._known[kind] = (self._broken(kind, problem),)
        return self._known[kind]

    def _broken(self, kind: Kind, problem: CadranError) -> Subject:
        found = Problem("broken", reason=str(problem))
        return Subject(kind, ALL, {}, "", {}, problem=found)

    def problem(self, kpi: str) -> Problem | None:
        """Why nothing is said of a KPI in the period; None where its data are whole."""
        try:
            refusal = self._wholeness.refusal(kpi, needs_reach=False)
            through = self.source.complete_through(kpi)
        except CadranError as problem:
            return Problem("broken", reason=str(problem))
        if refusal:
            return Problem("broken", reason=refusal)
        if through is None:
            return Problem("empty")
        return Problem("late", through=through) if through < self.period.end else None

    # SLOs -----------------------------------------------------------------------------------------

    def _slos(self) -> list[Subject]:
        if not any(card.slos for card in self.source.kpis):
            return []
        slos = [slo for slo in status.statuses(self.layer) if self.source.sees(slo.kpi)]
        ids = [slo.slo_id for slo in slos]
        rows = _by(status.history(self.layer, ids, self.period.grain), "slo_id", "period_start")
        months = status.history(self.layer, ids, "month")
        causes: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        for month in self.period.months():
            for row in incident_rows.causes(self.layer, month):
                causes[row["slo_id"]].append(row)
        starts = [self.period.shifted(-back).start for back in range(BEFORE + 1)]
        late = {kpi: self.problem(kpi) for kpi in {slo.kpi for slo in slos}}
        subjects = []
        for slo in slos:
            own = [rows.get((slo.slo_id, start)) for start in starts]
            if own[0] is None:
                continue  # it did not exist, or has no period of this length
            used = [row and row["consumed_rate"] for row in own]
            past = [
                row for row in months
                if row["slo_id"] == slo.slo_id and row["period_start"] <= self.period.end
            ][-MONTHS:]  # fmt: skip
            values = {
                "used": used[0], "used_1": used[1], "used_2": used[2], "used_3": used[3],
                "target": own[0]["target"], "units": own[0]["units"],
                "allowed": own[0]["allowed_units"], "months": len(past),
                "breach": breach_probability(
                    [row["bad_units"] for row in past], [row["allowed_units"] for row in past]
                ),
                **self._cause(slo.subject, causes[slo.slo_id]),
            }  # fmt: skip
            subjects.append(
                Subject(
                    "slos", slo.slo_id, {lang: _title(slo, lang) for lang in LANGUAGES}, slo.owner,
                    values, unit=self._currency(), question=f"cadran slo show {slo.slo_id}",
                    link=f"levels/{slo.slo_id}", problem=late[slo.kpi],
                    rows=tuple(
                        {"period_start": row["period_start"], "consumed_rate": row["consumed_rate"]}
                        for row in own if row
                    ),
                )
            )  # fmt: skip
        return subjects

    def _cause(self, service: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
        """The cause that took most of an SLO in the period, and what its incidents cost."""
        bad: defaultdict[str, Decimal] = defaultdict(Decimal)
        incidents: defaultdict[str, int] = defaultdict(int)
        for row in rows:
            bad[row["cause"] or ""] += Decimal(row["bad_units"] or 0)
            incidents[row["cause"] or ""] += row["incidents"]
        causes = {name: units for name, units in bad.items() if incidents[name] and name}
        whole = sum(bad.values())
        if not causes or not whole:
            return dict.fromkeys(("cause", "cause_share", "cause_incidents", "cause_cost"))
        name = max(causes, key=lambda cause: (causes[cause], cause))
        return {
            "cause": name, "cause_share": causes[name] / whole,
            "cause_incidents": incidents[name], "cause_cost": self._cost(name, service),
        }  # fmt: skip

    def _cost(self, cause: str, service: str) -> Any:
        """What the incidents of a cause cost, with bounds; None where that was not estimated."""
        if self._impacts is None:
            return None
        chosen = tuple(
            impact for impact in self._impacts.impacts
            if impact.incident["cause"] == cause and service in {ALL, impact.incident["service"]}
        )  # fmt: skip
        totals = replace(self._impacts, impacts=chosen).totals()
        return next(
            (t.interval for t in totals if t.outcome == "net_revenue" and t.is_measurable), None
        )

    def _currency(self) -> str:
        return next((card.unit for card in self.source.kpis if card.name == "net_revenue"), "")

    # Contracts ------------------------------------------------------------------------------------

    def _contracts(self) -> list[Subject]:
        root = self.layer.project.root
        contracts = sla.read_contracts(root / "contracts") if root is not None else {}
        contracts = {
            name: contract for name, contract in contracts.items()
            if self.source.sees(contract.kpi)
        }  # fmt: skip
        if not contracts:
            return []
        register = status.exclusions(self.layer)
        slos = {slo.slo_id: slo for slo in status.statuses(self.layer)}
        rows = _by(status.history(self.layer, slos, self.period.grain), "slo_id", "period_start")
        return [self._contract(contract, register, slos, rows) for contract in contracts.values()]

    def _contract(
        self,
        contract: sla.Contract,
        register: list[dict[str, Any]],
        slos: Mapping[str, status.Status],
        rows: Mapping[tuple[Any, ...], dict[str, Any]],
    ) -> Subject:
        problem = self.problem(contract.kpi)
        months = [] if problem else self._months(contract)
        nets = [month.net for month in months if month.net is not None]
        beside = [
            rows[slo_id, self.period.start]["consumed_rate"] for slo_id, slo in slos.items()
            if slo.kpi == contract.kpi and slo.subject in contract.services
            and (slo_id, self.period.start) in rows
        ]  # fmt: skip
        cap = contract.exclusions.cap_minutes
        values = {
            "months": len(months), "breached": sum(not month.is_kept for month in months),
            "worst_net": min(nets) if nets else None, "promise": contract.target,
            "credits": sum((month.credit for month in months), Decimal(0)),
            "slos": len(beside), "slos_overspent": sum((used or 0) > 1 for used in beside),
            "cap_minutes": cap,
            "maintenance_minutes": None if cap is None else max(
                _registered(contract, register, month) for month in self.period.months()
            ),
        }  # fmt: skip
        return Subject(
            "contracts", contract.contract, {"en": contract.title, "fr": contract.fr.title},
            contract.owner, values, unit=contract.currency, decimals=2,
            question=f"cadran sla statement {contract.contract} {self.period.months()[-1]:%Y-%m}",
            link="levels", problem=problem,
            rows=tuple(
                {"month": each.month, "net": each.net and float(each.net), "credit": each.credit}
                for each in months
            ),
        )  # fmt: skip

    def _months(self, contract: sla.Contract) -> list[sla.Settlement]:
        """The months of the period under contract: those known, else settled, else computed."""
        wanted = [
            month for month in self.period.months()
            if month >= contract.starts.replace(day=1)
            and (contract.ends is None or month <= contract.ends)
        ]  # fmt: skip
        given = (self._settlements or {}).get(contract.contract, ())
        known = {month.month: month for month in given}
        if not known.keys() >= set(wanted):
            known |= {
                settled.settlement.month: settled.settlement
                for settled in settled_months(self.layer, contract.contract, newest=True)
            }
        return [
            known[month] if month in known else sla.settle(self.layer, contract, month)
            for month in wanted
        ]

    # Incidents and alerts -------------------------------------------------------------------------

    def _incidents(self) -> list[Subject]:
        if not all(self.source.sees(name) for name in _OF_INCIDENTS.values()):
            return []
        found = self.source.rows(
            tuple(_OF_INCIDENTS.values()), start=self.period.start, end=self.period.end
        )
        values = {name: found[0][kpi] if found else None for name, kpi in _OF_INCIDENTS.items()}
        card = self._card(_OF_INCIDENTS["acknowledge_hours"])
        target = target_of(targets(self.layer), card, self.period.grain, self.period.start)
        values["acknowledge_target"] = target.target if target else None
        names = " ".join(_OF_INCIDENTS.values())
        question = f"cadran query {names} --start {self.period.start} --end {self.period.end}"
        return [
            Subject("incidents", ALL, {}, card.owner.business, values, question=question,
                    link="incidents", problem=self.problem(_OF_INCIDENTS["incidents"]))
        ]  # fmt: skip

    def _alerts(self) -> list[Subject]:
        root = self.layer.project.root
        if root is None or not (root / policy.FILE).exists():
            return []
        policies = policy.read(root)
        if not policies.store.exists():
            return []
        with closing(Store(policies.store, "recommendations")) as store:
            steps = store.history(most=_MOST_STEPS)
        services = {
            slo.slo_id: slo.subject for slo in status.statuses(self.layer)
            if self.source.sees(slo.kpi)
        }  # fmt: skip
        reported = [
            row for row in incident_rows.incidents(self.layer) if row["origin"] == "reported"
        ]
        fired: defaultdict[str, list[bool]] = defaultdict(list)
        for step in steps:
            at = dt.datetime.fromisoformat(step["at"]).replace(tzinfo=None)
            if (
                step["to_state"] == "firing" and step["from_state"] != "keep firing"
                and step["subject"] in services
                and self.period.start <= at.date() <= self.period.end
            ):  # fmt: skip
                fired[step["rule"]].append(_during(at, services[step["subject"]], reported))
        labels = {rule.name: {"en": rule.label or rule.name, "fr": rule.fr or rule.name}
                  for rule in policies.rules}  # fmt: skip
        kpi = _OF_INCIDENTS["incidents"]
        problem = self.problem(kpi) if self.source.sees(kpi) else None
        owner = next(iter(sorted({slo.owner for slo in status.statuses(self.layer)})), "")
        return [
            Subject(
                "alerts", name, labels.get(name, {}), owner,
                {"fired": len(hits), "useful": sum(hits)},
                question=f"cadran alerts history {name}", link="levels",
                problem=problem,
            )
            for name, hits in sorted(fired.items())
        ]  # fmt: skip

    # KPIs -----------------------------------------------------------------------------------------

    def _kpis(self) -> list[Subject]:
        cards = [card for card in self.source.kpis if card.status != "deprecated"]
        timed = [card for card in cards if self.period.grain in card.grains]
        goals = targets(self.layer)
        steps = [self.period.shifted(-back) for back in range(_MISSED_BEFORE + 1)]
        aimed = [
            card for card in timed
            if target_of(goals, card, self.period.grain, self.period.start) is not None
        ]  # fmt: skip
        values = self._values(aimed, steps[-1].start)
        asked, decisions = self._asked(cards), self._decisions()
        as_of = max(self.period.end, self.layer.last_day())
        subjects = []
        for card in cards:
            series, problem = values.get(card.name, ({}, None))
            target = target_of(goals, card, self.period.grain, self.period.start)
            missed = 0
            for step in steps:
                goal = target_of(goals, card, self.period.grain, step.start)
                if goal is None or not _is_missed(goal, series.get(step.start), card):
                    break
                missed += 1
            figures = {
                "value": series.get(self.period.start), "target": target.target if target else None,
                "missed": missed if target and series else None, "asked": asked.get(card.name),
                "decisions": decisions.get(card.name, 0), "review_by": card.review_by,
                "review_days": (card.review_by - as_of).days,
                "is_draft": int(card.status == "draft"),
                "driver": None, "driver_effect": None, "driver_base": None,
            }  # fmt: skip
            days = Days(self.period.start, self.period.end)
            subjects.append(
                Subject(
                    "kpis", card.name, {lang: card.localized(lang).label for lang in ("en", "fr")},
                    card.owner.business, figures, unit=card.unit, decimals=card.decimals,
                    question=f"cadran query {card.name} --group-by metric_time__{self.period.grain}"
                    f" --start {steps[-1].start} --end {self.period.end}",
                    link=f"kpis/{card.name}", problem=problem,
                    rows=tuple(
                        {"period_start": start, "value": value}
                        for start, value in sorted(series.items())
                    ),
                    more=cache(partial(self._driver, card, days)),  # for each language
                )
            )  # fmt: skip
        return subjects

    def _values(
        self, cards: list[Card], first: dt.date
    ) -> dict[str, tuple[dict[dt.date, Any], Problem | None]]:
        """Values by period, all KPIs in one question; one by one only where that fails."""
        name = f"metric_time__{self.period.grain}"
        found: dict[str, tuple[dict[dt.date, Any], Problem | None]] = {}
        groups = [cards] if cards else []
        while groups:
            group = groups.pop()
            names = [card.name for card in group]
            try:
                rows = self.source.rows(names, [name], start=first, end=self.period.end)
            except CadranError as problem:
                if len(group) == 1:
                    found[names[0]] = {}, Problem("broken", reason=str(problem))
                else:
                    groups += [[card] for card in group]
                continue
            for kpi in names:
                found[kpi] = {row[name]: row[kpi] for row in rows}, self.problem(kpi)
        return found

    def _driver(self, card: Card, days: Days) -> dict[str, Any]:
        """What contributed most to the change since the year before, or the period before."""
        for step in (-12 // periods.MONTHS[self.period.grain], -1):
            base = self.period.shifted(step)
            before = Days(base.start, base.end)
            attempts: list[Callable[[], Drivers]] = [
                partial(by_factor, self.source, card.name, days, before)
            ]
            attempts += [
                partial(by_member, self.source, card.name, by, days, before)
                for by in card.dimensions
            ]
            for attempt in attempts:
                with suppress(CadranError):
                    split = attempt()
                    if split.contributions:
                        first = split.contributions[0]
                        return {
                            "driver": first.label or str(first.name),
                            "driver_effect": first.amount, "driver_base": base.text,
                        }  # fmt: skip
        return {}

    def _asked(self, cards: Iterable[Card]) -> dict[str, int]:
        """Questions by KPI in the period; none where the record does not cover all of it."""
        root = self.layer.project.root
        if root is None:
            return {}
        folder = usage.folder_of(root)
        began = log.began(folder)
        if began is None or began.date() > self.period.start:
            return {}
        entries = [
            entry for entry in log.read(folder, _midnight(self.period.start)).entries
            if entry.at < _midnight(self.period.end + dt.timedelta(days=1))
        ]  # fmt: skip
        used = usage.of(entries, [card.name for card in cards])
        return {name: kpi.questions for name, kpi in used.items()}

    def _decisions(self) -> dict[str, int]:
        """Notes on a KPI and decisions about it since the first period that may count as missed."""
        since = _midnight(self.period.shifted(-BEFORE).start)
        counts: defaultdict[str, int] = defaultdict(int)
        kinds: tuple[journal.Kind, ...] = ("notes", "decisions")
        for kind in kinds:
            for entry in journal.entries(self.layer.project.root, kind):
                if entry.at >= since:
                    counts[str(entry.content.get("kpi") or entry.content.get("subject") or "")] += 1
        return counts

    def _card(self, kpi: str) -> Card:
        return next(card for card in self.source.kpis if card.name == kpi)


def _title(slo: status.Status, lang: str) -> str:
    """An SLO with the service that it is of, before what a rule says of it."""
    label = slo.label_fr if lang == "fr" else slo.label_en
    if slo.subject == ALL:
        return label
    service = slo.subject_labels.get(lang) or named(slo.subject, lang)
    return f"{service}, {inner(label)}"


def _is_missed(goal: Any, value: Any, card: Card) -> bool:
    """Worse than the warning; where none is set, worse than the target."""
    judged = goal.judge(value, card.direction)
    return judged in _MISSED or (judged is Status.NEAR and goal.warning is None)


def _by(rows: Iterable[dict[str, Any]], *keys: str) -> dict[tuple[Any, ...], dict[str, Any]]:
    return {tuple(row[key] for key in keys): row for row in rows}


def _midnight(day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(), dt.UTC)


def _during(at: dt.datetime, service: str, reported: Iterable[dict[str, Any]]) -> bool:
    return any(
        service in {ALL, row["service"]} and row["started_at"] <= at
        and (row["restored_at"] is None or at <= row["restored_at"] + sla.MINUTE)
        for row in reported
    )  # fmt: skip


def _registered(contract: sla.Contract, register: Iterable[dict[str, Any]], month: dt.date) -> int:
    """Minutes of a month for which the contract's kinds of exclusion were registered, united."""
    first, last = contract.month(month)
    spans = sorted(
        (max(row["starts_at"], first), min(row["ends_at"], last)) for row in register
        if row["kind"] in contract.exclusions.kinds
        and (row["subject"] is None or row["subject"] in contract.services)
        and row["starts_at"] < last and row["ends_at"] > first
    )  # fmt: skip
    minutes, reached = 0, first
    for starts_at, ends_at in spans:
        begin = max(starts_at, reached)
        if ends_at > begin:
            minutes += int((ends_at - begin) / sla.MINUTE)
            reached = ends_at
    return minutes

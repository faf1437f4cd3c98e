"""A recommendation, and how it is written in English and French: as figures, and on a terminal."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal

from cadran.formats import numbers
from cadran.insight.counterfactual import Interval
from cadran.insight.wording import Words
from cadran.reliability.sla_statement import percent
from cadran.reports.expression import Expression
from cadran.reports.period import Period
from cadran.reports.rules import shipped
from cadran.reports.speech import Speech
from cadran.reports.subjects import ALL

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cadran.reports.rules import Confidence, Figure, Rule
    from cadran.reports.subjects import Problem, Subject

Status = Literal["open", "held", "accepted", "rejected", "done"]
_NAMED = 3  # subjects of one reason that are named


@dataclass(frozen=True, slots=True)
class Evidence:
    """A figure that a recommendation rests on.

    Attributes:
        name: of the figure in the rule.
        label: for people.
        value: exactly; a `%` is a fraction, money in currency units.
        unit: of it.
        text: as it is written.
        question: the command that answers the same.
        link: the page of the board with it, below the board's address.
        rows: what stands behind it.
    """

    name: str
    label: str
    value: Any
    unit: str
    text: str
    question: str
    link: str
    rows: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Cost:
    """What it costs to leave things as they are.

    Attributes:
        amount: in currency units.
        currency: its code.
        text: as it is written.
        low: the lower end of the interval of an estimate; None of what is exact.
        high: the upper end.
    """

    amount: Any
    currency: str
    text: str
    low: Any = None
    high: Any = None


@dataclass(frozen=True, slots=True)
class Recommendation:
    """What is recommended, in one language.

    Attributes:
        id: `rule/subject/period`.
        rule: that found it.
        subject: what it is about.
        title: the finding as a sentence.
        because: what it rests on; of one that is held back, why.
        action: what to do.
        effect: what that is expected to bring.
        owner: who answers for it.
        cost: of leaving it, where one is known.
        confidence: high, medium or low.
        evidence: the figures that it rests on.
        status: open, held back, or as it was last decided.
        decided_by: who decided; empty where nobody has.
        note: what was said with it.
    """

    id: str
    rule: str
    subject: str
    title: str
    because: str
    action: str
    effect: str
    owner: str
    cost: Cost | None
    confidence: Confidence
    evidence: tuple[Evidence, ...]
    status: Status = "open"
    decided_by: str = ""
    note: str = ""

    def to_row(self) -> dict[str, Any]:
        """It as one row, for CSV and JSON."""
        return {
            "id": self.id, "status": self.status, "title": self.title, "because": self.because,
            "action": self.action, "effect": self.effect, "owner": self.owner,
            "cost": self.cost.amount if self.cost else None,
            "currency": self.cost.currency if self.cost else None,
            "confidence": self.confidence, "decided_by": self.decided_by, "note": self.note,
            "evidence": [f"{entry.label}: {entry.text}" for entry in self.evidence],
            "questions": sorted({entry.question for entry in self.evidence if entry.question}),
        }  # fmt: skip


class Writer:
    """Writes what rules found about a period in one language."""

    def __init__(self, of: Period, lang: str, own: Mapping[str, str] | None = None) -> None:
        """Take the period, `en` or `fr`, and what the project calls members."""
        self._of, self._lang = of, lang
        self._words = Words(lang, more=own)

    def recommendation(
        self, name: str, rule: Rule, subject: Subject, when: Expression
    ) -> Recommendation:
        """What a rule says of a subject."""
        known = {**subject.values, **rule.bounds(subject.name)}
        places = {key: self._written(rule, subject, key, value) for key, value in known.items()}
        places |= {
            "label": self._label(subject), "owner": subject.owner,
            "period": self._words.period(self._of.start, self._of.grain),
            "before": self._words.period(self._of.shifted(-1).start, self._of.grain),
        }  # fmt: skip
        texts = {
            key: getattr(rule, key).of(self._lang).format(**places)
            for key in ("title", "because", "action", "effect")
        }
        return Recommendation(
            id=self._id(name, subject), rule=name, subject=subject.name, **texts,
            owner=rule.owner or subject.owner, cost=self._cost(rule, subject),
            confidence=_confidence(rule, known),
            evidence=tuple(self._evidence(rule, subject, when)),
        )  # fmt: skip

    def held(
        self, name: str, rule: Rule, subjects: list[Subject], problem: Problem
    ) -> Recommendation:
        """That subjects are not judged, and why: the same for all of them."""
        through = self._words.day(problem.through) if problem.through else ""
        because = self._say(problem.key, through=through, reason=problem.reason)
        labels = [self._label(subject) for subject in subjects]
        label = ", ".join(labels[:_NAMED])
        if len(labels) > _NAMED:
            label = self._say("more", labels=label, number=str(len(labels) - _NAMED))
        subject = subjects[0].name if len(subjects) == 1 else ALL
        owners = {each.owner for each in subjects}
        return Recommendation(
            id=f"{name}/{subject}/{self._of.text}", rule=name, subject=subject,
            title=self._say("held", label=f"{name}, {label}"), because=because,
            action=self._say("wait"), effect="",
            owner=rule.owner or (owners.pop() if len(owners) == 1 else ""), cost=None,
            confidence="low", evidence=(), status="held",
        )  # fmt: skip

    def _id(self, name: str, subject: Subject) -> str:
        return f"{name}/{subject.name}/{self._of.text}"

    def _say(self, key: str, **places: str) -> str:
        return shipped().words[key].of(self._lang).format(**places)

    def _label(self, subject: Subject) -> str:
        if subject.name == ALL and not subject.labels:
            return self._say("all")
        return subject.labels.get(self._lang) or subject.name

    def _evidence(self, rule: Rule, subject: Subject, when: Expression) -> Iterable[Evidence]:
        """The figures of the expression and of the text, in the order in which they are listed."""
        figures = shipped().figures[subject.kind]
        text = rule.because.of(self._lang)
        for key, figure in figures.items():
            value = subject.values.get(key)
            if value is None or not (key in when.names or f"{{{key}}}" in text):
                continue
            yield Evidence(
                name=key, label=figure.of(self._lang), value=value,
                unit=_unit(figure.unit, subject), text=self._figure(figure, subject, value),
                question=subject.question, link=subject.link, rows=subject.rows,
            )  # fmt: skip

    def _written(self, rule: Rule, subject: Subject, key: str, value: Any) -> str:
        if key in rule.parameters:
            unit = shipped().parameters.get(key, "")
            return self._value(value, unit, subject, 0 if unit != "money" else 2)
        return self._figure(shipped().figures[subject.kind][key], subject, value)

    def _figure(self, figure: Figure, subject: Subject, value: Any) -> str:
        is_own = figure.unit in {"kpi", "change"}
        decimals = subject.decimals if is_own else figure.decimals
        return self._value(value, figure.unit, subject, decimals)

    def _value(self, value: Any, unit: str, subject: Subject, decimals: int) -> str:
        match unit:
            case _ if value is None:
                text = numbers.DASH
            case _ if isinstance(value, Interval):
                text = self._interval(value, subject.unit)
            case "text":
                text = self._words.name(str(value))
            case "period":
                base = Period.read(value)
                text = self._words.period(base.start, base.grain)
            case "date":
                text = self._words.day(value)
            case "availability":
                text = percent(Fraction(value), self._lang, decimals)
            case "hours":
                text = self._words.hours(float(value))
            case "change":
                text = numbers.change_of(
                    value, subject.unit, decimals=subject.decimals, lang=self._lang
                )
            case _:
                text = numbers.measure(
                    _plain(value), _unit(unit, subject), decimals=decimals, lang=self._lang
                )
        return text

    def _interval(self, found: Interval, unit: str) -> str:
        shown = {
            name: numbers.measure(value, unit, lang=self._lang)
            for name, value in
            (("value", found.estimate), ("low", found.lower), ("high", found.upper))
        }  # fmt: skip
        return self._say("estimate", **shown)

    def _cost(self, rule: Rule, subject: Subject) -> Cost | None:
        value = subject.values.get(rule.cost) if rule.cost else None
        if isinstance(value, Interval):
            text = self._interval(value, subject.unit)
            return Cost(value.estimate, subject.unit, text, value.lower, value.upper)
        if not value:
            return None
        text = numbers.measure(value, subject.unit, decimals=2, lang=self._lang)
        return Cost(value, subject.unit, text)


def _unit(unit: str, subject: Subject) -> str:
    if unit in {"kpi", "change", "money"}:
        return subject.unit
    return "%" if unit == "availability" else unit


def _plain(value: Any) -> Any:
    """A number that the formats take: those of sums of fractions are none."""
    return float(value) if hasattr(value, "numerator") and not isinstance(value, int) else value


def _confidence(rule: Rule, values: Mapping[str, Any]) -> Confidence:
    for level in ("high", "medium"):
        text = rule.confidence.get(level)
        if text and Expression(text).holds(values):
            return level
    return "low"


def text(recommendations: Iterable[Recommendation], lang: str) -> str:
    """Recommendations as they are read on a terminal."""
    words = {key: entry.of(lang) for key, entry in shipped().words.items()}
    speech = Speech(lang)
    blocks = []
    for entry in recommendations:
        lines = [entry.title, f"  {entry.because}", f"  {entry.action}"]
        if entry.effect:
            effect = entry.effect
            if lang == "fr":  # no capital after a colon
                effect = effect[0].lower() + effect[1:]
            lines.append(f"  {words['expects']} {effect}")
        if entry.cost:
            lines.append(f"  {words['costs']} {entry.cost.text}")
        lines = [speech.print(line) for line in lines]
        status = words[f"is_{entry.status}"]
        decided = f", {entry.decided_by}: {entry.note}" if entry.decided_by else ""
        confidence = words[entry.confidence] if entry.status != "held" else ""
        about = (f"{status}{decided}", entry.owner, confidence)
        lines.append(f"  {' · '.join(part for part in about if part)}")
        lines.append(f"  {entry.id}")
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks) or words["nothing"]

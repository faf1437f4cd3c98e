"""What is recommended for a period, what became of it, and who decided.

Rules are written in YAML (see `rules`), their figures come from the services that have them (see
`figures`). A recommendation is named by rule, subject and period, so it is the same one whenever it
is asked. Decisions about it are entries of the journal, which are never taken back: a later one
says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

from cadran.core.journal import Journal, folder_of
from cadran.core.journal import entries as entries_of
from cadran.errors import QueryError, UnknownNameError
from cadran.formats import numbers, periods
from cadran.governance.close import period as period_of
from cadran.insight.counterfactual import Interval
from cadran.insight.source import Source
from cadran.insight.wording import Words
from cadran.reports.expression import Expression, exact
from cadran.reports.figures import ALL, Gathering, Period
from cadran.reports.rules import Confidence, read, shipped
from cadran.reports.said import packs
from cadran.reports.say import Speech

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Mapping

    from cadran.core.journal import Entry
    from cadran.core.layer import Layer
    from cadran.insight.impact import Impacts
    from cadran.reliability.sla import Settlement
    from cadran.reports.figures import Problem, Subject
    from cadran.reports.rules import Figure, Rule

Decision = Literal["accepted", "rejected", "done"]
DECISIONS: tuple[Decision, ...] = get_args(Decision)
Status = Literal["open", "held", "accepted", "rejected", "done"]
_LONGEST = 2000  # characters of a note
_NAMED = 3  # subjects of one reason that are named
_GRAINS = ("month", "quarter", "year")


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


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision about a recommendation.

    Attributes:
        id: of the recommendation.
        decision: accepted, rejected or done.
        title: of the recommendation, by language, as it was then.
        note: why.
        by: who decided.
        at: when, in UTC.
    """

    id: str
    decision: Decision
    title: Mapping[str, str]
    note: str
    by: str
    at: dt.datetime


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a recommendation of an earlier period.

    Attributes:
        id: of the recommendation.
        title: as it was.
        status: open, or as it was last decided.
        decided_by: who decided; empty where nobody has.
        note: what was said with it.
        is_back: whether its rule finds the same subject again in the period after.
    """

    id: str
    title: str
    status: Status
    decided_by: str
    note: str
    is_back: bool


def period(layer: Layer, text: str | None = None) -> Period:
    """The period that a text names; by default the last quarter that is whole in the data.

    Raises:
        QueryError: it is no month, quarter or year.
    """
    if text is None:
        return Period.of(periods.last_complete(layer.last_day(), "quarter"), "quarter")
    try:
        grain, start, _ = period_of(text)
    except QueryError:
        raise QueryError(
            f"'{text}' is no month, quarter or year: write 2026-09, 2026-Q3 or 2026."
        ) from None
    if grain not in _GRAINS:
        raise QueryError(
            f"'{text}' is a {grain}: recommendations are made for 2026, 2026-Q3 or 2026-10."
        )
    return Period.of(start, grain)


def recommendations(  # noqa: PLR0913 - what is asked, and what is known already
    layer: Layer,
    of: Period | str | None = None,
    *,
    lang: str = "en",
    source: Source | None = None,
    impacts: Impacts | None = None,
    settlements: Mapping[str, Iterable[Settlement]] | None = None,
) -> tuple[Recommendation, ...]:
    """What is recommended for a period, rule by rule, the gravest subject first.

    Args:
        layer: the layer of a built project.
        of: the period; by default the last whole quarter.
        lang: of the texts.
        source: the numbers as whoever reads them may see them; by default all of them.
        impacts: what its incidents cost, where that was estimated: then causes have a cost.
        settlements: months of contracts that were settled or computed already, by contract.

    Raises:
        QueryError: it is no month, quarter or year.
        CardError: the project's rules say what they must not.
        JournalError: the journal was changed.
    """
    return in_languages(
        layer, of, (lang,), source=source, impacts=impacts, settlements=settlements
    )[lang]


def in_languages(  # noqa: PLR0913 - as `recommendations`
    layer: Layer,
    of: Period | str | None = None,
    langs: Iterable[str] = ("en", "fr"),
    *,
    source: Source | None = None,
    impacts: Impacts | None = None,
    settlements: Mapping[str, Iterable[Settlement]] | None = None,
) -> dict[str, tuple[Recommendation, ...]]:
    """What is recommended for a period in several languages, asked once; as `recommendations`."""
    judged = of if isinstance(of, Period) else period(layer, of)
    gathering = Gathering(
        source or Source.of(layer), judged, impacts=impacts, settlements=settlements
    )
    last = {entry.id: entry for entry in decisions(layer)}
    rules = read(layer.project.root)
    by_lang = {}
    for lang in langs:
        writer = Writer(judged, lang)
        by_lang[lang] = tuple(
            _with(recommendation, last.get(recommendation.id))
            for name, rule in rules.items()
            for recommendation in judge(name, rule, gathering.subjects(rule.of), writer)
        )
    return by_lang


def judge(
    name: str, rule: Rule, subjects: Iterable[Subject], writer: Writer
) -> list[Recommendation]:
    """What one rule recommends of its subjects, the gravest first; then what is held back, and why.

    A rule on cards and records alone is judged whatever the data are.
    """
    when, weight = Expression(rule.when), Expression(rule.weight)
    fired: list[tuple[Any, Recommendation]] = []
    held: dict[Problem, list[Subject]] = {}
    figures = shipped().figures[rule.of]
    needs_data = any(not figures[used].still for used in when.names if used in figures)
    for subject in subjects:
        if subject.problem is not None and (needs_data or not subject.values):
            held.setdefault(subject.problem, []).append(subject)
            continue
        if not when.holds({**subject.values, **rule.bounds(subject.name)}):
            continue
        whole = subject.whole()
        values = {**whole.values, **rule.bounds(subject.name)}
        order = exact(weight.of(values)) or 0
        fired.append((order, writer.recommendation(name, rule, whole, when)))
    fired.sort(key=lambda pair: (-pair[0], pair[1].subject))
    return [recommendation for _, recommendation in fired] + [
        writer.held(name, rule, alike, problem) for problem, alike in held.items()
    ]


class Writer:
    """Writes what rules found about a period in one language."""

    def __init__(self, of: Period, lang: str) -> None:
        """Take the period and `en` or `fr`."""
        self._of, self._lang = of, lang
        self._words = Words(lang)

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
            case "date":
                text = self._words.day(value)
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
    return subject.unit if unit in {"kpi", "change", "money"} else unit


def _plain(value: Any) -> Any:
    """A number that the formats take: those of sums of fractions are none."""
    return float(value) if hasattr(value, "numerator") and not isinstance(value, int) else value


def _confidence(rule: Rule, values: Mapping[str, Any]) -> Confidence:
    for level in ("high", "medium"):
        text = rule.confidence.get(level)
        if text and Expression(text).holds(values):
            return level
    return "low"


def _with(recommendation: Recommendation, decided: Decided | None) -> Recommendation:
    if decided is None:
        return recommendation
    status = recommendation.status if recommendation.status == "held" else decided.decision
    return replace(recommendation, status=status, decided_by=decided.by, note=decided.note)


def text(found: Iterable[Recommendation], lang: str) -> str:
    """Recommendations as they are read on a terminal."""
    words = {key: entry.of(lang) for key, entry in shipped().words.items()}
    speech = Speech(lang)
    blocks = []
    for entry in found:
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


# Decisions ----------------------------------------------------------------------------------------


def decisions(layer: Layer, of: str | None = None) -> tuple[Decided, ...]:
    """Every decision about recommendations, in the order in which they were made.

    Args:
        layer: the layer.
        of: only those about this recommendation.

    Raises:
        JournalError: the journal was changed.
    """
    every = (_decided(entry) for entry in entries_of(layer.project.root, "decisions"))
    return tuple(decided for decided in every if of is None or decided.id == of)


def decide(layer: Layer, of: str, decision: Decision, *, note: str, by: str) -> Decided:
    """Write down what was decided about a recommendation.

    Args:
        layer: the layer of a built project.
        of: the id of the recommendation.
        decision: accepted, rejected or done; done is what was accepted before.
        note: why, or what was done.
        by: who decides.

    Raises:
        UnknownNameError: there is no such recommendation.
        QueryError: it is held back, was decided so before, is done without being accepted, or there
            is no note.
        JournalError: it cannot be written.
    """
    note = note.strip()
    if not note or len(note) > _LONGEST:
        raise QueryError(f"A decision takes a note of 1 to {_LONGEST} characters: why it is so.")
    titles = {
        lang: {entry.id: entry for entry in found}
        for lang, found in in_languages(layer, _period_in(of)).items()
    }
    if of not in titles["en"]:
        raise UnknownNameError("recommendation", of, titles["en"])
    if titles["en"][of].status == "held":
        raise QueryError(
            f"{of} is held back, so there is nothing to decide: {titles['en'][of].because}"
        )

    def check(entries: tuple[Entry, ...]) -> None:
        last = next((e.content["decision"] for e in reversed(entries) if e.content["id"] == of), "")
        if last == decision:
            raise QueryError(f"{of} was {decision} before.")
        if decision == "done" and last != "accepted":
            raise QueryError(f"{of} was not accepted, so it cannot be done: accept it first.")

    entry = Journal(folder_of(layer.project.root), "decisions").append(
        {
            "id": of, "subject": titles["en"][of].subject, "decision": decision,
            "title": {lang: titles[lang][of].title for lang in titles}, "note": note,
        },
        by=by, check=check,
    )  # fmt: skip
    return _decided(entry)


def outcomes(
    layer: Layer,
    of: Period | str,
    *,
    lang: str = "en",
    found: Iterable[Recommendation] | None = None,
) -> tuple[Outcome, ...]:
    """What became of the recommendations of the period before.

    Those are meant that the last pack of that period said, and those that were decided about.

    Args:
        layer: the layer of a built project.
        of: the period after.
        lang: of the titles.
        found: the recommendations of that period, where they are known already.
    """
    after = of if isinstance(of, Period) else period(layer, of)
    before = after.shifted(-1)
    now = recommendations(layer, after, lang=lang) if found is None else found
    again = {(entry.rule, entry.subject) for entry in now if entry.status != "held"}
    last = {entry.id: entry for entry in decisions(layer)}
    published = packs(layer, before.text)
    said = published[-1].recommendations if published else {}
    titles = {name: title.get(lang, name) for name, title in said.items()}
    titles |= {
        entry.id: entry.title.get(lang, entry.id) for entry in last.values()
        if _period_in(entry.id) == before.text
    }  # fmt: skip
    results = []
    for name, title in titles.items():
        rule, subject = name.split("/")[0], "/".join(name.split("/")[1:-1])
        decided = last.get(name)
        results.append(
            Outcome(
                name, title, decided.decision if decided else "open",
                decided.by if decided else "", decided.note if decided else "",
                (rule, subject) in again,
            )
        )  # fmt: skip
    return tuple(results)


def _period_in(name: str) -> str:
    return name.rpartition("/")[2]


def _decided(entry: Entry) -> Decided:
    content = entry.content
    return Decided(
        str(content["id"]), content["decision"], dict(content["title"]), str(content["note"]),
        entry.by, entry.at,
    )  # fmt: skip

"""What is recommended for a period, what became of it, and who decided.

Rules are written in YAML (see `rules`), the figures of their subjects come from the services that
have them (see `subjects`). A recommendation is named by rule, subject and period, so it is the same
one whenever it is asked. Decisions about it are entries of the journal, which are never taken back:
a later one says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from cadran.core.journal import Journal, folder_of
from cadran.core.journal import entries as entries_of
from cadran.core.project import names
from cadran.errors import QueryError, UnknownNameError
from cadran.formats import periods
from cadran.insight.source import Source
from cadran.reports.expression import Expression, exact
from cadran.reports.period import Period
from cadran.reports.published import packs
from cadran.reports.recommendation import Writer
from cadran.reports.rules import read, shipped
from cadran.reports.subjects import Gathering

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Mapping

    from cadran.core.journal import Entry
    from cadran.core.layer import Layer
    from cadran.insight.impact import Impacts
    from cadran.reliability.sla import Settlement
    from cadran.reports.recommendation import Recommendation, Status
    from cadran.reports.rules import Rule
    from cadran.reports.subjects import Problem, Subject

Decision = Literal["accepted", "rejected", "done"]
_LONGEST = 2000  # characters of a note


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
    return Period.read(text)


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
        writer = Writer(judged, lang, names.words(layer.project.root, lang))
        by_lang[lang] = tuple(
            _with(recommendation, last.get(recommendation.id))
            for name, rule in rules.items()
            for recommendation in judge(name, rule, gathering.subjects(rule.of), writer)
        )
    return by_lang


def titles(by_lang: Mapping[str, Iterable[Recommendation]]) -> dict[str, dict[str, str]]:
    """The title of each recommendation that is not held back by language, by id."""
    by_id: dict[str, dict[str, str]] = {}
    for lang, entries in by_lang.items():
        for entry in entries:
            if entry.status != "held":
                by_id.setdefault(entry.id, {})[lang] = entry.title
    return by_id


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


def _with(recommendation: Recommendation, decided: Decided | None) -> Recommendation:
    if decided is None:
        return recommendation
    status = recommendation.status if recommendation.status == "held" else decided.decision
    return replace(recommendation, status=status, decided_by=decided.by, note=decided.note)


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
    layer: Layer, of: Period, recommendations: Iterable[Recommendation], *, lang: str = "en"
) -> tuple[Outcome, ...]:
    """What became of the recommendations of the period before.

    Those are meant that the last pack of that period said, and those that were decided about.

    Args:
        layer: the layer of a built project.
        of: the period after.
        recommendations: of the period after, in which a finding may be back.
        lang: of the titles.
    """
    before = of.shifted(-1)
    again = {(entry.rule, entry.subject) for entry in recommendations if entry.status != "held"}
    last = {entry.id: entry for entry in decisions(layer)}
    published = packs(layer, before.text)
    by_id = published[-1].recommendations if published else {}
    titles = {name: title.get(lang, name) for name, title in by_id.items()}
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

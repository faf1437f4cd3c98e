"""What a card says of its SLOs, under `config.meta.kpi.slos`."""

from __future__ import annotations

import datetime as dt  # noqa: TC003 - pydantic reads the types when the class is made
import re
from decimal import Decimal
from functools import cache
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from cadran.formats.validation import validated

_STEPS = {"minute": 1, "hour": 60, "day": 1_440, "week": 10_080}
_DURATION = re.compile(r"([1-9]\d*) (minute|hour|day|week)s?")
_LEAST_WINDOW = 60  # minutes; below it an hour of burn is longer than the window


@cache
def _zones() -> frozenset[str]:
    """The names of the machine's time zones; to list them reads some 600 files."""
    return frozenset(available_timezones())


def _is_zone(name: str) -> str:
    if name not in _zones():
        raise ValueError(f"'{name}' is no time zone; write one such as Europe/Paris")
    return name


def _is_share(value: Decimal) -> Decimal:
    if not 0 < value < 1:
        raise ValueError(
            f"is {value}; a target lies between 0 and 1, both excluded: at 1 there is no budget"
        )
    if value != round(value, 7):
        raise ValueError(f"is {value}; a target has at most seven decimals")
    return value


def _as_minutes(duration: str) -> str:
    matched = _DURATION.fullmatch(duration)
    if not matched:
        raise ValueError(f"is '{duration}'; it takes a duration such as '28 days'")
    if int(matched[1]) * _STEPS[matched[2]] < _LEAST_WINDOW:
        raise ValueError(f"is '{duration}'; the shortest window is an hour")
    return duration


Share = Annotated[Decimal, AfterValidator(_is_share)]
Zone = Annotated[str, AfterValidator(_is_zone)]
Key = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Email = Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$")]


class Strict(BaseModel):
    """A block of a card: an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class ObjectiveStep(Strict):
    """From which local day on a target holds."""

    since: dt.date = Field(alias="from")
    target: Share


Objective = Share | tuple[ObjectiveStep, ...]


class Window(Strict):
    """Rolling or calendar, exactly one."""

    rolling: Annotated[str, AfterValidator(_as_minutes)] | None = None
    calendar: Literal["week", "month", "quarter", "year"] | None = None
    time_zone: Zone | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Window:
        if (self.rolling is None) == (self.calendar is None):
            raise ValueError("a window is rolling ('28 days') or calendar (month), exactly one")
        return self

    @property
    def minutes(self) -> int:
        """Nominal length; a month has 30 days here, as in the published tables of policies."""
        if self.rolling:
            count, step = self.rolling.split()
            return int(count) * _STEPS[step.removesuffix("s")]
        nominal = {"week": 10_080, "month": 43_200, "quarter": 129_600, "year": 525_600}
        return nominal[str(self.calendar)]


class Composite(Strict):
    """A budget over the consumed budgets of other SLOs."""

    method: Literal["weighted", "worst"]
    of: dict[str, Annotated[Decimal, Field(gt=0)]] = Field(min_length=2)


class SloLabel(Strict):
    """The label in another language."""

    label: str


class Slo(Strict):
    """One SLO of a card; with `by` it has an objective for each subject."""

    name: Key
    label: str | None = None
    fr: SloLabel | None = None
    window: Window
    owner: Email | None = None
    by: str | None = None
    objective: Objective | None = None
    objectives: dict[str, Objective] | None = None
    budgeting: Literal["occurrences", "timeslices", "ratio_timeslices"] = "occurrences"
    slice_target: Share | None = None
    alert_policy: str = "standard"
    no_data: Literal["ignore", "good", "bad"] = "ignore"
    composite: Composite | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> Slo:
        stated = [
            key
            for key in ("objective", "objectives", "composite")
            if getattr(self, key) is not None
        ]
        if len(stated) != 1:
            raise ValueError("it takes exactly one of objective, objectives and composite")
        if (self.by is None) != (self.objectives is None):
            raise ValueError("`by` and `objectives`, one for each subject, go together")
        if (self.budgeting == "timeslices") != (self.slice_target is not None):
            raise ValueError(
                "slice_target is what makes a minute good; budgeting timeslices needs it"
            )
        if self.no_data != "ignore" and self.budgeting == "occurrences":
            raise ValueError(
                "no_data good or bad is for time slices: where events count, silence has none"
            )
        for objective in self.targets.values():
            days = [step.since for step in objective] if isinstance(objective, tuple) else []
            if days != sorted(set(days)):
                raise ValueError("the steps of an objective stand in the order of their days")
            if isinstance(objective, tuple) and not objective:
                raise ValueError("an objective in steps has at least one")
        return self

    @property
    def targets(self) -> dict[str, Objective]:
        """The objective of each subject; "all" where the SLO has one for everything."""
        if self.objectives is not None:
            return self.objectives
        return {} if self.objective is None else {"all": self.objective}

    def ids(self) -> list[str]:
        """The keys of what is budgeted: the name, with the subject where there are several."""
        return [f"{self.name}:{subject}" for subject in self.targets] if self.by else [self.name]

    def target(self, subject: str, day: dt.date) -> Decimal:
        """The target of a subject on a day; before the first step the first one holds."""
        objective = self.targets[subject]
        if isinstance(objective, Decimal):
            return objective
        reached = [step.target for step in objective if step.since <= day]
        return reached[-1] if reached else objective[0].target

    def zone(self, default: str = "UTC") -> ZoneInfo:
        """The time zone of its days."""
        return ZoneInfo(self.window.time_zone or default)


def read(raw: Any) -> tuple[Slo, ...]:
    """The SLOs of a card.

    Raises:
        ValueError: a key is unknown, missing or holds what is not allowed; one sentence.
    """
    if not isinstance(raw, list):
        raise ValueError(f"is {raw!r}; it takes a list of SLOs")  # noqa: TRY004 - one kind of complaint
    slos = []
    for place, entry in enumerate(raw, 1):
        name = entry.get("name") if isinstance(entry, dict) else None

        def wrong(key: str, sentence: str, called: Any = name or place) -> ValueError:
            return ValueError(f"SLO '{called}'{f', {key}' if key else ''}: {sentence}")

        slos.append(validated(Slo, _exact(entry), wrong))
    names = [slo.name for slo in slos]
    if len(set(names)) < len(names):
        raise ValueError("names two SLOs alike")
    return tuple(slos)


def _exact(value: Any) -> Any:
    """YAML's floats as they were written, so that 0.9995 is that decimal and nothing near it."""
    if isinstance(value, float):
        return Decimal(str(value))
    if isinstance(value, dict):
        return {key: _exact(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_exact(item) for item in value]
    return value

"""Subscriptions to the digest: `cadran_digests.yml`, which git reviews.

    address: https://kpis.example.com        # where the board is: links lead there
    digests:
      - {name: committee, receiver: direction, role: board, lang: fr, period: last}
      - {name: support, receiver: support_chat, role: support_lead, grain: week, team: support}

A receiver is one of `cadran_alerts.yml` that Apprise reaches; a role is one of the policy. Unknown
keys are errors.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import urlsplit

from cadran.errors import QueryError, UnknownNameError
from cadran.formats import strict_yaml
from cadran.formats.validation import Strict, Takes, Text
from cadran.insight.view import View
from cadran.web.digest import LAST

if TYPE_CHECKING:
    from pathlib import Path

FILE = "cadran_digests.yml"


def is_address(url: str) -> str:
    """An address of a board, without the path that pages have.

    Raises:
        ValueError: it is none.
    """
    split = urlsplit(url)
    if split.scheme not in {"http", "https"} or not split.hostname or split.query:
        raise ValueError(f"is {url!r}; it takes an address such as https://kpis.example.com")
    return url


@dataclass(frozen=True, slots=True)
class Subscription(Strict):
    """One digest: for whom, and of what.

    Attributes:
        name: by which it is sent.
        receiver: who gets it: one of cadran_alerts.yml with `apprise`.
        role: of the policy, under whose rights every figure is read; needed where there is one.
        lang: en or fr; by default the receiver's.
        grain: of the period.
        period: such as 2026-10, `last` for the last one that is over; by default that of the data.
        compare: with the period before, or the year before.
        objective: only KPIs that serve it.
        team: only KPIs of this scope.
        filters: the member that each dimension is held to.
    """

    name: Text
    receiver: Text
    role: Text = ""
    lang: Literal["en", "fr"] | None = None
    grain: Literal["week", "month", "quarter", "year"] = "month"
    period: Text = ""
    compare: Literal["previous", "year"] = "previous"
    objective: Text = ""
    team: Text = ""
    filters: Annotated[dict[str, str], Takes("dimensions, each with a member")] = field(
        default_factory=dict
    )

    def view(self, lang: str) -> View:
        """What the digest is of.

        Raises:
            QueryError: a value is none that it can have.
        """
        period = "" if self.period == LAST else self.period
        parameters = [
            ("grain", self.grain), ("period", period), ("compare", self.compare),
            ("lang", self.lang or lang), ("objective", self.objective), ("team", self.team),
            *((f"f.{name}", member) for name, member in self.filters.items()),
        ]  # fmt: skip
        return View.read(parameters)


@dataclass(frozen=True, slots=True)
class Subscriptions(Strict):
    """The subscriptions of a project.

    Attributes:
        address: where the board is; without it a digest has no links.
        digests: who gets what.
    """

    address: Annotated[Text, Takes("an address such as https://…", is_address)] | None = None
    digests: tuple[Subscription, ...] = ()

    def named(self, name: str) -> Subscription:
        """One of them.

        Raises:
            UnknownNameError: there is none of that name.
        """
        by_name = {one.name: one for one in self.digests}
        if name not in by_name:
            raise UnknownNameError("digest", name, by_name, where=f" in {FILE}")
        return by_name[name]


def read(root: Path) -> Subscriptions:
    """The subscriptions of a project; none where it has no such file.

    Raises:
        QueryError: a key is unknown or holds what it cannot hold, or two have the same name.
    """
    path = root / FILE
    if not os.path.lexists(path):
        return Subscriptions()
    subscriptions = strict_yaml.read_as(Subscriptions, path, QueryError)
    names = [one.name for one in subscriptions.digests]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise QueryError(f"{path}: two digests are called '{twice[0]}'.")
    for one in subscriptions.digests:
        try:
            one.view("en")
        except QueryError as problem:
            raise QueryError(f"{path}, digest '{one.name}': {problem}") from None
    return subscriptions

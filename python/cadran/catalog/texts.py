"""How the catalogue's own pages speak: English, French."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cadran.formats import periods
from cadran.formats.words import named, words

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping


_DURATIONS = {
    "minute": ("minute", "minutes"), "hour": ("heure", "heures"), "day": ("jour", "jours"),
    "week": ("semaine", "semaines"), "month": ("mois", "mois"),
}  # fmt: skip
_GRAINS = {
    "minute": "minute", "hour": "heure", "day": "jour", "week": "semaine", "month": "mois",
    "quarter": "trimestre", "year": "année",
}  # fmt: skip
_UNITS = {
    "customers": "clients", "orders": "commandes", "units": "unités", "hours": "heures",
    "incidents": "incidents", "deployments": "déploiements", "requests": "requêtes",
    "tickets": "demandes", "ms": "millisecondes",
}  # fmt: skip
HOURS_OF_DAY, MINUTES_OF_HOUR = 48, 60


class Words:
    """The words of one language; `words("by_team")`, with the places in them filled in."""

    def __init__(self, lang: str, names: Mapping[str, str] | None = None) -> None:
        """Speak `en` or `fr`; `names` are what the project calls members, as `names.words` has."""
        self.lang = lang
        self._words = words("catalog", lang)
        self._names = words("pages", lang) | dict(names or {})

    def __call__(self, key: str, **places: Any) -> str:
        """The words of a key; a key without words is shown as it is, with spaces."""
        text = self._words.get(key)
        if text is None:
            return key.replace("_", " ").capitalize()
        return text.format(**places) if places else text

    def name(self, dimension: str) -> str:
        """A dimension in words."""
        return named(dimension, self.lang, self._names)

    def member(self, value: Any) -> str:
        """A member of a dimension: what the project calls it, else its value in the data."""
        return self._names.get(f"name_{value}", str(value))

    def day(self, day: dt.date) -> str:
        """A day as it is written in a sentence."""
        first = "1er" if self.lang == "fr" and day.day == 1 else str(day.day)
        return f"{first} {periods.label(day, 'month', self.lang)}"

    def duration(self, text: str) -> str:
        """A duration as a card writes it, "3 hours", in the language."""
        count, unit = text.split()
        if self.lang == "en":
            return text
        singular, plural = _DURATIONS[unit.removesuffix("s")]
        return f"{count} {singular if count == '1' else plural}"

    def age(self, age: dt.timedelta) -> str:
        """How old something is, in one unit."""
        minutes = int(age.total_seconds() // 60)
        if minutes < MINUTES_OF_HOUR:
            count, unit = minutes, "minute"
        elif minutes < HOURS_OF_DAY * MINUTES_OF_HOUR:
            count, unit = minutes // 60, "hour"
        else:
            count, unit = minutes // (60 * 24), "day"
        return self.duration(f"{count} {unit}{'' if count == 1 else 's'}")

    def grain(self, grain: str) -> str:
        """The name of a length of time."""
        return _GRAINS[grain] if self.lang == "fr" else grain

    def unit(self, unit: str) -> str:
        """The name of a unit."""
        return _UNITS.get(unit, unit) if self.lang == "fr" else unit

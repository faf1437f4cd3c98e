"""`cadran_names.yml`: what members of dimensions and owners are called, in both languages.

    names:
      public_api: {en: Public API, fr: API publique}
      mkt_place_2: {en: Marketplaces, fr: Places de marché}
      head.of.sales@example.com: {en: Head of sales, fr: Direction commerciale}

A name that is not in it is told by the words that there are for it, else by itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

from cadran.errors import CardError
from cadran.formats import strict_yaml
from cadran.formats.validation import Strict, Takes, Text

if TYPE_CHECKING:
    from pathlib import Path

FILE = "cadran_names.yml"


@dataclass(frozen=True, slots=True)
class Name(Strict):
    """What a member is called."""

    en: Text
    fr: Text


@dataclass(frozen=True, slots=True)
class Names(Strict):
    """What members are called, by the value that the data have."""

    names: Annotated[dict[str, Name], Takes("names by member")] = field(default_factory=dict)


def read(root: Path | None) -> Names:
    """The names of a project; none where it has none.

    Raises:
        CardError: a key is unknown, or holds what it cannot hold.
    """
    if root is None or not (root / FILE).exists():
        return Names()
    return strict_yaml.read_as(Names, root / FILE, CardError)


def words(root: Path | None, lang: str) -> dict[str, str]:
    """The names of a project in `en` or `fr`, by the key under which words have them.

    Raises:
        CardError: as `read`.
    """
    return {f"name_{key}": getattr(name, lang) for key, name in read(root).names.items()}

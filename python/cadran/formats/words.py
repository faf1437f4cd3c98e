"""The words of a face in English or French, as `words.yml` has them."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from cadran.errors import CadranError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_Error = TypeVar("_Error", bound=CadranError)
FILE = Path(__file__).with_name("words.yml")


@cache
def words(section: str, lang: str) -> dict[str, str]:
    """The words of a section by their keys: `words("board", "fr")["target"]`."""
    return {key: entry[lang] for key, entry in _sections()[section].items()}


def named(name: str, lang: str, own: Mapping[str, str] | None = None) -> str:
    """A dimension, service or member in words.

    Args:
        name: as the data have it.
        lang: en or fr.
        own: names that come before those of every project, each under `name_` and the name.
    """
    last = name.rpartition("__")[2]
    key, text = f"name_{last}", last.replace("_", " ")
    every = words("pages", lang) if own is None or key not in own else own
    return every.get(key, text[:1].upper() + text[1:])


def refusal(kind: Callable[[str], _Error], key: str, **places: object) -> _Error:
    """An error in English whose sentence pages can tell in their own language.

    Args:
        kind: makes it of its sentence.
        key: of its words in the section `problems`.
        places: what stands in their places.
    """
    error = kind(words("problems", "en")[key].format(**places))
    error.worded = key, places
    return error


def sentences(error: CadranError, kind: str, sentence: str, lang: str) -> tuple[str, str]:
    """What a page says of an error in its language, and what there is in English beside it.

    Args:
        error: what was raised.
        kind: of the problem, a key of the section `problems`.
        sentence: that a client is told, in English.
        lang: en or fr.
    """
    own = words("problems", lang)
    if error.worded is not None:
        key, places = error.worded
        return own[key].format(**places), ""
    return (sentence, "") if lang == "en" else (own[kind], sentence)


def inner(text: str) -> str:
    """A label within a sentence: its first letter small, but for an abbreviation."""
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]


@cache
def _sections() -> dict[str, dict[str, dict[str, str]]]:
    from cadran.formats import strict_yaml

    sections: dict[str, dict[str, dict[str, str]]] = strict_yaml.read(FILE, CadranError)
    return sections

"""The words of a face in English or French, as `words.yml` has them."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from cadran.errors import CadranError

FILE = Path(__file__).with_name("words.yml")


@cache
def words(section: str, lang: str) -> dict[str, str]:
    """The words of a section by their keys: `words("board", "fr")["target"]`."""
    return {key: entry[lang] for key, entry in _sections()[section].items()}


@cache
def _sections() -> dict[str, dict[str, dict[str, str]]]:
    from cadran.formats import strict_yaml

    sections: dict[str, dict[str, dict[str, str]]] = strict_yaml.read(FILE, CadranError)
    return sections

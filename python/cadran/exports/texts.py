"""The sentences that Superset's users read beside the words of the cards."""

from __future__ import annotations

from cadran.formats.words import words


def text(key: str, lang: str, **parts: object) -> str:
    """A sentence in a language, with its parts put in."""
    return words("export", lang)[key].format(**parts)


def plain(name: str) -> str:
    """A dimension's name in plain words: "Order channel" for `order_id__channel`."""
    entity, _, rest = name.partition("__")
    name = f"{entity.removesuffix('_id')} {rest.removeprefix(entity + '_')}" if rest else entity
    return name.replace("_", " ").strip().capitalize()

"""What to say when MetricFlow refuses: the name that does not exist, or else its own words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cadran.errors import UnknownNameError
from cadran.query import GRAINS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cadran.query import GroupBy


def first_unknown(
    groups: Iterable[GroupBy], known: Mapping[str, Sequence[str]], metrics: Sequence[str]
) -> UnknownNameError | None:
    """The error for the first of the names that does not exist for these metrics, if any.

    Args:
        groups: what a question groups and filters by.
        known: what it could, each with its grains when it is a time.
        metrics: the metrics of the question.
    """
    of = f" for {', '.join(metrics)}" if metrics else ""
    for group in groups:
        name, grain = group.name.lower(), group.grain
        head, _, tail = name.rpartition("__")
        if name not in known and (known.get(head) or tail in GRAINS):
            name, grain = head, tail  # a grain stands at the end of the name
        if name not in known:
            return UnknownNameError("dimension", name, known, where=of)
        if grain and grain.lower() not in known[name]:
            return UnknownNameError("grain", grain, known[name], where=f" of {name}{of}")
    return None


def gist(error: Exception) -> str:
    """The telling paragraph of one of MetricFlow's long messages."""
    text = str(error)
    _, found, rest = text.partition("Message:")
    words = (rest if found else text).strip().split("\n\n")[0].split()
    return " ".join(words) or type(error).__name__

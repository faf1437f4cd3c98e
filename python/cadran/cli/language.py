"""What the command line says, in French where that is asked: help, prompts, errors, findings.

`french.yml` and `french_messages.yml` have each English sentence with its French. A sentence that
is not there is said in English, so none is ever lost; data, cards and pages have languages of their
own.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import textwrap
from contextvars import ContextVar
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from cadran.errors import CadranError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

FILES = tuple(Path(__file__).with_name(name) for name in ("french.yml", "french_messages.yml"))
LANGUAGES = ("en", "fr")
_WIDTH = 96
_LOCALE = ("LC_ALL", "LC_MESSAGES", "LANG")  # the first that is set, as gettext has it
# What is filled in and is no name of the project: it has French words of its own.
_IN_WORDS = {
    "act", "errors", "evidence", "examples", "expected", "kind", "language", "message", "names",
    "problem", "prompt", "reason", "sentence", "suggestion", "warnings", "what", "where", "which",
    "written",
}  # fmt: skip

_is_french: ContextVar[bool] = ContextVar("is_french", default=False)


def choose(arguments: Sequence[str]) -> None:
    """Speak the language that `--lang` names among the arguments, otherwise that of the locale."""
    flag = re.search(r"(?:^|\0)--lang[=\0](\w+)", "\0".join(arguments))
    locale = next(filter(None, map(os.environ.get, _LOCALE)), "")
    _is_french.set(flag[1] == "fr" if flag else locale.startswith("fr"))


def speaks_french() -> bool:
    """Whether French was chosen."""
    return _is_french.get()


def said(text: str) -> str:
    """The text in the language that was chosen; each sentence of it by itself."""
    if not _is_french.get():
        return text
    sentences = phrases()
    if text in sentences:
        return sentences[text]
    for sentence, longest in _sentences():
        if longest in text:
            text = _pattern(sentence).sub(partial(_filled, sentences[sentence]), text)
    return text


def tell(text: str) -> None:
    """Say on stdout what was done."""
    print(said(text), flush=True)


def warn(text: str) -> None:
    """Say on stderr what whoever reads the answer has to know, or what went wrong."""
    print(f"cadran: {said(text)}", file=sys.stderr)


def _filled(french: str, found: re.Match[str]) -> str:
    values = found.groupdict()
    for name in _IN_WORDS & values.keys():
        whole = said(values[name])
        values[name] = (
            "; ".join(map(said, values[name].split("; "))) if whole == values[name] else whole
        )
    return french.format_map(values) if values else french


@cache
def phrases() -> dict[str, str]:
    """English sentences and their French."""
    from cadran.formats import strict_yaml

    sentences: dict[str, str] = {}
    for file in FILES:
        sentences |= strict_yaml.read(file, CadranError)
    return sentences


@cache
def _sentences() -> list[tuple[str, str]]:
    """The longest first, each with the longest piece that stands in it as it is."""
    whole_first = sorted(filter(_is_sentence, phrases()), key=len, reverse=True)
    return [(text, max(re.split(r"\{\w+\}", text), key=len)) for text in whole_first]


def _is_sentence(text: str) -> bool:
    return re.search(r"\{\w+\}|[.?]$", text) is not None and " " in text


@cache
def _pattern(text: str) -> re.Pattern[str]:
    """Where a sentence stands in a text: from its beginning, and what fills it holds no end."""
    parts: list[str] = []
    names: set[str] = set()
    pieces = re.split(r"\{(\w+)\}", text)
    for place, part in enumerate(pieces):
        if not place % 2:
            parts.append(re.escape(part))
        elif part in names:
            parts.append(f"(?P={part})")
        else:
            names.add(part)
            # What is no sentence itself, nor the last, ends before another could begin.
            is_long = part in _IN_WORDS or place == len(pieces) - 2
            stop = r"\. " if is_long else r"[.:] "
            parts.append(rf"(?P<{part}>(?:(?!{stop}).)*?)")
    # What is filled in at the end goes on to the end of the sentence.
    end = r"(?=\.?$|\. )" if text.endswith("}") else r"(?=$|\s)"
    return re.compile(rf"(?:^|(?<=\n)|(?<=[.:] )|(?<=\? )){''.join(parts)}{end}")


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Help whose examples have a line each, in the language that was chosen."""

    def add_usage(
        self,
        usage: str | None,
        actions: Iterable[argparse.Action],
        groups: Iterable[argparse._MutuallyExclusiveGroup],
        prefix: str | None = None,
    ) -> None:
        """Begin with how the command is written."""
        super().add_usage(usage, actions, groups, said("usage: ") if prefix is None else prefix)

    def start_section(self, heading: str | None) -> None:
        """Begin a section under its heading."""
        super().start_section(heading and said(heading))

    def add_text(self, text: str | None) -> None:
        """Describe the command, each paragraph by itself."""
        if not text or text == argparse.SUPPRESS:
            super().add_text(text)
            return
        paragraphs = []
        for paragraph in text.split("\n\n"):
            line = " ".join(paragraph.split())
            words = said(line)
            paragraphs.append(paragraph if words == line else textwrap.fill(words, _WIDTH))
        super().add_text("\n\n".join(paragraphs))

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help and said(action.help)

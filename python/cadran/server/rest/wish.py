"""What a client wants: a question, the form of its answer, and which part of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from cadran.errors import QueryError
from cadran.server.problems import RefusedError
from cadran.serving.forms import MEDIA, PAGE_ROWS, Part
from cadran.serving.question import Question

if TYPE_CHECKING:
    from cadran.serving.answer import Answer

_ANY = {"json": ("*/*", "application/*", "application/json")}
_ALSO = {
    "csv": ("text/csv", "text/*"),
    "arrow": ("application/vnd.apache.arrow.stream",),
    "parquet": ("application/vnd.apache.parquet", "application/x-parquet"),
    "xlsx": (MEDIA["xlsx"],),
}
_FORMS = {media: form for form, every in {**_ANY, **_ALSO}.items() for media in every}
_DIGITS = 12  # of the offset in a cursor
_TAG = 16  # characters of an answer's validator in a cursor
_APART = ("format", "lang", "read_cache", "page_size", "cursor")


@dataclass(frozen=True, slots=True)
class Wish:
    """What a client wants.

    Attributes:
        question: what is asked.
        form: a key of `MEDIA`.
        part: which rows.
        state: of the data, where a page is asked that belongs to one; else empty.
        tag: the beginning of the validator of the answer that the page belongs to.
        lang: of the words in it.
        read_cache: whether a kept answer will do.
    """

    question: Question
    form: str
    part: Part
    state: str = ""
    tag: str = ""
    lang: str = "en"
    read_cache: bool = True

    @property
    def key(self) -> str:
        """The name of its form among those kept with an answer."""
        return f"{self.form}-{self.part.offset}-{self.part.size or 'all'}-{self.lang}"

    def check(self, answer: Answer) -> None:
        """Refuse a page of other numbers.

        Raises:
            RefusedError: the state of the data is another one.
            QueryError: the cursor belongs to another question.
        """
        if not self.state:
            return
        if self.state != answer.state:
            raise RefusedError(
                410, "gone",
                "The numbers were replaced since the page before: begin again without cursor, so"
                " that all pages are of one state.",
            )  # fmt: skip
        if not answer.etag.startswith(self.tag):
            raise QueryError("The cursor belongs to another question: repeat that one with it.")


def wish(given: dict[str, Any], accept: str | None, most: int) -> Wish:
    """What a client wants, from the parameters of a question.

    Args:
        given: the parameters, as `parameters` reads them.
        accept: the header, where the parameters name no format.
        most: most rows of a page.

    Raises:
        QueryError: the question or the page makes no sense.
        RefusedError: no format that is accepted can be given.
    """
    form = given.get("format") or accepted(accept)
    size = given.get("page_size") or (min(PAGE_ROWS, most) if form == "json" else None)
    if size is not None and size > most:
        raise QueryError(f"page_size is {size}; a page has at most {most:,} rows.")
    asked = {name: value for name, value in given.items() if name not in _APART}
    made = Wish(
        Question.of(asked), form, Part(0, size),
        lang=given.get("lang", "en"), read_cache=given.get("read_cache", True),
    )  # fmt: skip
    text = given.get("cursor")
    if text is None:
        return made
    state, tag, offset = cursor_parts(text)
    return replace(made, part=Part(offset, size), state=state, tag=tag)


def cursor_parts(text: str) -> tuple[str, str, int]:
    """State, tag and offset of a cursor.

    Raises:
        QueryError: it is none.
    """
    state, _, rest = text.partition(".")
    tag, _, offset = rest.partition(".")
    digits = offset if offset.isascii() and offset.isdigit() and len(offset) <= _DIGITS else ""
    if not (state and len(tag) == _TAG and digits):
        raise QueryError("The cursor is none of this server: take next_cursor as it was given.")
    return state, tag, int(digits)


@lru_cache(maxsize=256)
def accepted(accept: str | None) -> str:
    """The form that a client prefers, by its Accept header.

    Raises:
        RefusedError: it accepts none that can be given.
    """
    if not accept:
        return "json"
    choices: list[tuple[float, int, str]] = []
    for at, item in enumerate(accept.split(",")):
        media, *parts = (part.strip().lower() for part in item.split(";"))
        quality = next((part[2:] for part in parts if part.startswith("q=")), "1")
        try:
            weight = float(quality)
        except ValueError:
            weight = 0.0
        if media in _FORMS and weight > 0:
            choices.append((-weight, at, _FORMS[media]))
    if not choices:
        raise RefusedError(
            406, "not-acceptable",
            f"Accept is '{accept[:200]}'; there are {', '.join(MEDIA.values())}.",
        )  # fmt: skip
    return min(choices)[2]

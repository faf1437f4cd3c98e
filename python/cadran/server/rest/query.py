"""Questions over REST. A cached answer leaves on the event loop, without a thread or a copy."""

from __future__ import annotations

import gzip
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from cadran.core.query.request import ask
from cadran.errors import QueryError
from cadran.formats.encoding import json_text
from cadran.server import http, requests
from cadran.server.http import Reply
from cadran.server.problems import RefusedError
from cadran.serving.response import MEDIA, PAGE_ROWS, Part, cursor, encoded, finished
from cadran.serving.service import Asked

if TYPE_CHECKING:
    from cadran.core.query.request import Query
    from cadran.server.http import Call, House
    from cadran.server.requests import ShapedQueryRequest
    from cadran.serving.response import Answer, Handed


_ANY = {"json": ("*/*", "application/*", "application/json")}
_ALSO = {
    "csv": ("text/csv", "text/*"),
    "arrow": ("application/vnd.apache.arrow.stream",),
    "parquet": ("application/vnd.apache.parquet", "application/x-parquet"),
    "xlsx": (MEDIA["xlsx"],),
}
_FORMS = {media: form for form, every in {**_ANY, **_ALSO}.items() for media in every}
_DIGITS = 12  # of the offset in a cursor
_WISH_TAG = 16  # characters of an answer's validator in a cursor


@dataclass(frozen=True, slots=True)
class Wish:
    """What a client wants.

    Attributes:
        query: what is asked.
        form: a key of `MEDIA`.
        part: which rows.
        state: of the data, where a page is asked that belongs to one; else empty.
        tag: the beginning of the validator of the answer that the page belongs to.
        lang: of the words in it.
        read_cache: whether a kept answer will do.
    """

    query: Query
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


def wish(request: ShapedQueryRequest, accept: str | None, most: int) -> Wish:
    """What a client wants.

    Args:
        request: the question and its form.
        accept: the header, where the request names no format.
        most: most rows of a page.

    Raises:
        QueryError: the question or the page makes no sense.
        RefusedError: no format that is accepted can be given.
    """
    form = request.format or accepted(accept)
    size = request.page_size or (min(PAGE_ROWS, most) if form == "json" else None)
    if size is not None and size > most:
        raise QueryError(f"page_size is {size}; a page has at most {most:,} rows.")
    made = Wish(
        request.query, form, Part(0, size), lang=request.lang, read_cache=request.read_cache
    )
    if request.cursor is None:
        return made
    state, tag, offset = cursor_parts(request.cursor)
    return replace(made, part=Part(offset, size), state=state, tag=tag)


def cursor_parts(text: str) -> tuple[str, str, int]:
    """State, tag and offset of a cursor.

    Raises:
        QueryError: it is none.
    """
    state, _, rest = text.partition(".")
    tag, _, offset = rest.partition(".")
    digits = offset if offset.isascii() and offset.isdigit() and len(offset) <= _DIGITS else ""
    if not (state and len(tag) == _WISH_TAG and digits):
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


_REMEMBERED = 2048  # questions as they were written, with what they mean
_SHORT = 2000  # bytes of a question that is remembered
_SMALL = 2000  # cells that are encoded on the event loop
_PACKED = 20_000  # bytes from which text is sent packed
_KEPT = 1_000_000  # bytes up to which a form is kept with its answer
_TEXTS = ("json", "csv")
_TAG = 32  # characters of the validator of an answer


class Asking:
    """Answers the operations that ask questions."""

    def __init__(self, house: House) -> None:
        """Take what answers."""
        self._house = house
        self._desk = house.desk
        self._most = house.settings.rows
        self._remembered = lru_cache(_REMEMBERED)(self._wish)

    async def query(self, call: Call, *, in_body: bool) -> Reply:
        """The answer to a question, from a link or a body."""
        text = await call.body() if in_body else call.link
        read = self._remembered if len(text) <= _SHORT else self._wish
        wanted = read(text, call.header(b"accept"), in_body)
        reply, answer = await self._answered(call, wanted)
        if answer is not None and not in_body:
            following = cursor(answer, wanted.part)
            if following is not None:
                reply.headers.append((b"link", http.next_link(call, following)))
        return reply

    async def saved(self, call: Call) -> Reply:
        """A saved query as a file."""
        given = call.asked.given
        name, form, lang = given.pop("name"), given.pop("format"), given.pop("lang", "en")
        query = ask(saved_query=name, **given)
        reply, _ = await self._answered(call, Wish(query, form, Part(), lang=lang))
        reply.headers.append((b"referrer-policy", b"no-referrer"))
        return reply

    async def sql(self, call: Call) -> Reply:
        """The SQL of a question."""
        query = call.asked.query
        asked = self._asked(call, query)
        sql = await self._house.run(self._desk.sql, asked, query)
        return Reply(json_text({"sql": sql}).encode())

    def _wish(self, text: bytes, accept: str | None, in_body: bool) -> Wish:  # noqa: FBT001
        if in_body:
            request = requests.from_json(requests.ShapedQueryRequest, http.document(text))
        else:
            request = requests.from_link(requests.ShapedQueryRequest, http.pairs(text))
        return wish(request, accept, self._most)

    def _asked(self, call: Call, query: Query, *, read_cache: bool = True) -> Asked:
        assert call.caller is not None  # noqa: S101 - every question has a scope
        call.filtered = bool(query.where)
        return Asked(call.caller, "rest", read_cache=read_cache)

    async def _answered(self, call: Call, wanted: Wish) -> tuple[Reply, Answer | None]:
        asked = self._asked(call, wanted.query, read_cache=wanted.read_cache)
        known = call.header(b"if-none-match")
        tags = _tags(known, wanted) if known else ()
        handed = self._desk.kept(asked, wanted.query)
        if handed is None:
            if tags and wanted.read_cache:
                tag = self._desk.unchanged(asked, wanted.query, tags)
                if tag is not None:
                    return _unchanged(tag, wanted), None
            handed = await call.until_gone(
                self._house.run(self._desk.ask, asked, wanted.query), asked.stop
            )
        answer = handed.answer
        wanted.check(answer)
        if answer.etag in tags:
            return _unchanged(answer.etag, wanted), answer
        return await self._reply(call, wanted, handed), answer

    async def _reply(self, call: Call, wanted: Wish, handed: Handed) -> Reply:
        answer = handed.answer
        packed = "gzip" in (call.header(b"accept-encoding") or "") and wanted.form in _TEXTS
        # A body that says it was not kept is made for one client and not kept either.
        key = f"{wanted.key}{'-gzip' if packed else ''}"
        body = answer.forms.get(key) if handed.cached else None
        if body is None:
            if answer.table.num_rows * answer.table.num_columns <= _SMALL:
                body = self._form(wanted, handed, key, packed=packed)
            else:
                body = await self._house.run(lambda: self._form(wanted, handed, key, packed=packed))
        headers = [
            (b"etag", _etag(answer.etag, wanted)),
            (b"cadran-total-rows", b"%d" % answer.table.num_rows),
            (b"cadran-like-for-like", b"true" if answer.like_for_like else b"false"),
        ]
        if body[:2] == b"\x1f\x8b" and packed:
            headers.append((b"content-encoding", b"gzip"))
        if wanted.form != "json":
            name = wanted.query.saved_query or "-".join(answer.query.metrics[:3]) or "values"
            safe = "".join(
                letter if letter.isalnum() and letter.isascii() else "_" for letter in name
            )
            disposition = f'attachment; filename="{safe}.{wanted.form}"'
            headers.append((b"content-disposition", disposition.encode()))
        return Reply(body, MEDIA[wanted.form], headers=headers)

    def _form(self, wanted: Wish, handed: Handed, key: str, *, packed: bool) -> bytes:
        answer = handed.answer
        body = encoded(answer, wanted.form, wanted.part, most=self._most, lang=wanted.lang)
        if wanted.form == "json":
            body = finished(body, cached=handed.cached)
        if packed and len(body) >= _PACKED:
            body = gzip.compress(body, compresslevel=4, mtime=0)
        if (handed.cached or wanted.form != "json") and len(body) <= _KEPT:
            answer.forms[key] = body
            self._desk.weigh(answer)
        return body


def _etag(tag: str, wanted: Wish) -> bytes:
    # Weak: the body also says whether it was kept, and may be packed.
    return f'W/"{tag}-{wanted.key}"'.encode()


def _tags(header: str, wanted: Wish) -> tuple[str, ...]:
    """The validators of answers that a client knows in this form."""
    ending = f"-{wanted.key}"
    quoted = (item.strip().removeprefix("W/").strip('"') for item in header.split(","))
    return tuple(one[:_TAG] for one in quoted if one[_TAG:] == ending)


def _unchanged(tag: str, wanted: Wish) -> Reply:
    return Reply(b"", status=304, headers=[(b"etag", _etag(tag, wanted))])

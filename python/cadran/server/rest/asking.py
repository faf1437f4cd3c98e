"""Questions over REST. A cached answer leaves on the event loop, without a thread or a copy."""

from __future__ import annotations

import gzip
from functools import lru_cache
from typing import TYPE_CHECKING

from cadran.encoding import json_text
from cadran.server import parameters
from cadran.server.rest import http
from cadran.server.rest.http import Reply
from cadran.server.rest.operations import ASKING, SHAPING
from cadran.server.rest.wish import Wish, wish
from cadran.serving.desk import Asked
from cadran.serving.forms import MEDIA, Part, cursor, encoded, finished
from cadran.serving.question import Question

if TYPE_CHECKING:
    from cadran.server.house import House
    from cadran.server.rest.http import Call
    from cadran.serving.answer import Answer, Handed

_TAKES = (*ASKING, *SHAPING)
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
        given = dict(call.given)
        name, form = given.pop("name"), given.pop("format")
        lang = given.pop("lang", "en")
        question = Question.of({**given, "saved_query": name})
        reply, _ = await self._answered(call, Wish(question, form, Part(), lang=lang))
        reply.headers.append((b"referrer-policy", b"no-referrer"))
        return reply

    async def sql(self, call: Call) -> Reply:
        """The SQL of a question."""
        question = Question.of(call.given)
        asked = self._asked(call, question)
        sql = await self._house.run(self._desk.sql, asked, question)
        return Reply(json_text({"sql": sql}).encode())

    def _wish(self, text: bytes, accept: str | None, in_body: bool) -> Wish:  # noqa: FBT001
        if in_body:
            given = parameters.from_json(_TAKES, http.document(text))
        else:
            given = parameters.from_link(_TAKES, http.pairs(text))
        return wish(given, accept, self._most)

    def _asked(self, call: Call, question: Question, *, read_cache: bool = True) -> Asked:
        assert call.caller is not None  # noqa: S101 - every question has a scope
        call.filtered = bool(question.query.where)
        return Asked(call.caller, "rest", read_cache=read_cache)

    async def _answered(self, call: Call, wanted: Wish) -> tuple[Reply, Answer | None]:
        asked = self._asked(call, wanted.question, read_cache=wanted.read_cache)
        known = call.header(b"if-none-match")
        tags = _tags(known, wanted) if known else ()
        handed = self._desk.kept(asked, wanted.question)
        if handed is None:
            if tags and wanted.read_cache:
                tag = self._desk.unchanged(asked, wanted.question, tags)
                if tag is not None:
                    return _unchanged(tag, wanted), None
            handed = await call.until_gone(
                self._house.run(self._desk.ask, asked, wanted.question), asked.stop
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
            name = wanted.question.saved_query or "-".join(answer.query.metrics[:3]) or "values"
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

"""What requests of browsers say, and how pages are handed to them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from starlette.responses import Response

from cadran.core.project.cards import LANGUAGES
from cadran.errors import LimitError

if TYPE_CHECKING:
    from starlette.requests import Request

_MOST_FORM = 32_768  # bytes of a form: a note whose letters take twelve bytes each
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; style-src 'self' 'unsafe-inline'; script-src 'self'; img-src 'self'"
        " data:; connect-src 'self'; font-src 'self'; form-action 'self'; base-uri 'none';"
        " frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cache-control": "no-store",
    "vary": "Cookie, Authorization, Accept-Language",
}


def html(text: str, status: int, headers: dict[str, str] | None = None) -> Response:
    """A page."""
    every = {**HEADERS, **(headers or {})}
    return Response(text, status, media_type="text/html", headers=every)


async def form_of(request: Request) -> dict[str, str]:
    """What a form holds.

    Raises:
        LimitError: it is longer than any form here.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MOST_FORM:
            raise LimitError(f"A form has at most {_MOST_FORM:,} bytes.")
    return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))


def language(request: Request) -> str:
    """The language of a request: of its address, else the first that the browser prefers."""
    named = request.query_params.get("lang")
    if named in LANGUAGES:
        return named
    for part in request.headers.get("accept-language", "").split(","):
        name = part.partition(";")[0].strip()[:2].lower()
        if name in LANGUAGES:
            return name
    return "en"


def is_own(request: Request) -> bool:
    """Whether a form was sent from a page of this site, as the browser says."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site in {"same-origin", "none"}
    origin = request.headers.get("origin")
    host = request.headers.get("host", "")
    return origin is None or origin.partition("://")[2] == host


def own_path(to: str) -> str:
    """A way back that stays on the board."""
    is_own = re.fullmatch(r"/board(?:[/?][^\\\s]*)?", to) and ".." not in to
    return to if is_own else "/board"

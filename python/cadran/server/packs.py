"""Board packs over HTTP: made for a reader, off the event loop, few at a time and not for ever.

A pack is of all rows of all KPIs, and its copies go from hand to hand. So it is made only for who
sees all of them, and is refused to others rather than made of what is left.
"""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import TYPE_CHECKING

from cadran.errors import ClosingError, LimitError, NotAllowedError, StoppedError, listing
from cadran.reports import forms
from cadran.serving.service import RequestContext

if TYPE_CHECKING:
    from cadran.access.caller import Caller
    from cadran.core.query.request import Query
    from cadran.core.result import Rows
    from cadran.serving.service import QueryService

MOST = 2  # packs that are made at the same time
SECONDS = 90.0  # in which one has to be made
_AGAIN = 15.0  # seconds after which it may be asked again
_NAMED = 3  # KPIs that a refusal names


@dataclass(frozen=True, slots=True)
class File:
    """A pack in one form."""

    name: str
    media: str
    content: bytes


@dataclass(frozen=True, slots=True)
class _Making:
    """One pack that is made: until when, and whether anybody waits for it still."""

    until: float
    left: threading.Event

    def go_on(self) -> None:
        """Whether it is to be gone on with.

        Raises:
            StoppedError: it took too long, or nobody waits.
        """
        if self.left.is_set() or time.monotonic() > self.until:
            raise StoppedError(f"The pack was not made within {SECONDS:.0f} seconds.")


class Packs:
    """Makes packs in threads of their own, so that questions never wait for them."""

    def __init__(self, service: QueryService, ending: threading.Event) -> None:
        """Take what answers questions, and what is set once the server ends."""
        self._service, self._ending = service, ending
        self._workers = ThreadPoolExecutor(MOST, thread_name_prefix="pack")
        self._making = 0

    async def file(self, caller: Caller, period: str, lang: str, form: str) -> File:
        """The pack of a period as a file.

        Args:
            caller: for whom.
            period: 2026, 2026-Q3 or 2026-09.
            lang: en or fr.
            form: html, pdf, pptx or xlsx.

        Raises:
            QueryError: there is no such form.
            LimitError: as many as may be are made already.
            NotAllowedError: the caller does not see all that a pack is of.
            StoppedError: it took too long.
            CadranError: as `pack_of`.
        """
        if self._making >= MOST:
            raise LimitError(
                f"{MOST} packs are being made: ask again in a moment.", retry_after=_AGAIN
            )
        form = forms.form_of(form)
        making = _Making(time.monotonic() + SECONDS, threading.Event())
        self._making += 1
        loop = asyncio.get_running_loop()
        work = loop.run_in_executor(self._workers, self._made, caller, period, lang, form, making)
        work.add_done_callback(self._done)  # not before its thread is free again
        try:
            return await asyncio.wait_for(asyncio.shield(work), SECONDS)
        except TimeoutError as problem:
            if isinstance(problem, StoppedError):
                raise
            raise StoppedError(f"The pack was not made within {SECONDS:.0f} seconds.") from None
        finally:
            making.left.set()

    def _done(self, work: asyncio.Future[File]) -> None:
        self._making -= 1
        if not work.cancelled():
            work.exception()  # whoever waited has it; nobody need be told that none did

    def _made(self, caller: Caller, period: str, lang: str, form: str, making: _Making) -> File:
        from cadran.reports.basis import Basis
        from cadran.reports.make import pack_from

        service = self._service
        whole = cache(partial(service.sees_whole, caller))
        with service.source(RequestContext(caller, "board", is_page=True)) as source:
            if not all(whole(card.name) for card in source.layer.kpis()):
                # What the caller sees nothing of is not named.
                partly = [card.name for card in source.kpis if not whole(card.name)]
                of = f" of {listing(partly, _NAMED)}" if partly else ""
                raise NotAllowedError(
                    f"A pack is of all rows of all KPIs, and you do not see all{of}: ask whoever"
                    " does for it."
                )
            answer = source.answer

            def asked(query: Query) -> Rows:
                if self._ending.is_set():
                    raise ClosingError("The server ends.")
                making.go_on()
                return answer(query)

            timed = replace(source, answer=asked)
            pack = pack_from(Basis.of(timed, period, lang, whole=whole))
        making.go_on()
        content = forms.content(pack, form, cards=source.kpis)
        return File(forms.file_name(pack, form), forms.MEDIA[form], content)

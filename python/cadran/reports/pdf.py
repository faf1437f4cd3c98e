"""A pack as PDF/UA: the HTML laid out by WeasyPrint, and held against rules of layout.

What WeasyPrint warns of, what does not fit and a figure without a text instead of it are errors:
none of them may reach a reader.
"""

from __future__ import annotations

import hashlib
import logging
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from cadran.errors import ReportError
from cadran.reports.html import html
from cadran.reports.layout import faults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cadran.reports.pack import Pack

_MOST_TOLD = 5
_VARIANT = "pdf/ua-1"


class _Warnings(logging.Handler):
    """Keeps what the engine warns of."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        # Without HarfBuzz fonts are cut by fontTools: slower, and the page looks the same.
        if not message.startswith("Using fontTools instead of HarfBuzz-Subset"):
            self.messages.append(message)


def pdf(pack: Pack) -> bytes:
    """The pack as a tagged PDF; the same pack gives the same bytes.

    Raises:
        ReportError: something does not fit or has no text instead of it, or WeasyPrint warned.
    """
    return pdf_of(html(pack, for_screen=False), len(pack.pages))


@contextmanager
def printing() -> Iterator[Callable[[Pack], Callable[[], bytes]]]:
    """What lays out packs in a process of its own, which loads the engine at once.

    It takes a pack and gives what waits for its PDF; a caller does something else meanwhile.

    Raises:
        ReportError: as `pdf`, or the process ended, from what waits.
    """
    context = multiprocessing.get_context("spawn")  # a fork would take threads' locks with it
    executor = ProcessPoolExecutor(1, mp_context=context)
    executor.submit(_loaded)

    def begun(pack: Pack) -> Callable[[], bytes]:
        work = executor.submit(pdf_of, html(pack, for_screen=False), len(pack.pages))

        def content() -> bytes:
            try:
                return work.result()
            except BrokenProcessPool as problem:
                raise ReportError("The process that lays out the PDF was ended.") from problem

        return content

    try:
        yield begun
    finally:
        executor.shutdown(cancel_futures=True)


def _loaded() -> None:
    import weasyprint  # noqa: F401 - loaded while numbers are asked


def pdf_of(page: str, pages: int) -> bytes:
    """A page of HTML as PDF, held against the same rules.

    Args:
        page: the HTML.
        pages: how many the PDF is to have.

    Raises:
        ReportError: as `pdf`.
    """
    from weasyprint import HTML

    loggers = [logging.getLogger(name) for name in ("weasyprint", "fontTools")]
    heard, counted = _Warnings(), _Alternatives()
    for logger in loggers:
        logger.addHandler(heard)
    try:
        document = HTML(string=page, base_url=None).render()
        problems = faults(document, pages)
        identifier = hashlib.sha256(page.encode()).digest()[:16]
        content: bytes = document.write_pdf(
            finisher=counted, pdf_variant=_VARIANT, pdf_tags=True, pdf_identifier=identifier
        )
    finally:
        for logger in loggers:
            logger.removeHandler(heard)
    problems += [f"WeasyPrint warns: {message}." for message in heard.messages]
    if counted.figures != counted.texts:
        problems.append(f"{counted.figures} figures have {counted.texts} texts instead of them.")
    if problems:
        more = len(problems) - _MOST_TOLD
        rest = f" And {more} more." if more > 0 else ""
        raise ReportError(f"The PDF is not well laid out. {' '.join(problems[:_MOST_TOLD])}{rest}")
    return content


class _Alternatives:
    """Counts figures of the structure tree, and texts that stand instead of them."""

    figures = texts = 0

    def __call__(self, _document: Any, pdf: Any) -> None:
        for entry in pdf.objects:
            if not isinstance(entry, dict) or entry.get("S") != "/Figure":
                continue
            self.figures += 1
            self.texts += bool(entry.get("Alt"))

"""The forms of files that a pack is written in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cadran.errors import QueryError
from cadran.reports.html import html
from cadran.reports.pdf import pdf

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from cadran.core.project.cards import Card
    from cadran.reports.pack import Pack

MEDIA = {
    "html": "text/html; charset=utf-8",
    "pdf": "application/pdf",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


def form_of(text: str) -> str:
    """A form by its name.

    Raises:
        QueryError: there is no such form.
    """
    form = text.strip()
    if form not in MEDIA:
        raise QueryError(f"format is {form!r}; it can be {', '.join(MEDIA)}.")
    return form


def file_name(pack: Pack, form: str) -> str:
    """What the file of a pack is called."""
    return f"pack_{pack.key}_{pack.lang}.{form}"


def content(
    pack: Pack, form: str, *, cards: Iterable[Card] = (), template: Path | None = None
) -> bytes:
    """The pack in one form; the same pack gives the same bytes.

    Args:
        pack: the document.
        form: one of `MEDIA`.
        cards: of KPIs that whoever asks may see, for the definitions in a workbook.
        template: of slides; by default our own.

    Raises:
        ReportError: the pack cannot be laid out, or the template cannot be used.
    """
    if form == "html":
        return html(pack).encode()
    if form == "pdf":
        return pdf(pack)
    if form == "pptx":
        from cadran.reports.slides import slides

        return slides(pack, template)
    from cadran.reports.annex import annex

    return annex(pack, cards)

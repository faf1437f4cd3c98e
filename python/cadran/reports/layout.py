"""Whether a laid-out document is whole: nothing past the margin, nothing on something else.

It walks the boxes that WeasyPrint laid out, so that it judges what is printed and not what was
meant. Lengths are in CSS pixels.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weasyprint import Document

_PIXELS = 96 / 25.4  # of a millimetre
_LEFT, _RIGHT, _FOOT = 14 * _PIXELS, 283 * _PIXELS, 205 * _PIXELS
_CONTENT = 197.5 * _PIXELS  # where the foot begins
_SLACK = 0.6
_APART = ("block", "tile", "foot", "contents", "head", "subtitle")  # none may touch another


class Area(NamedTuple):
    """The place of a box on its page, and what it is."""

    left: float
    top: float
    right: float
    bottom: float
    name: str

    def meets(self, other: Area) -> bool:
        """Whether both cover something together."""
        return (
            min(self.right, other.right) - max(self.left, other.left) > _SLACK
            and min(self.bottom, other.bottom) - max(self.top, other.top) > _SLACK
        )


def faults(document: Document, pages: int) -> list[str]:
    """What is wrong with the layout, each in a sentence; empty where all is well.

    Args:
        document: as WeasyPrint rendered it.
        pages: how many it is to have.
    """
    sentences = []
    if len(document.pages) != pages:
        sentences.append(f"The document has {len(document.pages)} pages instead of {pages}.")
    for number, page in enumerate(document.pages, start=1):
        root = page._page_box  # noqa: SLF001 - WeasyPrint offers its boxes nowhere else
        sentences += [f"Page {number}: {fault}" for fault in _of_page(root)]
    return sentences


def _of_page(root: Any) -> Iterator[str]:
    areas: list[Area] = []
    seen: list[Any] = []  # an element may have several boxes, its own the first
    for box, inside in _walk(root, ()):
        if type(box).__name__ == "TextBox" and box.text.strip():
            yield from _text(box, inside)
        elif box.element_tag == "svg" and hasattr(box, "replacement"):
            yield from _picture(box)
        names = _classes(box)
        is_block = type(box).__name__ in {"BlockBox", "AbsolutePlaceholder"}
        if is_block and names & set(_APART) and box.element not in seen:
            seen.append(box.element)
            name = next(name for name in _APART if name in names)
            if not any("block" in _classes(outer) for outer in inside) or name == "tile":
                areas.append(_area(box, name))
    for one, other in combinations(areas, 2):
        if {one.name, other.name} != {"block", "tile"} and one.meets(other):
            yield f"a {one.name} and a {other.name} lie on each other at {_at(other)}."


def _walk(box: Any, inside: tuple[Any, ...]) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    yield box, inside
    for child in getattr(box, "children", ()):
        yield from _walk(child, (*inside, box))


def _text(box: Any, inside: tuple[Any, ...]) -> Iterator[str]:
    area = _area(box, box.text.strip()[:40])
    is_foot = any({"foot", "contents"} & _classes(outer) for outer in inside)
    if area.left < _LEFT - _SLACK or area.right > _RIGHT + _SLACK:
        yield f"'{area.name}' stands past the margin at {_at(area)}."
    if area.bottom > (_FOOT if is_foot else _CONTENT) + _SLACK:
        yield f"'{area.name}' stands below the content at {_at(area)}."
    cell = next((b for b in reversed(inside) if type(b).__name__ == "TableCellBox"), None)
    if cell is not None:
        room = _area(cell, "")
        if area.left < room.left - _SLACK or area.right > room.right + _SLACK:
            yield f"'{area.name}' is wider than its cell at {_at(area)}."


def _picture(box: Any) -> Iterator[str]:
    area = _area(box, "picture")
    if area.left < _LEFT - _SLACK or area.right > _RIGHT + _SLACK or area.bottom > _CONTENT:
        yield f"a picture stands past the margin at {_at(area)}."


def _area(box: Any, name: str) -> Area:
    left, top = box.position_x, box.position_y
    if hasattr(box, "border_width"):
        left, top = left + _number(box.margin_left), top + _number(box.margin_top)
        return Area(left, top, left + box.border_width(), top + box.border_height(), name)
    return Area(left, top, left + box.width, top + box.height, name)


def _number(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0


def _classes(box: Any) -> set[str]:
    element = getattr(box, "element", None)
    return set() if element is None else set((element.get("class") or "").split())


def _at(area: Area) -> str:
    return f"{area.left / _PIXELS:.0f} mm from the left, {area.top / _PIXELS:.0f} mm from the top"

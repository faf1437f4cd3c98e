"""Names, descriptions and format strings as Power BI shows them, in English and French."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING

from cadran.formats import CURRENCIES, SHORT, SYMBOLS

if TYPE_CHECKING:
    from cadran.cards import Card

COMPONENTS = {"en": "Components", "fr": "Composantes"}
_HEADINGS = {
    "en": ("Formula", "Not for", "Status", "Version", "Ask"),
    "fr": ("Formule", "Ne pas utiliser pour", "Statut", "Version", "Contact"),
}
_STATUSES = {"draft": "brouillon", "certified": "certifié", "deprecated": "abandonné"}
_CODE = re.compile("[A-Z]{3}")
_SPACE = uuid.UUID("5f0c6a52-6f0e-5c2f-9a43-5f2a3c7c9d11")


def in_words(name: str) -> str:
    """A snake-case name as plain words: `order_net_amount` is "Order net amount"."""
    text = name.replace("_", " ").strip()
    return text[:1].upper() + text[1:]


def table_name(mart: str) -> str:
    """The plain name of a mart: `fct_order_lines` is "Order lines"."""
    return in_words(re.sub(r"^(fct|dim|stg|int|mart)_", "", mart))


def described(card: Card, language: str) -> str:
    """The description of a measure: what it is, its formula, its limits and who answers for it."""
    shown = card.localized(language)
    formula, not_for, status, version, ask = _HEADINGS[language]
    colon = " :" if language == "fr" else ":"
    state = _STATUSES[card.status] if language == "fr" else card.status
    lines = [shown.description, f"{formula}{colon} {shown.formula}"]
    if shown.not_for:
        lines.append(f"{not_for}{colon} {', '.join(shown.not_for)}")
    lines.append(
        f"{status}{colon} {state}. {version} {card.version}. {ask}{colon} {card.owner.business}"
    )
    return "\n".join(lines)


def format_string(unit: str, decimals: int) -> str:
    """The format of a unit as Excel and DAX write it, with three sections: plus, minus, zero."""
    places = f".{'0' * decimals}" if decimals else ""
    if unit == "%":
        shown = f"0{places}%"
        return f"{shown};-{shown};{shown}"
    symbol = SYMBOLS.get(unit, unit)
    amount = f"#,0{places}"
    if symbol in CURRENCIES or _CODE.fullmatch(symbol):
        mark = "".join(f"\\{sign}" for sign in symbol) + ("" if symbol in CURRENCIES else "\\ ")
        return f"{mark}{amount};-{mark}{amount};{mark}{amount}"
    if symbol in SHORT:
        amount += "\\ " + "".join(f"\\{sign}" for sign in symbol)
    return f"{amount};-{amount};{amount}"


def lineage(*parts: str) -> str:
    """A lineage tag that stays the same from export to export, however the thing is labelled."""
    return str(uuid.uuid5(_SPACE, "/".join(parts)))


def unique(wanted: str, taken: set[str], otherwise: str) -> str:
    """The name, or with the technical one in brackets where it is taken; Power BI ignores case."""
    name = wanted if wanted.casefold() not in taken else f"{wanted} ({otherwise})"
    taken.add(name.casefold())
    return name

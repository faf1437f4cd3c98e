"""From what a page holds to HTML: templates, filled with words and figures."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cadran import shell
from cadran.charts.page import page, spark
from cadran.web import parts

if TYPE_CHECKING:
    from jinja2 import Environment

    from cadran.insight.wording import Words

_HOME = Path(__file__).parent


@cache
def _templates() -> Environment:
    environment = shell.environment(_HOME / "templates")
    environment.globals |= {
        "draw": page,
        "spark": spark,
        "style": style,
        "standing": parts.standing,
        "absence": parts.absence,
        "basis": parts.basis,
    }
    return environment


@cache
def asset(name: str) -> bytes:
    """A file that pages refer to."""
    return (shell.STYLE if name == shell.STYLE.name else _HOME / "assets" / name).read_bytes()


@cache
def style(name: str) -> str:
    """The address of an asset, which changes with its content so that it may be kept for ever."""
    digest = hashlib.sha256(asset(name)).hexdigest()[:12]
    return f"/board/assets/{digest}/{name}"


def rendered(template: str, w: Words, **context: Any) -> str:
    """A page."""
    return _templates().get_template(template).render(w=w, **context)

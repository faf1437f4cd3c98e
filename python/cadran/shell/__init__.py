"""What every page stands in, live or frozen: its frame, its colours and its type scale."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment

_HOME = Path(__file__).parent
STYLE = _HOME / "assets" / "shell.css"


def environment(folder: Path) -> Environment:
    """The templates of a folder, and the frame that they extend: `shell.html`."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader([folder, _HOME / "templates"]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )

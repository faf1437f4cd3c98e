"""The gate, the authenticator and the record that a server's files ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cadran.access import policy as policies
from cadran.access.authenticate import Bearers
from cadran.access.judge import PolicyGate
from cadran.access.oidc import Logins
from cadran.access.record import Record

if TYPE_CHECKING:
    from pathlib import Path

    from cadran.access.audit import Audit
    from cadran.access.authenticate import Authenticator
    from cadran.access.gate import Gate
    from cadran.access.oidc import Provider


def authenticator(tokens: Path, logins: Provider | None) -> Authenticator:
    """Who knows callers: tokens and logins where there are any, else anybody may ask.

    Raises:
        PolicyError: the file of tokens cannot be read.
    """
    return Bearers(tokens, Logins(logins) if logins is not None else None)


def gate(policy: Path) -> Gate:
    """What judges questions: the policy where there is one, else the cards alone.

    Raises:
        PolicyError: the policy cannot be read.
    """
    return PolicyGate(policies.read(policy) if policy.exists() else None)


def audit(folder: Path) -> Audit:
    """What records questions."""
    return Record(folder)

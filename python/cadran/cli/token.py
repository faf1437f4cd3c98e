"""`cadran token`: make, list and revoke the tokens of a server."""

from __future__ import annotations

import datetime as dt
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cadran.cli.common import add_project, examples
from cadran.cli.output import add_format, write_rows

if TYPE_CHECKING:
    import argparse

_DURATION = re.compile(r"(\d+)\s*([hdwmy])", re.IGNORECASE)
_HOURS = {"h": 1, "d": 24, "w": 7 * 24, "m": 30 * 24, "y": 365 * 24}
_LIMITS = (
    ("per_minute", int, "questions in a minute"),
    ("rows", int, "rows of one answer"),
    ("seconds", float, "seconds that one question may run"),
    ("megabytes", float, "megabytes of one answer"),
    ("at_once", int, "questions that run at the same time"),
)


def add(parser: argparse.ArgumentParser, _: str) -> None:
    """Describe the command's arguments."""
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    create = actions.add_parser("create", help="make a token; it is shown once")
    create.add_argument("name", metavar="NAME", help="who or what bears it")
    create.add_argument(
        "--role", action="append", default=[], help="a role of the policy; the first given counts"
    )
    create.add_argument(
        "--scope",
        action="append",
        choices=("query", "metadata", "admin"),
        help="what it is for (default: query and metadata)",
    )
    create.add_argument(
        "--expires",
        default="90d",
        metavar="WHEN",
        help="12h, 90d, 1y, 2027-06-30 or never (default: %(default)s)",
    )
    for name, kind, what in _LIMITS:
        flag = f"--{name.replace('_', '-')}"
        create.add_argument(flag, type=kind, metavar="N", help=f"most {what}")
    create.set_defaults(run=_create)
    listed = actions.add_parser("list", help="the tokens there are, without the tokens themselves")
    add_format(listed)
    listed.set_defaults(run=_list)
    revoked = actions.add_parser("revoke", help="refuse a token from now on")
    revoked.add_argument("which", metavar="ID|NAME", help="of one token, or all of a name")
    revoked.set_defaults(run=_revoke)
    for action in (create, listed, revoked):
        action.add_argument("--tokens", type=Path, metavar="FILE", help="the file of tokens")
        add_project(action, built=False)
    examples(
        parser,
        "cadran token create dashboard --role board --expires 90d --per-minute 600 --rows 100000",
        "cadran token list",
        "cadran token revoke dashboard",
    )


def _create(parsed: argparse.Namespace) -> int:
    from cadran.access import tokens
    from cadran.access.caller import Limits

    found = _settings(parsed)
    _check_roles(found.policy, parsed.role)
    given: dict[str, Any] = {name: getattr(parsed, name) for name, _, _ in _LIMITS}
    secret, token = tokens.create(
        found.tokens,
        parsed.name,
        roles=tuple(parsed.role),
        scopes=tuple(parsed.scope or ("query", "metadata")),
        limits=Limits(**given),
        expires=_until(parsed.expires, dt.datetime.now(dt.UTC)),
    )
    until = f"until {token.expires:%Y-%m-%d %H:%M} UTC" if token.expires else "without an end"
    print(secret)
    print(
        f"cadran: token {token.id} of {token.name} holds {until}; it is shown this once and kept"
        " nowhere",
        file=sys.stderr,
    )
    return 0


def _list(parsed: argparse.Namespace) -> int:
    from dataclasses import asdict

    from cadran.access import tokens

    now = dt.datetime.now(dt.UTC)
    rows = [
        {
            "id": token.id,
            "name": token.name,
            "ends_in": token.last,
            "state": token.ended(now) or "holds",
            "roles": list(token.roles),
            "scopes": list(token.scopes),
            "created": token.created,
            "expires": token.expires,
            "limits": {
                key: value for key, value in asdict(token.limits).items() if value is not None
            },
        }
        for token in tokens.read(_settings(parsed).tokens)
    ]
    write_rows(rows, parsed.format, parsed.output)
    return 0


def _revoke(parsed: argparse.Namespace) -> int:
    from cadran.access import tokens

    ended = tokens.revoke(_settings(parsed).tokens, parsed.which)
    for token in ended:
        print(f"{token.id} of {token.name} is refused from now on")
    if not ended:
        print(f"cadran: {parsed.which} was revoked before", file=sys.stderr)
    return 0


def _settings(parsed: argparse.Namespace) -> Any:
    from cadran.server import settings

    return settings.read(parsed.project_dir, {"tokens": parsed.tokens})


def _check_roles(policy: Path, roles: list[str]) -> None:
    """Refuse a role that the policy does not know, where there is one."""
    from cadran.access import policy as policies
    from cadran.errors import UnknownNameError

    if not policy.exists():
        return
    known = policies.read(policy).roles
    for role in roles:
        if role not in known:
            raise UnknownNameError("role", role, known, where=f" in {policy.name}")


def _until(text: str, now: dt.datetime) -> dt.datetime | None:
    """The instant that `--expires` means."""
    from cadran.errors import QueryError

    words = text.strip().lower()
    if words == "never":
        return None
    now = now.replace(microsecond=0)
    duration = _DURATION.fullmatch(words)
    if duration:
        return now + dt.timedelta(hours=int(duration[1]) * _HOURS[duration[2]])
    try:
        day = dt.date.fromisoformat(words)
    except ValueError:
        raise QueryError(
            f"--expires is '{text}'; it takes 12h, 90d, 1y, 2027-06-30 or never."
        ) from None
    # To the end of the day that was named.
    until = dt.datetime.combine(day, dt.time.min, dt.UTC) + dt.timedelta(days=1)
    if until <= now:
        raise QueryError(f"--expires is '{text}', which has passed.")
    return until

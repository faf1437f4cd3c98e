"""`cadran token`: make, list and revoke the tokens of a server."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cadran.access import policy as policies
from cadran.access import tokens
from cadran.access.authorize import PolicyGate
from cadran.access.caller import SCOPES, Caller, Limits
from cadran.audit import log, usage
from cadran.cli.common import FORMATS, describe, examples, open_layer, write, write_rows
from cadran.cli.language import tell, warn
from cadran.core.query.request import Query
from cadran.core.semantics.governed import TIME
from cadran.errors import CadranError, PolicyError, QueryError, UnknownNameError
from cadran.server import settings

if TYPE_CHECKING:
    import argparse

    from cadran.access.policy import Policy
    from cadran.core.layer import Layer


_DURATION = re.compile(r"(\d+)\s*(mo|[hdwy])", re.IGNORECASE)
_HOURS = {"h": 1, "d": 24, "w": 7 * 24, "mo": 30 * 24, "y": 365 * 24}
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
    file = "\n--tokens FILE  the file of tokens\n"
    create = actions.add_parser("create", help="make a token; it is shown once")
    usage = f"""
name NAME       who or what bears it
--role ROLE...  a role of the policy; the first given counts
--scope         what it is for (default: query and metadata)
--expires WHEN  12h, 90d, 1y, 2027-06-30 or never (default: %(default)s)
{file}"""
    scopes = {"action": "append", "choices": SCOPES}
    expires = {"default": "90d"}
    describe(create, _create, usage, project="folder", scope=scopes, expires=expires)
    for name, kind, what in _LIMITS:
        flag = f"--{name.replace('_', '-')}"
        create.add_argument(flag, type=kind, metavar="N", help=f"most {what}")
    lister = actions.add_parser("list", help="the tokens there are, without the tokens themselves")
    describe(lister, _list, file, formats=FORMATS, project="folder")
    revoked = actions.add_parser("revoke", help="refuse a token from now on")
    usage = f"which ID|NAME  of one token, or all of a name{file}"
    describe(revoked, _revoke, usage, project="folder")
    examples(
        parser,
        "cadran token create dashboard --role board --expires 90d --per-minute 600 --rows 100000",
        "cadran token list",
        "cadran token revoke dashboard",
    )


def _create(parsed: argparse.Namespace) -> int:
    settings = _settings(parsed)
    _check_roles(settings.policy, parsed.role)
    limits: dict[str, Any] = {name: getattr(parsed, name) for name, _, _ in _LIMITS}
    secret, token = tokens.create(
        settings.tokens,
        parsed.name,
        roles=tuple(parsed.role),
        scopes=tuple(parsed.scope or ("query", "metadata")),
        limits=Limits(**limits),
        expires=_until(parsed.expires, dt.datetime.now(dt.UTC)),
    )
    until = f"until {token.expires:%Y-%m-%d %H:%M} UTC" if token.expires else "without an end"
    print(secret)
    warn(f"token {token.id} of {token.name} holds {until}; it is shown this once and kept nowhere")
    return 0


def _list(parsed: argparse.Namespace) -> int:
    from dataclasses import asdict

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
    ended = tokens.revoke(_settings(parsed).tokens, parsed.which)
    for token in ended:
        tell(f"{token.id} of {token.name} is refused from now on")
    if not ended:
        warn(f"{parsed.which} was revoked before")
    return 0


def _settings(parsed: argparse.Namespace) -> Any:
    return settings.read(parsed.project_dir, {"tokens": parsed.tokens}, makes=("tokens", "policy"))


def _check_roles(policy: Path, roles: list[str]) -> None:
    """Refuse a role that the policy does not know, where there is one."""
    if not policy.exists():
        return
    roles_of_policy = policies.read(policy).roles
    for role in roles:
        if role not in roles_of_policy:
            raise UnknownNameError("role", role, roles_of_policy, where=f" in {policy.name}")


def _until(text: str, now: dt.datetime) -> dt.datetime | None:
    """The instant that `--expires` means."""
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
            f"--expires is '{text}'; it takes 12h, 90d, 6mo, 1y, 2027-06-30 or never."
        ) from None
    # To the end of the day that was named.
    until = dt.datetime.combine(day, dt.time.min, dt.UTC) + dt.timedelta(days=1)
    if until <= now:
        raise QueryError(f"--expires is '{text}', which has passed.")
    return until


ALLOWED, REFUSED = 0, 1


def add_policy(parser: argparse.ArgumentParser, _: str) -> None:
    """Describe the command's arguments."""
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    file = "\n--policy FILE  the policy file\n"
    show = actions.add_parser("show", help="what a role may see, or all roles there are")
    more: dict[str, Any] = {"as": {"dest": "role"}}
    describe(show, _show, f"--as ROLE  one role{file}", formats=FORMATS, **more)
    test = actions.add_parser(
        "test", help="whether a role may ask a question, as what SQL, and what it gets; 1: refused"
    )
    usage = f"""
--as ROLE           several: with commas, in order
--metrics X+        KPIs or metrics
--group-by X+       dimensions and times with a grain
--where X+          filters, as they would come from a network
--order-by X+       columns
--start TIME        first day or instant
--end TIME          last day or instant
--saved-query NAME  start from a saved query
--limit N           rows (default: 20)
--sql-only          do not ask the warehouse
{file}"""
    more = {"as": {"dest": "role", "required": True}, "limit": {"default": 20}}
    describe(test, _test, usage, formats=FORMATS, **more)
    examples(
        parser,
        "cadran policy show",
        "cadran policy show --as sales_france",
        "cadran policy test --as sales_france --metrics net_revenue --group-by metric_time__month",
    )


def _show(parsed: argparse.Namespace) -> int:
    layer = open_layer(parsed)
    gate, policy = _gate(parsed, layer)
    if parsed.role is None:
        rows = [
            {"role": name, "rows": list(role.rows), "description": role.description}
            for name, role in policy.roles.items()
        ]
    else:
        rows = _rights(gate, policy, parsed.role, layer)
    write_rows(rows, parsed.format, parsed.output)
    return 0


def _rights(gate: PolicyGate, policy: Policy, name: str, layer: Layer) -> list[dict[str, Any]]:
    """Each metric that a role may see, with what it may be grouped by and what is counted."""
    role = policy.roles[name]
    visible = gate.visible(Caller(name, (name,)), layer)
    rows = []
    for metric in sorted(visible.metrics or ()):
        card = layer.card(metric) if layer.is_kpi(metric) else None
        dimensions = [item["name"] for item in layer.dimensions(metric)]
        rows.append(
            {
                "metric": metric,
                "is_kpi": card is not None,
                "dimensions": [d for d in dimensions if d != TIME and visible.dimension(d)],
                "rows": list(role.rows),
                "minimum_cell": max(role.minimum_cell, card.minimum_cell)
                if card is not None and card.minimum_cell
                else None,
                "refused": _refusal(gate, name, metric, layer),
            }
        )
    return rows


def _refusal(gate: PolicyGate, role: str, metric: str, layer: Layer) -> str:
    """Why a role may not even ask the periods of a metric; empty where it may."""
    grain = layer.card(metric).grains[-1] if layer.is_kpi(metric) else "year"
    query = Query.of({"metrics": [metric], "group_by": [f"metric_time__{grain}"]})
    try:
        gate.allow(Caller(role, (role,)), query, layer)
    except CadranError as problem:
        return str(problem)
    return ""


def _test(parsed: argparse.Namespace) -> int:
    layer = open_layer(parsed)
    gate, _ = _gate(parsed, layer)
    query = Query.of(
        {
            "metrics": parsed.metrics, "group_by": parsed.group_by, "where": parsed.where,
            "order_by": parsed.order_by, "start": parsed.start, "end": parsed.end,
            "saved_query": parsed.saved_query,
        }
    )  # fmt: skip
    caller = Caller("policy test", tuple(name.strip() for name in parsed.role.split(",")))
    try:
        allowed = gate.allow(caller, query, layer)
    except CadranError as problem:
        tell(f"refused: {problem}")
        return REFUSED
    tell(f"allowed as {allowed.role}")
    print(layer.compiled(allowed.query))
    if not parsed.sql_only:
        result = layer.answer(allowed.query)
        table = gate.suppress(result.to_arrow(), allowed, layer)
        write(table.slice(0, parsed.limit), parsed.format, parsed.output)
    return ALLOWED


def _gate(parsed: argparse.Namespace, layer: Layer) -> tuple[PolicyGate, Policy]:
    """The gate of the project's policy, which fits its definitions and knows the roles asked."""
    file = settings.read(layer.project.root, {"policy": parsed.policy}, makes=("policy",)).policy
    if not file.exists():
        raise PolicyError(
            f"There is no policy at {file}: without one, every governed question may be asked."
        )
    policy = policies.read(file)
    gate = PolicyGate(policy)
    gate.check(layer)
    for name in (parsed.role or "").split(","):
        if name and name.strip() not in policy.roles:
            raise UnknownNameError("role", name.strip(), policy.roles, where=f" in {file.name}")
    return gate, policy


def add_usage(parser: argparse.ArgumentParser, _: str) -> None:
    """Describe the command's arguments."""
    parser.description = (
        f"{parser.description} KPIs that nobody asked are in it, with 0. What the server asks"
        " itself to be warm does not count."
    )
    usage = """
        --since WHEN    questions from then on: 30d or 2026-10-01 (default: all)
        --audit FOLDER  the record of questions
    """
    shown = ("cadran usage", "cadran usage --since 90d --format csv")
    describe(parser, _run_usage, usage, formats=FORMATS, shown=shown)


def _run_usage(parsed: argparse.Namespace) -> int:
    """Print one row for each KPI, those asked most first."""
    layer = open_layer(parsed)
    folder = parsed.audit or usage.folder_of(layer.project.root or Path())
    entries = log.read(folder, _since(parsed.since))
    for place in entries.torn[:10]:
        warn(f"{place} is torn and was skipped")
    if not entries.entries:
        warn(f"no question is recorded in {folder}")
    kpis = [card.name for card in layer.kpis()]
    used = usage.of(entries.entries, kpis).values()
    rows = [
        kpi_usage.row()
        for kpi_usage in sorted(used, key=lambda kpi_usage: (-kpi_usage.questions, kpi_usage.name))
    ]
    write_rows(rows, parsed.format, parsed.output)
    return 0


def _since(text: str | None) -> dt.datetime | None:
    if text is None:
        return None
    days = re.fullmatch(r"(\d{1,5})\s*d", text.strip())
    if days:
        return dt.datetime.now(dt.UTC) - dt.timedelta(days=int(days[1]))
    try:
        return dt.datetime.combine(dt.date.fromisoformat(text.strip()), dt.time.min, dt.UTC)
    except ValueError:
        raise QueryError(f"--since is '{text}'; it takes 30d or 2026-10-01.") from None

"""`cadran digest`: what a board shows of a period, under the rights of a role."""

from __future__ import annotations

from contextlib import closing
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from cadran.access import authorize
from cadran.access import policy as policies
from cadran.access.caller import LOCAL, Caller
from cadran.cli.common import describe
from cadran.cli.language import tell, warn
from cadran.core.project import artifacts, names
from cadran.core.warehouse import Confinement
from cadran.errors import CadranError, PolicyError, QueryError, UnknownNameError
from cadran.formats import files
from cadran.insight import service_levels
from cadran.insight.readings import Reader
from cadran.insight.view import period_text
from cadran.insight.wording import Words
from cadran.reliability.alerts import delivery
from cadran.server import settings as server_settings
from cadran.serving import memory
from cadran.serving.service import QueryService, RequestContext
from cadran.serving.snapshots import SnapshotStore

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from cadran.reliability.alerts.policy import Receiver
    from cadran.web.digest import Digest
    from cadran.web.subscriptions import Subscription

NOTES = """\
Tiles, what changed, promises and links, of the period that the data reaches or of another one.
Names are those of subscriptions in cadran_digests.yml; without one, the flags say what is told. It
is printed as text; --out writes it as a mail and as text, --send sends it. Every figure is read
under the rights of a role where the project has a policy.
"""


def add(parser: argparse.ArgumentParser, _name: str) -> None:
    """Describe the command's arguments."""
    parser.description = f"{parser.description}\n\n{NOTES}"
    usage = """
        digests NAME*      subscriptions of cadran_digests.yml
        --role ROLE        the role of the policy under whose rights it is read
        --period PERIOD    2026-10, 2026-W48, 2026-Q3, 2026, or `last` for the last that is over
        --grain GRAIN      of a period that is not named (default: %(default)s)
        --address URL      where the board is, so that links lead there
        --name NAME        the organisation in the title (default: the project's name)
        --out FOLDER       write it there: .html and .txt
        --send [RECEIVER]  send it: to the receivers of the subscriptions, or to this one of
                           cadran_alerts.yml, which Apprise reaches
    """
    shown = (
        "cadran digest --lang fr",
        "cadran digest --lang fr --role board --send direction",
        "cadran digest committee support --send",
    )
    describe(
        parser, _digest, usage, language=True, shown=shown,
        send={"nargs": "?", "const": "", "metavar": "RECEIVER"}, name={"default": ""},
        grain={"choices": ("week", "month", "quarter", "year"), "default": "month"},
        address={"default": ""}, role={"default": ""}, period={"default": ""},
    )  # fmt: skip


def _digest(parsed: argparse.Namespace) -> int:
    from cadran.reliability.alerts import policy
    from cadran.web import subscriptions

    known = subscriptions.read(parsed.project_dir)
    address = parsed.address or known.address or ""
    if parsed.address:
        try:
            subscriptions.is_address(address)
        except ValueError as problem:
            raise QueryError(f"--address {problem}.") from None
    if parsed.digests:
        if parsed.send:
            raise QueryError(
                f"Digests go to the receivers that {subscriptions.FILE} names: write --send alone."
            )
        wanted = [known.named(name) for name in parsed.digests]
    else:
        if parsed.send == "":
            raise QueryError(
                "Nobody is named who gets it: write --send RECEIVER, or the names of digests of"
                f" {subscriptions.FILE} before it."
            )
        wanted = [_of_flags(parsed)]
    # Who gets it, and what each role may see, is found out before anything is asked.
    receivers: dict[str, Receiver] = {}
    if parsed.send is not None:
        receivers = {one.receiver: policy.chat(parsed.project_dir, one.receiver) for one in wanted}
    return _each(parsed, wanted, receivers, address)


def _of_flags(parsed: argparse.Namespace) -> Subscription:
    from cadran.web.subscriptions import Subscription

    return Subscription(
        "digest", parsed.send or "", parsed.role, parsed.lang, parsed.grain, parsed.period
    )


def _each(
    parsed: argparse.Namespace,
    wanted: list[Subscription],
    receivers: dict[str, Receiver],
    address: str,
) -> int:
    """Make each digest and take it to where it goes; one that fails keeps no other back."""
    settings = server_settings.read(parsed.project_dir, {})
    callers = {one.role: _caller(settings.policy, one) for one in wanted}
    project = artifacts.find(parsed.project_dir, parsed.manifest, parsed.database)
    confined = Confinement(settings.memory or memory.share(), settings.threads)
    audit = authorize.audit(settings.audit, strict=settings.must_record)
    snapshots = SnapshotStore(project, confined=confined)
    failed = False
    with closing(
        QueryService(snapshots, gate=authorize.gate(settings.policy), audit=audit, seconds=None)
    ) as service:
        snapshots.refresh(force=True)
        service.gate.check(snapshots.current.layer)
        for one in wanted:
            receiver = receivers.get(one.receiver)
            try:
                made, stem = _made(service, callers[one.role], one, receiver, parsed, address)
                _taken(made, stem, parsed, receiver)
            except CadranError as problem:
                if not parsed.digests:
                    raise
                failed = True
                warn(f"digest {one.name}: {problem}")
    return 2 if failed else 0


def _caller(file: Path, one: Subscription) -> Caller:
    """As whom a digest is read: with a role of the policy where there is one, else with all.

    Raises:
        PolicyError: a policy asks for a role and none is named, or the other way round.
        UnknownNameError: the policy has no such role.
    """
    if not file.exists():
        if one.role:
            raise PolicyError(
                f"Digest '{one.name}' has the role {one.role}, and there is no policy at {file}"
                " that says what it may see."
            )
        return LOCAL
    roles = policies.read(file).roles
    if not one.role:
        raise PolicyError(
            f"Digest '{one.name}' names no role, and {file.name} says what each may see: name one"
            f" of {', '.join(sorted(roles))}."
        )
    if one.role not in roles:
        raise UnknownNameError("role", one.role, roles, where=f" in {file.name}")
    return Caller(f"digest {one.name}", (one.role,), frozenset(("query", "metadata")))


def _made(  # noqa: PLR0913, PLR0917 - for whom and of what
    service: QueryService,
    caller: Caller,
    one: Subscription,
    receiver: Receiver | None,
    parsed: argparse.Namespace,
    address: str,
) -> tuple[Digest, str]:
    """The digest, and the name of its files without their ends."""
    from cadran.web import digest

    view = one.view(receiver.lang if receiver else parsed.lang)
    with service.source(RequestContext(caller, "digest", is_page=True)) as source:
        reader = Reader(source, view, cache(partial(service.sees_whole, caller)))
        if one.period == digest.LAST:
            reader = digest.last_period(reader)
        project = source.layer.project
        words = Words(
            view.lang, service_levels.zone(reader), more=names.words(project.root, view.lang)
        )
        name = parsed.name or project.title
        made = digest.digest(reader, words, name=name, address=address)
        window = reader.window(reader.cards())
    period = period_text(window.first, window.grain) if window else view.grain
    return made, f"{one.name}-{period}-{view.lang}"


def _taken(made: Digest, stem: str, parsed: argparse.Namespace, receiver: Receiver | None) -> None:
    written: dict[str, Any] = {".html": made.page, ".txt": f"{made.title}\n\n{made.text}"}
    if parsed.out is not None:
        parsed.out.mkdir(parents=True, exist_ok=True)
        for suffix, text in written.items():
            file = parsed.out / f"{stem}{suffix}"
            files.write(file, text.encode())
            print(file)
    if receiver is not None:
        delivery.Chat(receiver, parsed.project_dir).send_letter(made.letter)
        tell(f"{receiver.name} has it.")
    elif parsed.out is None:
        print(written[".txt"])

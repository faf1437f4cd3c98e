"""How a notification goes out: Alertmanager's v2 API, a signed webhook, or Apprise.

A notification has one id however often it is tried, so that a receiver which has it already knows
it: Alertmanager by the labels of the alert, a webhook by its header `webhook-id`. Signatures are
those of Standard Webhooks (standardwebhooks.com): `v1,` and the HMAC-SHA256, in base64, of
`<webhook-id>.<webhook-timestamp>.<body>`.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import datetime as dt
import hashlib
import hmac
import json
import logging
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from cadran.errors import AlertsError, ServiceError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from cadran.reliability.alerts.policy import Receiver

_WAIT = 10.0  # seconds for an answer
_TOLERANCE = 300  # seconds that the clocks of sender and receiver may be apart
_PREFIX = "whsec_"
_OK = range(200, 300)
RESEND = dt.timedelta(minutes=1)  # how often Alertmanager hears that an alert still fires
_HOLDS = 4 * RESEND  # and for how long it believes so


@dataclass(frozen=True, slots=True)
class Letter:
    """A message in each form that a service may take.

    Attributes:
        title: of it.
        text: in words.
        marked: as Markdown, for chats.
        html: as a mail, whose pictures are named `cid:<name>`; empty where words do.
        pictures: PNG by name.
    """

    title: str
    text: str
    marked: str
    html: str = ""
    pictures: Mapping[str, bytes] = field(default_factory=dict)


class Sender(Protocol):
    """What takes notifications to one receiver. Called by one thread at a time."""

    def send(self, body: dict[str, Any], now: dt.datetime) -> None:
        """Take it there.

        Raises:
            ServiceError: the receiver cannot be reached, or does not want it.
            AlertsError: a secret is not there.
        """


class _Http:
    """A receiver that is reached by POST; no redirection is followed."""

    def __init__(self, receiver: Receiver, root: Path) -> None:
        self._receiver, self._root = receiver, root

    def _post(self, url: str, content: bytes, headers: Mapping[str, str]) -> None:
        import httpx

        sent = {"content-type": "application/json", "user-agent": "cadran", **headers}
        if self._receiver.authorization is not None:
            sent["authorization"] = self._receiver.authorization.read(self._root)
        name = self._receiver.name
        try:
            status = asyncio.run(_posted(url, content, sent))
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, ValueError) as problem:
            # Its message may hold the address, in which secrets may stand.
            raise ServiceError(
                f"Receiver '{name}' cannot be reached: {type(problem).__name__}."
            ) from None
        if status not in _OK:
            raise ServiceError(f"Receiver '{name}' answers {status}.")


async def _posted(url: str, content: bytes, headers: Mapping[str, str]) -> int:
    """The status of the answer, all in all in time: also where it comes byte by byte."""
    import httpx

    async with (
        asyncio.timeout(_WAIT),
        httpx.AsyncClient(timeout=_WAIT) as client,
        client.stream("POST", url, content=content, headers=headers) as answer,
    ):
        return answer.status_code  # its body is not read: nobody knows how long it is


class Webhook(_Http):
    """A signed JSON document for each step of an alert."""

    def send(self, body: dict[str, Any], now: dt.datetime) -> None:
        """Post it."""
        receiver = self._receiver
        assert receiver.webhook is not None and receiver.secret is not None  # noqa: S101, PT018 - a webhook has both
        content = json.dumps(body, ensure_ascii=False).encode()
        headers = signed(receiver.secret.read(self._root), body["id"], content, now)
        self._post(receiver.webhook, content, headers)


class Alertmanager(_Http):
    """Alerts of an Alertmanager; one that fires is to be sent again and again."""

    def send(self, body: dict[str, Any], now: dt.datetime) -> None:
        """Post one alert."""
        self.send_all([body], now)

    def send_all(self, bodies: list[dict[str, Any]], now: dt.datetime) -> None:
        """Post several alerts at once.

        Raises:
            ServiceError: as `send`.
        """
        receiver = self._receiver
        assert receiver.alertmanager is not None  # noqa: S101 - an Alertmanager has an address
        content = json.dumps([_of_alertmanager(body, now) for body in bodies]).encode()
        self._post(f"{receiver.alertmanager.rstrip('/')}/api/v2/alerts", content, {})


def _of_alertmanager(body: dict[str, Any], now: dt.datetime) -> dict[str, Any]:
    """An alert as Alertmanager's v2 API takes it; an empty label would be refused."""
    starts_at = body["starts_at"] or now.isoformat()
    is_firing = body["status"] == "firing"
    ends_at = (now + _HOLDS).isoformat() if is_firing else body["ends_at"] or now.isoformat()
    annotations = {
        "summary": body["title"], "description": body["text"], "runbook_url": body["runbook"],
        "owner": body["owner"],
    }  # fmt: skip
    return {
        "labels": {name: value for name, value in body["labels"].items() if value},
        "annotations": {name: value for name, value in annotations.items() if value},
        "startsAt": starts_at,
        "endsAt": ends_at,
        **({"generatorURL": body["page"]} if body["page"] else {}),
    }


class Chat:
    """Slack, Teams, e-mail and the rest, by Apprise."""

    def __init__(self, receiver: Receiver, root: Path) -> None:
        """Take the receiver; its URL is read when something is sent."""
        self._receiver, self._root = receiver, root

    def send(self, body: dict[str, Any], now: dt.datetime) -> None:  # noqa: ARG002 - chats have their own clock
        """Write it."""
        kind = "success" if body["status"] == "resolved" else _KINDS[body["labels"]["severity"]]
        self._write(Letter(body["title"], body["text"], _listed(body)), kind)

    def send_files(self, title: str, body: str, files: Sequence[Path]) -> None:
        """Send files with a message.

        Args:
            title: of the message.
            body: of it.
            files: what is attached; not every service takes files.

        Raises:
            ServiceError: the receiver takes no files, or did not take these.
            AlertsError: as `send`.
        """
        chat = self._chat()
        if not all(service.attachment_support for service in chat):
            raise ServiceError(
                f"Receiver '{self._receiver.name}' takes no files: mail, Slack and others do."
            )
        attached = [str(file) for file in files]
        if not chat.notify(title=title, body=body, notify_type="info", attach=attached):
            raise ServiceError(f"Receiver '{self._receiver.name}' did not take the files.")

    def send_letter(self, letter: Letter) -> None:
        """Send a letter in the form that each service takes: a mail, Markdown or words.

        Raises:
            ServiceError: a service did not take it.
            AlertsError: as `send`.
        """
        self._write(letter, "info")

    def _write(self, letter: Letter, kind: str) -> None:
        chat = self._chat()
        from apprise import Apprise, AppriseAttachment
        from apprise.attachment.memory import AttachMemory

        every_one_took_it = True
        for service in chat:
            title, attached = letter.title, None
            # Mail alone can show attached pictures within its text.
            if letter.html and hasattr(service, "inline") and _takes(service, "html"):
                service.inline = True
                form, body = "html", letter.html
                attached = AppriseAttachment(
                    [
                        AttachMemory(content=content, name=name, mimetype="image/png")
                        for name, content in letter.pictures.items()
                    ]
                )
            elif _takes(service, "markdown"):
                form = "markdown"
                title, body = _dressed(service, title, letter.marked)
            else:
                form, body = "text", letter.text
            alone = Apprise(asset=chat.asset)
            alone.add(service)
            every_one_took_it &= bool(
                alone.notify(
                    title=title, body=body, body_format=form, notify_type=kind, attach=attached
                )
            )
        if not every_one_took_it:
            raise ServiceError(f"Receiver '{self._receiver.name}' did not take the message.")

    def _chat(self) -> Any:
        """Apprise with the receiver's URL."""
        try:
            import apprise
        except ImportError:
            raise AlertsError(
                f"Receiver '{self._receiver.name}' needs Apprise: pip install 'cadran[alerts]'."
            ) from None
        # What Apprise logs may hold the URL, in which secrets stand.
        logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
        assert self._receiver.apprise is not None  # noqa: S101 - a chat has one
        # Messages are signed by the project, and load no picture from somewhere else.
        asset = apprise.AppriseAsset(
            app_id="Cadran", app_desc="Cadran", app_url="", image_url_mask="", image_url_logo=""
        )
        chat = apprise.Apprise(asset=asset)
        if not chat.add(self._receiver.apprise.read(self._root)):
            raise AlertsError(
                f"What stands for receiver '{self._receiver.name}' is no URL of Apprise."
            )
        return chat


_KINDS = {"page": "failure", "ticket": "warning"}
_MARKS = re.compile(r"([\\`*_\[\]<>#|])")
_MARKS_OF_SLACK = re.compile(r"\\([`*_|])")
_MOST_OF_A_BLOCK = 3_000  # characters that Slack takes in one


def marked(text: object) -> str:
    """A text in which Markdown finds no mark."""
    return _MARKS.sub(r"\\\1", str(text))


def _listed(body: dict[str, Any]) -> str:
    """A message of an alert as Markdown: its first sentence, and what is known as a list."""
    first, *lines = (marked(line) for line in body["text"].splitlines())
    for url in filter(None, (body.get("runbook"), body.get("page"))):
        # A card of Teams makes no link of an address alone.
        lines = [line.replace(marked(url), f"[{url}]({url})") for line in lines]
    return "\n".join([first, "", *(f"- {line}" for line in lines)])


def _takes(service: Any, form: str) -> bool:
    return bool(service.resolve_format(form) == form)


def _dressed(service: Any, title: str, text: str) -> tuple[str, str]:
    """Title and Markdown as a service shows them whole."""
    kind = type(service).__name__
    if kind == "NotifyWorkflows":  # Teams cuts a heading at the end of its line
        return "", f"**{marked(title)}**\n\n{text}"
    if kind == "NotifySlack":  # whose own marks know no backslash
        text = _MARKS_OF_SLACK.sub(r"\1", text)
        if service.use_blocks and len(text) > _MOST_OF_A_BLOCK:
            service.use_blocks = False  # which would refuse the message
    return title, text


def sender(receiver: Receiver, root: Path) -> Sender:
    """What takes notifications to a receiver.

    Args:
        receiver: of the policies.
        root: the folder that files of secrets are relative to.
    """
    if receiver.webhook is not None:
        return Webhook(receiver, root)
    if receiver.alertmanager is not None:
        return Alertmanager(receiver, root)
    return Chat(receiver, root)


def signed(secret: str, identity: str, content: bytes, now: dt.datetime) -> dict[str, str]:
    """The headers by which a receiver knows who sent a body, and when.

    Raises:
        AlertsError: the secret begins with `whsec_` and goes on with no base64.
    """
    timestamp = str(int(now.timestamp()))
    return {
        "webhook-id": identity,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{_signature(secret, identity, timestamp, content)}",
    }


def is_signed(secret: str, headers: Mapping[str, str], content: bytes, now: dt.datetime) -> bool:
    """Whether a body was sent by who has the secret, and not long ago: for receivers in Python.

    Args:
        secret: that of the webhook.
        headers: of the request, by names in lower case.
        content: of the request, as it came.
        now: the clock.

    Raises:
        AlertsError: the secret is none.
    """
    identity, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not timestamp.isdecimal() or abs(now.timestamp() - int(timestamp)) > _TOLERANCE:
        return False
    right = f"v1,{_signature(secret, identity, timestamp, content)}"
    return any(
        hmac.compare_digest(right.encode(), one.encode())
        for one in headers.get("webhook-signature", "").split()
    )


def _signature(secret: str, identity: str, timestamp: str, content: bytes) -> str:
    key = secret.encode()
    if secret.startswith(_PREFIX):
        try:
            key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
        except binascii.Error:
            raise AlertsError(f"A secret that begins with {_PREFIX} goes on in base64.") from None
    message = f"{identity}.{timestamp}.".encode() + content
    return base64.b64encode(hmac.new(key, message, hashlib.sha256).digest()).decode()

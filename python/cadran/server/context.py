"""What the protocols of a server share: the desk, who asks, the settings, the worker threads."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from cadran.access.authentication import Authenticator
    from cadran.access.caller import Caller
    from cadran.server.settings import Settings
    from cadran.serving.service import Desk

_T = TypeVar("_T")
_BEARER = "bearer "


@dataclass(slots=True)
class House:
    """One server's parts.

    Attributes:
        desk: answers questions.
        who: knows callers.
        settings: how it runs.
        workers: threads in which questions run, shared by all protocols.
        parts: what a protocol keeps between its routes and its running.
    """

    desk: Desk
    who: Authenticator
    settings: Settings
    workers: ThreadPoolExecutor = field(init=False)
    parts: dict[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Start the pool; its threads come when they are needed."""
        self.workers = ThreadPoolExecutor(self.settings.workers, thread_name_prefix="question")

    def caller(self, authorization: str | None) -> Caller:
        """Who asks, by an Authorization header.

        Raises:
            UnauthenticatedError: nobody known does.
        """
        text = authorization or ""
        bearer = text[len(_BEARER) :] if text[: len(_BEARER)].lower() == _BEARER else None
        return self.who.caller(bearer.strip() if bearer else None)

    async def run(self, work: Callable[..., _T], *arguments: Any) -> _T:
        """Run what waits in a worker thread."""
        return await asyncio.get_running_loop().run_in_executor(self.workers, work, *arguments)

"""The MCP server: lists the tools and calls them in worker threads."""

from __future__ import annotations

import asyncio
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from mcp.server.lowlevel.server import Server
from mcp.server.stdio import stdio_server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from mcp_types import (
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
    Tool,
    ToolAnnotations,
)
from starlette.responses import JSONResponse

from cadran.errors import LimitError, NotAllowedError, UnauthenticatedError, UnknownNameError
from cadran.server.arguments import from_json
from cadran.server.http import Call
from cadran.server.http import host_names as names
from cadran.server.mcp.tools import TOOLS
from cadran.server.problems import problem_of
from cadran.server.run import prepare
from cadran.serving.service import RequestContext

if TYPE_CHECKING:
    from mcp.server.context import ServerRequestContext
    from starlette.types import Receive, Scope, Send

    from cadran.access.caller import Caller
    from cadran.core.project.artifacts import Project
    from cadran.server.http import ServerContext
    from cadran.server.settings import Settings


_INSTRUCTIONS = (
    "Numbers of a company's KPIs, each by its one definition. Begin with search_kpis for a"
    " question, or list_kpis for all there is; kpi_card says at which grains and by which"
    " dimensions a KPI is defined. Never compute a KPI yourself from other numbers, and never sum"
    " or average one that is not additive: ask query for the grain and dimensions you need, and"
    " with compare for a change. Where like_for_like is false, do not compare values on both sides"
    " of a break. Quote a number with its unit, period and version. What is refused comes with a"
    " sentence that says whom to ask: pass it on."
)


class McpServer:
    """The tools of a server, for whoever asks.

    Attributes:
        server: the SDK's server, for any transport.
    """

    def __init__(self, server_context: ServerContext, caller: Caller | None = None) -> None:
        """Take the server.

        Args:
            server_context: what answers.
            caller: who asks where the transport does not tell; else each HTTP request does.
        """
        self._server_context = server_context
        self._caller = caller
        self.server: Server[dict[str, Any]] = Server(
            "cadran",
            version=version("cadran"),
            title="Cadran",
            instructions=_INSTRUCTIONS,
            get_tool_input_schema=lambda name: TOOLS[name].takes_schema if name in TOOLS else None,
            on_list_tools=self._list,
            on_call_tool=self._call,
        )

    async def _list(
        self, _: ServerRequestContext[Any, Any], __: PaginatedRequestParams | None
    ) -> ListToolsResult:
        return ListToolsResult(
            tools=[
                Tool(
                    name=name,
                    title=tool.title,
                    description=tool.about,
                    input_schema=tool.takes_schema,
                    output_schema=tool.gives_schema,
                    annotations=ToolAnnotations(
                        title=tool.title,
                        read_only_hint=True,
                        destructive_hint=False,
                        idempotent_hint=True,
                        open_world_hint=False,
                    ),
                )
                for name, tool in TOOLS.items()
            ]
        )

    async def _call(
        self, sdk_context: ServerRequestContext[Any, Any], request: CallToolRequestParams
    ) -> CallToolResult:
        filtered = bool((request.arguments or {}).get("where"))
        try:
            tool = TOOLS.get(request.name)
            if tool is None:
                raise UnknownNameError("tool", request.name, TOOLS)  # noqa: TRY301
            arguments = from_json(tool.takes, request.arguments or {})
            context = RequestContext(await self._who(sdk_context, tool.scope), "mcp")
            try:
                payload, text = await self._server_context.run(
                    tool.work, self._server_context.service, context, arguments
                )
            except asyncio.CancelledError:
                context.stop.set()  # the client is gone, or took its question back
                raise
        except Exception as error:  # noqa: BLE001 - every error becomes a sentence
            fault = problem_of(error, filtered=filtered)
            return CallToolResult(
                content=[TextContent(type="text", text=fault.sentence)], is_error=True
            )
        return CallToolResult(
            content=[TextContent(type="text", text=text)], structured_content=payload
        )

    async def _who(self, context: ServerRequestContext[Any, Any], scope: str) -> Caller:
        caller = self._caller
        if caller is None:
            headers = context.request.headers if context.request is not None else {}
            caller = await self._server_context.identify(headers.get("authorization"))
        if scope not in caller.scopes:
            raise NotAllowedError(
                f"The token of {caller.name} lacks the scope '{scope}', which this needs."
            )
        return caller


_LARGEST = 1_000_000  # bytes of a request


class McpEndpoint:
    """The ASGI application at `/mcp`. It keeps no sessions: each request says who asks."""

    def __init__(self, server_context: ServerContext, server: Server[Any]) -> None:
        """Take the server behind it."""
        self._server_context = server_context
        self.manager = StreamableHTTPSessionManager(
            server,
            stateless=True,
            security_settings=_security(server_context.settings, is_open=server_context.who.open),
            max_request_body_size=_LARGEST,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            await self._server_context.identify(Call(scope, receive).header(b"authorization"))
        except (UnauthenticatedError, LimitError) as error:
            fault = problem_of(error)
            body = {"error": "invalid_token", "error_description": fault.sentence}
            await JSONResponse(body, fault.status, fault.headers)(scope, receive, send)
            return
        await self.manager.handle_request(scope, receive, send)


def _security(settings: Settings, *, is_open: bool) -> TransportSecuritySettings:
    """Which names and origins are accepted, so that no web page reaches a server on loopback."""
    hosts = names(settings)
    return TransportSecuritySettings(
        enable_dns_rebinding_protection=is_open or bool(settings.hosts),
        allowed_hosts=[*hosts, *(f"{name}:*" for name in hosts)],
        allowed_origins=[
            *(f"{scheme}://{name}:*" for scheme in ("http", "https") for name in hosts),
            *settings.origins,
        ],
    )


async def serve(project: Project, settings: Settings, token: str | None) -> None:
    """Serve the agent at the other end.

    Args:
        project: what is served.
        settings: how; addresses and ports do not matter.
        token: says who asks, where tokens are configured.

    Raises:
        UnauthenticatedError: nobody known has this token.
        CadranError: policy or tokens are broken, or there is no warehouse.
    """
    server_context, _ = prepare(project, settings)
    try:
        caller = server_context.caller(f"Bearer {token}" if token else None)
        if settings.refresh:
            server_context.service.snapshots.watch()
        if settings.live:
            server_context.service.snapshots.follow()
        server = McpServer(server_context, caller).server
        async with stdio_server() as (incoming, outgoing):
            await server.run(incoming, outgoing, server.create_initialization_options())
    finally:
        server_context.workers.shutdown(wait=True, cancel_futures=True)
        server_context.service.close()

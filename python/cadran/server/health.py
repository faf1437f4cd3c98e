"""Whether the server is alive and ready, and its own figures for Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse
from starlette.routing import Route

from cadran.audit.log import BOUNDS
from cadran.serving.response import instant

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from cadran.audit.log import Counting
    from cadran.server.http import ServerContext


_THERE = {
    "name": "cadran",
    "board": "/board",
    "rest": "/api/v1",
    "documentation": "/api/v1/docs",
    "graphql": "/api/graphql",
    "mcp": "/mcp",
    "health": "/health",
    "metrics": "/metrics",
}
_LATE = "Requests and checks that landed for built minutes, and wait for the next build."


def routes(server_context: ServerContext, counting: Counting) -> list[Route]:
    """`/`, `/health` with `live` and `ready`, and `/metrics`.

    `/` says what there is, and leads a browser to the board.
    """

    async def index(request: Request) -> Response:
        if "text/html" in request.headers.get("accept", ""):
            return RedirectResponse("/board", 303)  # a person
        return JSONResponse(_THERE)

    async def live(_: Request) -> Response:
        return JSONResponse({"status": "live"})

    async def ready(_: Request) -> Response:
        snapshots = server_context.service.snapshots
        state = snapshots.current
        stale = await server_context.run(snapshots.stale)
        warnings = {"stale": stale, "behind": snapshots.behind}
        warning = {name: sentence for name, sentence in warnings.items() if sentence}
        hot = state.hot
        live = {"live": {"from": instant(hot.cut), "late": dict(hot.late)}} if hot else {}
        return JSONResponse({"status": "ready", "state": state.id, **warning, **live})

    async def metrics(_: Request) -> Response:
        return PlainTextResponse(
            _exposition(server_context, counting), media_type="text/plain; version=0.0.4"
        )

    return [
        Route("/", index),
        Route("/health", ready),
        Route("/health/live", live),
        Route("/health/ready", ready),
        Route("/metrics", metrics),
    ]


def _exposition(server_context: ServerContext, counting: Counting) -> str:
    cache, hot = server_context.service.cache, server_context.service.snapshots.current.hot
    lost = "Questions that could not be written into the record."
    lines = [
        "# HELP cadran_questions_total Questions by protocol, outcome and whether kept before.",
        "# TYPE cadran_questions_total counter",
    ]
    lines += [
        f'cadran_questions_total{{protocol="{protocol}",outcome="{outcome}",'
        f'cached="{str(cached).lower()}"}} {count}'
        for (protocol, outcome, cached), count in sorted(counting.questions.items())
    ]
    lines += [
        "# HELP cadran_question_seconds How long questions took.",
        "# TYPE cadran_question_seconds histogram",
    ]
    running = 0
    for bound in (*BOUNDS, float("inf")):
        running += counting.buckets[bound]
        label = "+Inf" if bound == float("inf") else f"{bound:g}"
        lines.append(f'cadran_question_seconds_bucket{{le="{label}"}} {running}')
    lines += [
        f"cadran_question_seconds_sum {counting.seconds:.6f}",
        f"cadran_question_seconds_count {running}",
    ]
    for name, kind, text, value in (
        ("cache_bytes", "gauge", "Bytes of answers that are kept.", cache.weight),
        ("cache_answers", "gauge", "Answers that are kept.", len(cache)),
        ("cache_hits_total", "counter", "Answers that were there already.", cache.hits),
        ("cache_misses_total", "counter", "Answers that had to be computed.", cache.misses),
        ("record_lost_total", "counter", lost, counting.lost),
        *((("late_total", "counter", _LATE, sum(hot.late.values())),) if hot else ()),
    ):
        lines += [
            f"# HELP cadran_{name} {text}", f"# TYPE cadran_{name} {kind}",
            f"cadran_{name} {value}",
        ]  # fmt: skip
    return "\n".join(lines) + "\n"

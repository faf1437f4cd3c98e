"""Whether the server is alive and ready, and its own figures for Prometheus."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from cadran.audit.log import Audit, Entry
    from cadran.server.context import House

_BOUNDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)


class Counting:
    """Counts questions as they are recorded, and passes them on to the record."""

    def __init__(self, audit: Audit) -> None:
        """Stand before a record."""
        self._audit = audit
        self.questions: Counter[tuple[str, str, bool]] = Counter()
        self.buckets: Counter[float] = Counter()
        self.seconds = 0.0

    def write(self, entry: Entry) -> None:
        """Count and pass on."""
        self.questions[entry.protocol, entry.outcome, entry.cached] += 1
        self.seconds += entry.seconds
        self.buckets[next((b for b in _BOUNDS if entry.seconds <= b), float("inf"))] += 1
        self._audit.write(entry)

    def close(self) -> None:
        """Close the record."""
        self._audit.close()


def routes(house: House, counting: Counting) -> list[Route]:
    """`/health/live`, `/health/ready` and `/metrics`."""

    async def live(_: Request) -> Response:
        return JSONResponse({"status": "live"})

    async def ready(_: Request) -> Response:
        state = await house.run(lambda: house.desk.states.current)
        return JSONResponse({"status": "ready", "state": state.id})

    async def metrics(_: Request) -> Response:
        return PlainTextResponse(
            _exposition(house, counting), media_type="text/plain; version=0.0.4"
        )

    return [
        Route("/health/live", live),
        Route("/health/ready", ready),
        Route("/metrics", metrics),
    ]


def _exposition(house: House, counting: Counting) -> str:
    cache = house.desk.cache
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
        "# HELP cadran_question_seconds How long questions took in the desk.",
        "# TYPE cadran_question_seconds histogram",
    ]
    running = 0
    for bound in (*_BOUNDS, float("inf")):
        running += counting.buckets[bound]
        shown = "+Inf" if bound == float("inf") else f"{bound:g}"
        lines.append(f'cadran_question_seconds_bucket{{le="{shown}"}} {running}')
    lines += [
        f"cadran_question_seconds_sum {counting.seconds:.6f}",
        f"cadran_question_seconds_count {running}",
    ]
    for name, kind, text, value in (
        ("cache_bytes", "gauge", "Bytes of answers that are kept.", cache.bytes),
        ("cache_answers", "gauge", "Answers that are kept.", len(cache)),
        ("cache_hits_total", "counter", "Answers that were there already.", cache.hits),
        ("cache_misses_total", "counter", "Answers that had to be computed.", cache.misses),
    ):
        lines += [
            f"# HELP cadran_{name} {text}", f"# TYPE cadran_{name} {kind}",
            f"cadran_{name} {value}",
        ]  # fmt: skip
    return "\n".join(lines) + "\n"

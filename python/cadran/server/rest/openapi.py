"""The OpenAPI 3.1 description, made from the table of operations, and the same as a page."""

from __future__ import annotations

import html
import json
from functools import cached_property
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from cadran.server.arguments import REPEATED, properties, required
from cadran.server.http import conditional
from cadran.server.operations import OPERATIONS, SCHEMAS
from cadran.server.problems import TITLES
from cadran.server.rest import explorer
from cadran.serving.response import MEDIA

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.responses import Response

    from cadran.server.http import Call, ServerContext
    from cadran.server.operations import Operation
    from cadran.server.requests import Request


_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
code { background: #f3f4f6; padding: 0 .2em }
td, th { text-align: left; padding: .1rem 1rem .1rem 0; vertical-align: top }
"""


def docs_page(document: dict[str, Any]) -> str:
    """The page of an OpenAPI document."""
    operations = "".join(
        _operation(path, method, entry)
        for path, methods in document["paths"].items()
        for method, entry in methods.items()
    )
    problems = "".join(
        f'<dt id="{kind}"><code>{kind}</code></dt><dd>{_text(title)}.</dd>'
        for kind, title in TITLES.items()
    )
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Cadran: REST</title>
<style>{_STYLE}</style>
<h1>Cadran: REST</h1>
<p>{_text(document["info"]["description"])}</p>
<p><a href="openapi.json">OpenAPI</a>, <a href="explorer">a page to try each request</a></p>
{operations}
<h2>Problems</h2>
<dl>{problems}</dl>
</html>
"""


def _operation(path: str, method: str, entry: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><td><code>{_text(name)}</code></td><td>{_text(about)}</td><td>{example}</td></tr>"
        for name, about, example in _parameters(entry)
    )
    table = f"<table><tr><th>name</th><th>meaning</th><th>such as</th></tr>{rows}</table>"
    return (
        f"<h2><code>{method.upper()} /api/v1{_text(path.rstrip('/'))}</code></h2>"
        f"<p>{_text(entry['summary'])} {_text(entry.get('description', ''))}</p>"
        f"{table if rows else ''}\n"
    )


def _parameters(entry: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    for parameter in entry["parameters"]:
        yield parameter["name"], parameter["description"], _example(parameter.get("example"))
    if "requestBody" in entry:
        schema = entry["requestBody"]["content"]["application/json"]["schema"]
        for name, parameter in schema["properties"].items():
            yield name, parameter["description"], _example(schema["example"].get(name))


def _example(value: Any) -> str:
    return "" if value is None else f"<code>{_text(json.dumps(value))}</code>"


def _text(text: str) -> str:
    return html.escape(text)


_ABOUT = (
    "Every number of this layer, by its one definition. A KPI answers only at the grains and by the"
    " dimensions of its card. Answers say the version of each KPI, and where its meaning changed:"
    " where like_for_like is false, values on both sides of a break must not be compared;"
    " until which day each metric is whole in the data (complete_through); and, in a note, whatever"
    " else has to be said: a period that is still running, or a range that was widened to whole"
    " periods. What is refused comes as application/problem+json with a sentence that says what is"
    " right."
)
_FAULTS = {
    400: "The question or the request makes no sense.",
    401: "Who asks is not known.",
    403: "The policy, the card or the token does not allow it.",
    404: "A name does not exist.",
    405: "The address does not take this method.",
    406: "No format that is accepted can be given.",
    410: "The page belongs to numbers that were replaced.",
    413: "The request or the answer is too large.",
    414: "The address is too long.",
    415: "The body is not JSON.",
    429: "Too many questions.",
    431: "The line and the headers are too long.",
    500: "Something went wrong; it is recorded under the number given.",
    503: "The warehouse cannot answer.",
    504: "The question took too long.",
}
_FREE = (404, 405, 414, 431, 500)
_BODY = (413, 415)


class Description:
    """Tells what there is."""

    def __init__(self, server_context: ServerContext) -> None:
        """Take the server: an open one asks for no token."""
        self._is_open = server_context.who.open

    async def index(self, call: Call) -> Response:
        """Where to go from here."""
        base = "/api/v1"
        names = ("docs", "kpis", "query", "saved-queries")
        links = {name.replace("-", "_"): f"{base}/{name}" for name in names}
        return conditional(call, json.dumps({"openapi": f"{base}/openapi.json", **links}).encode())

    async def openapi(self, call: Call) -> Response:
        """The description."""
        return conditional(call, json.dumps(self.document).encode())

    async def page(self, call: Call) -> Response:
        """The description for people."""
        return conditional(call, docs_page(self.document).encode(), "text/html; charset=utf-8")

    async def explorer(self, call: Call) -> Response:
        """The page to try requests; it runs its own script and no other."""
        reply = conditional(call, explorer.page(self.document).encode(), "text/html; charset=utf-8")
        reply.raw_headers.append((b"content-security-policy", explorer.policy().encode()))
        return reply

    @cached_property
    def document(self) -> dict[str, Any]:
        """The OpenAPI document."""
        paths: dict[str, dict[str, Any]] = {}
        for operation in OPERATIONS:
            entry = self._operation(operation)
            paths.setdefault(operation.path or "/", {})[operation.method.lower()] = entry
        bearer = {"type": "http", "scheme": "bearer", "description": "A token of this server."}
        return {
            "openapi": "3.1.0",
            "info": {
                "title": "Cadran", "version": version("cadran"), "description": _ABOUT,
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            },
            "servers": [{"url": "/api/v1"}],
            "paths": paths,
            "components": {
                "schemas": SCHEMAS,
                "securitySchemes": {"bearer": bearer},
                "responses": {str(status): _fault(status) for status in _FAULTS},
            },
        }  # fmt: skip

    def _operation(self, operation: Operation) -> dict[str, Any]:
        faults = [
            status
            for status in _FAULTS
            if (operation.scope or status in _FREE)
            and (operation.in_body or status not in _BODY or operation.gives == "Answer")
        ]
        entry: dict[str, Any] = {
            "operationId": operation.id,
            "summary": operation.summary,
            "parameters": [] if operation.in_body else _parameters_of(operation),
            "responses": {
                "200": _answer(operation),
                **({"304": {"description": "What the client has is right."}} if _is_get(operation)
                   else {}),
                **{str(s): {"$ref": f"#/components/responses/{s}"} for s in faults},
            },
        }  # fmt: skip
        if operation.in_body:
            entry["requestBody"] = {"required": True, "content": {"application/json": {
                "schema": _body(operation.takes)}}}  # fmt: skip
        if operation.scope:
            entry["description"] = f"Needs the scope `{operation.scope}`."
            entry["security"] = [{"bearer": []}] + ([{}] if self._is_open else [])
        return entry


def _is_get(operation: Operation) -> bool:
    return operation.method == "GET"


def _parameters_of(operation: Operation) -> list[dict[str, Any]]:
    parameters = []
    for name, described in properties(operation.takes).items():
        schema = dict(described)
        about, examples = schema.pop("description"), schema.pop("examples", [None])
        is_list = schema.get("type") == "array"
        if name == "group_by":  # an object stands in a body only
            schema["items"] = schema["items"]["oneOf"][0]
        parameter = {
            "name": name,
            "in": "path" if f"{{{name}}}" in operation.path else "query",
            "required": name in required(operation.takes),
            "description": about,
            "schema": schema,
        }
        if is_list:
            parameter |= {"style": "form", "explode": name in REPEATED}
        parameters.append(
            parameter if examples[0] is None else parameter | {"example": examples[0]}
        )
    return parameters


def _body(takes: type[Request]) -> dict[str, Any]:
    described = properties(takes)
    examples = ("metrics", "group_by", "limit", "kpi", "period", "text")
    names = [name for name in examples if name in described]
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            name: {
                "anyOf": [
                    {key: part for key, part in schema.items() if key not in _BESIDE},
                    {"type": "null"},
                ],
                "description": schema["description"],
            }
            for name, schema in described.items()
        },
        "example": {name: described[name]["examples"][0] for name in names},
    }


_BESIDE = ("description", "examples")


def _answer(operation: Operation) -> dict[str, Any]:
    if operation.gives == "Page":
        return {"description": "A page.", "content": {"text/html": {"schema": {"type": "string"}}}}
    schema = {"$ref": f"#/components/schemas/{operation.gives}"}
    content: dict[str, Any] = {"application/json": {"schema": schema}}
    headers: dict[str, Any] = {}
    if operation.gives == "Answer":
        others = (media for form, media in MEDIA.items() if form != "json")
        content |= {media.partition(";")[0]: {} for media in others}
        headers = {
            "Cadran-Total-Rows": {"schema": {"type": "integer"}},
            "Cadran-Like-For-Like": {"schema": {"type": "boolean"}},
            "Cadran-Complete-Through": {
                "description": "Of CSV: until which day each metric is whole in the data, such as"
                " net_revenue=2026-10-31.",
                "schema": {"type": "string"},
            },
            "Cadran-Note": {
                "description": "Of CSV: the note of the answer, per cent encoded.",
                "schema": {"type": "string"},
            },
        }
    if _is_get(operation):
        headers |= {name: {"schema": {"type": "string"}} for name in ("ETag", "Link")}
    return {"description": operation.summary, "content": content, "headers": headers}


def _fault(status: int) -> dict[str, Any]:
    problem: dict[str, Any] = {"schema": {"$ref": "#/components/schemas/Problem"}}
    if status == 431:  # noqa: PLR2004 - the connection refuses it, before there is a request
        problem = {"schema": {"type": "object", "required": ["title", "status", "detail"]}}
    response: dict[str, Any] = {
        "description": _FAULTS[status], "content": {"application/problem+json": problem},
    }  # fmt: skip
    if status == 400:  # noqa: PLR2004 - what is no HTTP at all is answered before it is read
        response["content"]["text/plain"] = {"schema": {"type": "string"}}
    headers = {401: "WWW-Authenticate", 405: "Allow", 429: "Retry-After", 503: "Retry-After"}
    if status in headers:
        response["headers"] = {headers[status]: {"schema": {"type": "string"}, "required": True}}
    return response

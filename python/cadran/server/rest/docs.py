"""The OpenAPI description as a page for people, without a script and without another host."""

from __future__ import annotations

import html
import json
from typing import TYPE_CHECKING, Any

from cadran.server.problems import TITLES

if TYPE_CHECKING:
    from collections.abc import Iterator

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
code { background: #f3f4f6; padding: 0 .2em }
td, th { text-align: left; padding: .1rem 1rem .1rem 0; vertical-align: top }
"""


def page(document: dict[str, Any]) -> str:
    """The page of an OpenAPI document."""
    operations = "".join(
        _operation(path, method, told)
        for path, methods in document["paths"].items()
        for method, told in methods.items()
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
<p><a href="/api/v1/openapi.json">OpenAPI</a></p>
{operations}
<h2>Problems</h2>
<dl>{problems}</dl>
</html>
"""


def _operation(path: str, method: str, told: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><td><code>{_text(name)}</code></td><td>{_text(about)}</td><td>{example}</td></tr>"
        for name, about, example in _parameters(told)
    )
    table = f"<table><tr><th>name</th><th>meaning</th><th>such as</th></tr>{rows}</table>"
    return (
        f"<h2><code>{method.upper()} /api/v1{_text(path.rstrip('/'))}</code></h2>"
        f"<p>{_text(told['summary'])} {_text(told.get('description', ''))}</p>"
        f"{table if rows else ''}\n"
    )


def _parameters(told: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    for one in told["parameters"]:
        yield one["name"], one["description"], _example(one.get("example"))
    if "requestBody" in told:
        schema = told["requestBody"]["content"]["application/json"]["schema"]
        for name, one in schema["properties"].items():
            yield name, one["description"], _example(schema["example"].get(name))


def _example(value: Any) -> str:
    return "" if value is None else f"<code>{_text(json.dumps(value))}</code>"


def _text(text: str) -> str:
    return html.escape(text)

"""A page that tries each request: a form for each operation, made from the OpenAPI document."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from functools import cache
from pathlib import Path
from typing import Any

from cadran.server.arguments import REPEATED

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
code { background: #f3f4f6; padding: 0 .2em }
label { display: block; margin: .3rem 0 } input, select, textarea { font: inherit; width: 100% }
textarea { font-family: monospace } pre { background: #f3f4f6; padding: .5rem; overflow: auto }
summary { cursor: pointer; padding: .3rem 0 } form { margin: 0 0 1rem 1rem }
"""


@cache
def script() -> str:
    """What the page runs."""
    return Path(__file__).with_suffix(".js").read_text(encoding="utf-8")


@cache
def policy() -> str:
    """What the page may do: run its own script, and ask the server that it came from."""
    digest = base64.b64encode(hashlib.sha256(script().encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline';"
        " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def page(document: dict[str, Any]) -> str:
    """A page with a form for each operation of an OpenAPI document; it asks this server alone."""
    forms = "".join(
        _form(path, method, entry)
        for path, methods in document["paths"].items()
        for method, entry in methods.items()
    )
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Cadran: try REST</title>
<style>{_STYLE}</style>
<h1>Cadran: try REST</h1>
<p>Each form sends one request to this server and shows the reply. The token stays in this page.
<a href="docs">What each one means</a>.</p>
<label for="token">Token (none is needed where the server is open)</label>
<input id="token" type="password" autocomplete="off">
{forms}
<script>{script()}</script>
</html>
"""


def _form(path: str, method: str, entry: dict[str, Any]) -> str:
    name = entry["operationId"]
    fields = "".join(_field(name, parameter) for parameter in entry["parameters"])
    if "requestBody" in entry:
        example = entry["requestBody"]["content"]["application/json"]["schema"]["example"]
        fields += (
            f'<label for="{name}-body">Body (JSON)</label><textarea id="{name}-body" name="body"'
            f' rows="8">{html.escape(json.dumps(example, indent=2))}</textarea>'
        )
    return (
        f"<details><summary><code>{method.upper()} /api/v1{html.escape(path.rstrip('/'))}</code>"
        f" {html.escape(entry['summary'])}</summary>"
        f'<form data-method="{method.upper()}" data-path="{html.escape(path.rstrip("/"))}">{fields}'
        "<button>Send</button><output></output></form></details>\n"
    )


def _field(operation: str, parameter: dict[str, Any]) -> str:
    name, schema = parameter["name"], parameter["schema"]
    about = f"{html.escape(name)}: {html.escape(parameter['description'])}"
    attributes = f'id="{operation}-{name}" name="{name}" data-in="{parameter["in"]}"'
    example = parameter.get("example")
    shown = ",".join(example) if isinstance(example, list) else example
    choices = schema.get("enum") or (["true", "false"] if schema.get("type") == "boolean" else None)
    if choices:
        options = "".join(
            f"<option>{html.escape(str(choice))}</option>" for choice in ["", *choices]
        )
        control = f"<select {attributes}>{options}</select>"
    elif name in REPEATED:
        control = f'<textarea {attributes} data-repeat="1" rows="1"></textarea>'
    else:
        value = html.escape(str(shown)) if shown is not None and name in _FILLED else ""
        hint = f' placeholder="{html.escape(str(shown))}"' if shown is not None else ""
        control = f'<input {attributes} value="{value}"{hint}>'
    return f'<label for="{operation}-{name}">{about}</label>{control}'


_FILLED = ("metrics", "name", "dimension", "format")  # what makes a request that is answered

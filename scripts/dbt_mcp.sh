#!/usr/bin/env bash
# A real dbt-mcp in an environment of its own, for `make test-clients`. Prints the path of dbt-mcp.
#
# It is the one that dbt_mcp.lock pins, or the release that CADRAN_DBT_MCP names: 2.9.0, say, to try
# a new one. Nothing of it is part of the package; the tests call it by themselves.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${CADRAN_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/cadran}
if [[ -n "${CADRAN_DBT_MCP:-}" ]]; then
    name="$CADRAN_DBT_MCP" packages=("dbt-mcp==$CADRAN_DBT_MCP")
else
    # A lock that changed makes a new environment.
    name=$(sha256sum "$here/dbt_mcp.lock" | cut -c1-12) packages=(--no-deps -r "$here/dbt_mcp.lock")
fi
venv="$cache/dbt-mcp-$name"

if [[ ! -e "$venv/.complete" ]]; then
    python=$("$here/python.sh" 3.13 3.12)
    rm -rf "$venv"
    "$python" -m venv "$venv"
    "$venv/bin/python" -m pip --disable-pip-version-check --no-input install -qq "${packages[@]}"
    touch "$venv/.complete"
fi
echo "$venv/bin/dbt-mcp"

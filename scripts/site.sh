#!/usr/bin/env bash
# The documentation as a site in target/site, by MkDocs in an environment of its own; a warning is an
# error.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${CADRAN_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/cadran}
# A lock that changed makes a new environment.
venv="$cache/site-$(sha256sum "$here/site.lock" | cut -c1-12)"

if [[ ! -e "$venv/.complete" ]]; then
    python=$("$here/python.sh" 3.11 3.12 3.13)
    rm -rf "$venv"
    "$python" -m venv "$venv"
    "$venv/bin/python" -m pip --disable-pip-version-check --no-input install -qq --no-deps \
        -r "$here/site.lock"
    touch "$venv/.complete"
fi
cd "$here/.."
NO_MKDOCS_2_WARNING=1 "$venv/bin/mkdocs" build --quiet --strict
echo target/site/index.html

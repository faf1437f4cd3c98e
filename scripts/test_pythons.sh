#!/usr/bin/env bash
# The demo and a good part of the tests in each Python that is here, for `make test-pythons`.
#
#   scripts/test_pythons.sh VERSION... [-- ARGUMENTS OF PYTEST]
#
# Each gets an environment of its own with the lock. A version that is not here is named and left
# out; where none is here it fails.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/.."
cache=${CADRAN_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/cadran}
lock=$(sha256sum requirements.lock | cut -c1-12)

# Each kind of thing that the package does: asking, serving, writing, drawing, collecting.
tests=(test_layer test_result test_outputs test_numbers test_project test_cards test_schema
    test_settings test_check test_cli_board test_notebook test_client test_rest test_graphql
    test_flight_sql test_mcp test_serving test_charts test_still test_board test_pack_parts
    test_powerbi test_superset test_ossie test_collect_landed test_imports)

paths=("${tests[@]/#/python/tests/}")
paths=("${paths[@]/%/.py}")
versions=()
while [[ $# -gt 0 && $1 != -- ]]; do versions+=("$1") && shift; done
[[ ${#versions[@]} -gt 0 ]] || { echo 'usage: test_pythons.sh VERSION... [-- ARGUMENTS]' >&2; exit 2; }
[[ $# -gt 0 ]] && shift
tried=0
for version in "${versions[@]}"; do
    if ! python=$("$here/python.sh" "$version" 2>/dev/null); then
        echo "Python $version is not here: left out"
        continue
    fi
    tried=$((tried + 1))
    venv="$cache/python-$version-$lock"
    if [[ ! -e "$venv/.complete" ]]; then
        echo "Python $version: installing $(grep -c == requirements.lock) pinned packages"
        rm -rf "$venv"
        "$python" -m venv "$venv"
        "$venv/bin/python" -m pip --disable-pip-version-check --no-input install -qq \
            --no-deps -r requirements.lock
        touch "$venv/.complete"
    fi
    # Not the folder of another checkout that shares the environment.
    "$venv/bin/python" -m pip --disable-pip-version-check --no-input install -qq --no-deps \
        --no-build-isolation --editable . --editable python/cadran_demo
    echo "Python $("$venv/bin/python" -c 'import platform; print(platform.python_version())'): demo and tests"
    "$venv/bin/python" -m pytest "${paths[@]}" "$@"
done
[[ $tried -gt 0 ]] || { echo "None of ${versions[*]} is here." >&2; exit 1; }

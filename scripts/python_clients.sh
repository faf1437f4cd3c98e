#!/usr/bin/env bash
# Marimo, Ibis and a SQLAlchemy dialect of Flight SQL beside this package, for `make test-clients`.
# Prints the path of a Python that has them all.
#
# The environment sees the packages of .venv, in their versions; nothing of it is in the lock.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/.."
packages=(marimo==0.25.2 'ibis-framework[duckdb]==12.0.0' flightsql-dbapi==0.2.2 pyarrow-hotfix==0.7)
cache=${CADRAN_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/cadran}
name=$(cat requirements.lock - <<<"${packages[*]}" | sha256sum | cut -c1-12)
venv="$cache/python-clients-$name"

if [[ ! -e "$venv/.complete" ]]; then
    rm -rf "$venv"
    .venv/bin/python -m venv "$venv"
    .venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
        >"$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/beside.pth"
    "$venv/bin/python" -m pip --disable-pip-version-check --no-input install -qq \
        --constraint requirements.lock "${packages[@]}"
    touch "$venv/.complete"
fi
echo "$venv/bin/python"

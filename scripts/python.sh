#!/usr/bin/env bash
# Prints the path of a Python of the first version that is here: scripts/python.sh 3.13 3.12
#
# CADRAN_PYTHON, where it is set and of one of the versions, comes first; then those of the path, and
# those that pyenv, uv or the system keep beside it. Nothing is installed.
set -euo pipefail

[[ $# -ge 1 ]] || { echo 'usage: python.sh VERSION...' >&2; exit 2; }

# Runs what it is given, since shims of pyenv stand in the path for versions that are switched off.
is_version() {
    [[ $("$2" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) == "$1" ]]
}

shopt -s nullglob
for version in "$@"; do
    for python in ${CADRAN_PYTHON:-} "python$version" \
        "${PYENV_ROOT:-$HOME/.pyenv}/versions/$version".*/bin/python \
        "${XDG_DATA_HOME:-$HOME/.local/share}/uv/python/cpython-$version".*/bin/python3 \
        "/usr/local/bin/python$version" "/usr/bin/python$version"; do
        if is_version "$version" "$python"; then
            exec "$python" -c 'import sys; print(sys.executable)'
        fi
    done
done
echo "No Python $* here: install one, or name it in CADRAN_PYTHON." >&2
exit 1

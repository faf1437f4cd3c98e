#!/usr/bin/env bash
# A real Apache Superset in an environment of its own, on loopback, for `make test-superset`.
#
#   scripts/superset.sh install        the environment (once; pinned by superset.lock)
#   scripts/superset.sh run HOME PORT  initialise a new Superset in HOME and serve it until stopped
#
# HOME is a folder that this run may fill: metadata, secret key and logs stay in it. The administrator
# is `admin` with the password in CADRAN_SUPERSET_PASSWORD.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
lock="$here/superset.lock"
cache=${CADRAN_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/cadran}
# A lock that changed makes a new environment.
venv="$cache/superset-$(sha256sum "$lock" | cut -c1-12)"

install() {
    [[ -e "$venv/.complete" ]] && return
    local python
    for python in "${SUPERSET_PYTHON:-python3.11}" python3.11 python3.12 python3.10 python3; do
        if "$python" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 13))' \
            2>/dev/null; then
            rm -rf "$venv"
            "$python" -m venv "$venv"
            "$venv/bin/python" -m pip --disable-pip-version-check --no-input install --quiet \
                --no-deps -r "$lock"
            touch "$venv/.complete"
            return
        fi
    done
    echo "superset.sh: Superset 6.1 needs Python 3.10 to 3.12; name one in SUPERSET_PYTHON" >&2
    exit 2
}

run() {
    local home=$1 port=$2
    : "${CADRAN_SUPERSET_PASSWORD:?is the password of the administrator to make}"
    mkdir -p "$home"
    export SUPERSET_HOME="$home" SUPERSET_CONFIG_PATH="$home/superset_config.py" FLASK_APP=superset
    export SUPERSET_SECRET_KEY SCARF_ANALYTICS=false
    SUPERSET_SECRET_KEY=$("$venv/bin/python" -c 'import secrets; print(secrets.token_urlsafe(42))')
    cat > "$SUPERSET_CONFIG_PATH" <<'CONFIG'
import os

SECRET_KEY = os.environ["SUPERSET_SECRET_KEY"]
SQLALCHEMY_DATABASE_URI = "sqlite:///" + os.path.join(os.environ["SUPERSET_HOME"], "superset.db")
RATELIMIT_ENABLED = False
TALISMAN_ENABLED = False
LOG_LEVEL = "WARNING"
CONFIG
    "$venv/bin/superset" db upgrade
    "$venv/bin/superset" fab create-admin --username admin --firstname Ada --lastname Admin \
        --email data@example.com --password "$CADRAN_SUPERSET_PASSWORD"
    "$venv/bin/superset" init
    exec "$venv/bin/gunicorn" --bind "127.0.0.1:$port" --workers 1 --threads 4 --timeout 120 \
        "superset.app:create_app()"
}

case "${1:-}" in
    install) install ;;
    run) [[ $# == 3 ]] || { echo "usage: superset.sh run HOME PORT" >&2; exit 2; }; run "$2" "$3" ;;
    *) echo "usage: superset.sh install | run HOME PORT" >&2; exit 2 ;;
esac

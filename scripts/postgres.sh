#!/usr/bin/env bash
# A PostgreSQL for one test: a new cluster in a folder of its own, on loopback, with a password, run
# by an unprivileged user. Nothing of it is part of the package; the tests call it by themselves.
#   scripts/postgres.sh start           prints PGDATA, PGHOST and the like, one NAME=value a line
#   scripts/postgres.sh stop PGDATA     stops it and removes what it wrote
set -euo pipefail

find_programs() {
    local folder
    for folder in "${CADRAN_POSTGRES:-}" /usr/lib/postgresql/*/bin; do
        if [ -x "$folder/initdb" ]; then programs=$folder; fi
    done
    if [ -z "${programs:-}" ] && command -v initdb > /dev/null; then
        programs=$(dirname "$(readlink -f "$(command -v initdb)")")
    fi
    [ -n "${programs:-}" ]
}

# PostgreSQL refuses to run as root.
unprivileged() {
    if [ "$(id -u)" != 0 ]; then "$@"; else (cd / && runuser -u postgres -- "$@"); fi
}

start() {
    if ! find_programs; then
        if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
            { apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
                apt-get install -y -qq --no-install-recommends postgresql; } > /dev/null 2>&1 || true
        fi
        find_programs || { echo 'No PostgreSQL: install it, or name its programs in CADRAN_POSTGRES.' >&2; exit 1; }
    fi
    folder=$(mktemp -d "${TMPDIR:-/tmp}/cadran-postgres.XXXXXX")
    trap 'rm -rf "$folder"' ERR
    head -c 24 /dev/urandom | base64 | tr -d '+/=\n' > "$folder/password"
    if [ "$(id -u)" = 0 ]; then chown -R postgres: "$folder"; fi
    unprivileged "$programs/initdb" --pgdata="$folder/data" --username=cadran --no-sync \
        --encoding=UTF8 --locale=C --auth=scram-sha-256 --pwfile="$folder/password" > /dev/null
    local attempt port
    for attempt in 1 2 3 4 5; do
        port=$((20000 + RANDOM % 20000))
        if unprivileged "$programs/pg_ctl" --pgdata="$folder/data" --log="$folder/log" --wait start \
            --options="-c listen_addresses=127.0.0.1 -c port=$port -c unix_socket_directories= -c fsync=off" \
            > /dev/null; then
            echo "127.0.0.1:$port:*:cadran:$(cat "$folder/password")" > "$folder/pgpass"
            chmod 600 "$folder/pgpass"
            printf '%s\n' "PGDATA=$folder/data" PGHOST=127.0.0.1 "PGPORT=$port" PGUSER=cadran \
                PGDATABASE=postgres "PGPASSFILE=$folder/pgpass"
            return
        fi
    done
    echo "PostgreSQL did not start: $(tail -n 1 "$folder/log")" >&2
    rm -rf "$folder"
    exit 1
}

stop() {
    find_programs
    unprivileged "$programs/pg_ctl" --pgdata="$1" --mode=immediate --wait stop > /dev/null
    case $(dirname "$1") in */cadran-postgres.*) rm -rf "$(dirname "$1")" ;; esac
}

case ${1:-} in
    start) start ;;
    stop) stop "${2:?the PGDATA that start printed}" ;;
    *) sed -n '2,5p' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
esac

#!/usr/bin/env bash
# A PostgreSQL of its own on loopback, with a password, run by an unprivileged user. The server's
# programs are installed from Debian's package where they lack.
#   scripts/postgres.sh start           a new one in a temporary folder: prints PGDATA, PGHOST and the
#                                       like, and CADRAN_POSTGRES, one NAME=value a line
#   scripts/postgres.sh start FOLDER    one that is kept in FOLDER: started where it does not run
#   scripts/postgres.sh stop PGDATA     stops it; what is not kept is removed
# Server programs that lie elsewhere are named in CADRAN_POSTGRES_PROGRAMS.
set -euo pipefail

find_programs() {
    local folder
    for folder in "${CADRAN_POSTGRES_PROGRAMS:-}" /usr/lib/postgresql/*/bin; do
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

fail() {
    echo "$1" >&2
    exit 1
}

is_running() { unprivileged "$programs/pg_ctl" --pgdata="$folder/data" status > /dev/null 2>&1; }

begin() {
    local attempt port
    for attempt in 1 2 3 4 5; do
        port=$((20000 + RANDOM % 20000))
        if unprivileged "$programs/pg_ctl" --pgdata="$folder/data" --log="$folder/log" --wait start \
            --options="-c listen_addresses=127.0.0.1 -c port=$port -c unix_socket_directories= $options" \
            > /dev/null; then
            echo "127.0.0.1:$port:*:cadran:$(cat "$folder/password")" > "$folder/pgpass"
            chmod 600 "$folder/pgpass"
            return
        fi
    done
    fail "PostgreSQL did not start: $(tail -n 1 "$folder/log")"
}

start() {
    if ! find_programs; then
        if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
            { apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
                apt-get install -y -qq --no-install-recommends postgresql; } > /dev/null 2>&1 || true
        fi
        find_programs || fail 'No PostgreSQL: install it, or name its programs in CADRAN_POSTGRES_PROGRAMS.'
    fi
    # Analytic questions on a small machine: memory for sorts, and no compiling of expressions.
    options='-c timezone=UTC -c jit=off -c work_mem=64MB -c max_wal_size=4GB -c synchronous_commit=off'
    if [ -n "${1:-}" ]; then
        mkdir -p "$1"
        folder=$(readlink -f "$1")
    else
        folder=$(mktemp -d "${TMPDIR:-/tmp}/cadran-postgres.XXXXXX")
        trap 'rm -rf "$folder"' ERR
        options="$options -c fsync=off"  # nothing of it is kept
    fi
    if [ "$(id -u)" = 0 ]; then chown postgres: "$folder"; fi
    unprivileged test -x "$folder" || fail "The user who runs PostgreSQL cannot reach $folder."
    if [ ! -e "$folder/data/PG_VERSION" ]; then
        head -c 24 /dev/urandom | base64 | tr -d '+/=\n' > "$folder/password"
        if [ "$(id -u)" = 0 ]; then chown postgres: "$folder/password"; fi
        chmod 600 "$folder/password"
        unprivileged "$programs/initdb" --pgdata="$folder/data" --username=cadran --no-sync \
            --encoding=UTF8 --locale=C --auth=scram-sha-256 --pwfile="$folder/password" > /dev/null
    fi
    is_running || begin
    local port
    port=$(cut -d: -f2 "$folder/pgpass")
    printf '%s\n' "PGDATA=$folder/data" PGHOST=127.0.0.1 "PGPORT=$port" PGUSER=cadran \
        PGDATABASE=postgres "PGPASSFILE=$folder/pgpass" \
        "CADRAN_POSTGRES=postgresql://cadran:$(cat "$folder/password")@127.0.0.1:$port/postgres"
}

stop() {
    local data
    data=$(readlink -f "$1") && [ -e "$data/PG_VERSION" ] || fail "There is no PostgreSQL in $1."
    find_programs || fail 'No PostgreSQL: name its programs in CADRAN_POSTGRES_PROGRAMS.'
    unprivileged "$programs/pg_ctl" --pgdata="$data" --mode=fast --wait stop > /dev/null
    case $(dirname "$data") in */cadran-postgres.*) rm -rf "$(dirname "$data")" ;; esac
}

case ${1:-} in
    start) start "${2:-}" ;;
    stop) stop "${2:?the PGDATA that start printed}" ;;
    *) sed -n '2,9p' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
esac

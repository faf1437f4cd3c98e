#!/usr/bin/env bash
# The program of an Alertmanager, for one test: prints its path, and installs Debian's package where
# it may. Nothing of it is part of the package; name a program of your own in CADRAN_ALERTMANAGER.
set -euo pipefail

find_program() {
    program=${CADRAN_ALERTMANAGER:-$(command -v prometheus-alertmanager || command -v alertmanager || true)}
    [ -n "$program" ] && [ -x "$program" ]
}

if ! find_program && [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
    # The package would start a server of its own, which nobody asked for.
    export RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends prometheus-alertmanager; } \
        > /dev/null 2>&1 || true
fi
find_program || { echo 'No Alertmanager: install it, or name its program in CADRAN_ALERTMANAGER.' >&2; exit 1; }
echo "$program"

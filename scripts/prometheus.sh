#!/usr/bin/env bash
# The program of a Prometheus, for one test: prints its path, and installs Debian's package where it
# may. Nothing of it is part of the package; name a program of your own in CADRAN_PROMETHEUS.
set -euo pipefail

find_program() {
    program=${CADRAN_PROMETHEUS:-$(command -v prometheus || true)}
    [ -n "$program" ] && [ -x "$program" ]
}

if ! find_program && [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
    # The package would start a server of its own, which nobody asked for.
    export RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends prometheus; } \
        > /dev/null 2>&1 || true
fi
find_program || { echo 'No Prometheus: install it, or name its program in CADRAN_PROMETHEUS.' >&2; exit 1; }
echo "$program"

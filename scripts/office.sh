#!/usr/bin/env bash
# Test tool for documents: LibreOffice without a screen. Prints the path of soffice.
# Nothing of it is part of the package; the tests call it by themselves.
set -euo pipefail

find_office() {
    local name
    for name in "${CADRAN_OFFICE:-}" soffice libreoffice; do
        if [ -n "$name" ] && command -v "$name"; then return 0; fi
    done
    return 1
}

if ! find_office > /dev/null; then
    if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
        { apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
            apt-get install -y -qq --no-install-recommends \
            libreoffice-calc libreoffice-impress poppler-utils; } > /dev/null 2>&1 || true
    fi
    find_office > /dev/null || { echo 'No LibreOffice: install it, or name it in CADRAN_OFFICE.' >&2; exit 1; }
fi
find_office

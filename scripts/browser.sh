#!/usr/bin/env bash
# Test tools for pages: Chromium, and axe-core with playwright-core in target/browser.
# Prints the path of Chromium. Nothing of it is part of the package; the tests call it by themselves.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

find_chromium() {
    local name
    for name in "${CADRAN_CHROMIUM:-}" chromium chromium-browser google-chrome google-chrome-stable; do
        if [ -n "$name" ] && command -v "$name"; then return 0; fi
    done
    return 1
}

if ! find_chromium > /dev/null; then
    if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
        { apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
            apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core; } > /dev/null 2>&1 || true
    fi
    find_chromium > /dev/null || { echo 'No Chromium: install it, or name it in CADRAN_CHROMIUM.' >&2; exit 1; }
fi
command -v npm > /dev/null || { echo 'No npm: install Node.js 20 or later.' >&2; exit 1; }

tools=target/browser
if [ ! -d "$tools/node_modules/axe-core" ] || [ ! -d "$tools/node_modules/playwright-core" ]; then
    mkdir -p "$tools"
    npm install --prefix "$tools" --silent --no-audit --no-fund --no-save \
        axe-core@4.14.1 playwright-core@1.65.1 > /dev/null 2>&1 ||
        { echo 'npm could not install axe-core and playwright-core.' >&2; exit 1; }
fi
find_chromium

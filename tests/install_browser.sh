#!/usr/bin/env bash
# Installs Debian's Chromium for the tests that read the report, where that may be done without a question; else says what to type.
set -euo pipefail
packages=(chromium fonts-noto-cjk)
install=(apt-get install -y --no-install-recommends "${packages[@]}")

if type -P chromium >/dev/null; then
    exit 0
fi
if [ "$(id -u)" = 0 ]; then as_root=(); elif sudo -n true 2>/dev/null; then as_root=(sudo -n); else
    echo "the tests in a real browser are skipped; to have them, type: sudo ${install[*]}"
    exit 0
fi
if ! type -P apt-get >/dev/null; then
    echo "the tests in a real browser are skipped; they need ${packages[*]} (this machine has no apt-get)"
    exit 0
fi
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -q
"${as_root[@]}" "${install[@]}"

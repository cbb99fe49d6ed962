#!/usr/bin/env bash
# Installs Debian's Chromium for the tests that read the report, where that needs no password; else prints what to type.
# --look installs nothing: where packages are missing, it prints what to type and exits with 1.
# With CI=true, a package that cannot be installed is an error.
set -euo pipefail
packages=(chromium fonts-noto-cjk)
install=(apt-get install -y --no-install-recommends "${packages[@]}")
if [ "${CI:-}" = true ]; then not_installed=1; else not_installed=0; fi

if type -P chromium >/dev/null; then
    exit 0
fi
if [ "${1:-}" = --look ]; then
    echo "Chromium is not installed: whatever needs it cannot run here, and its tests are skipped"
    echo "hint: make browser-packages"
    exit 1
fi
if ! type -P apt-get >/dev/null; then
    echo "Chromium is not installed: this machine has no apt-get; install ${packages[*]}"
    exit "$not_installed"
fi
if [ "$(id -u)" = 0 ]; then as_root=(); elif sudo -n true 2>/dev/null; then as_root=(sudo -n); else
    echo "Chromium is not installed: sudo asks for a password"
    echo "hint: sudo ${install[*]}"
    exit "$not_installed"
fi
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -q
"${as_root[@]}" "${install[@]}"

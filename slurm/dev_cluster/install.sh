#!/usr/bin/env bash
# Installs Debian's packages for the dev cluster, and those with which tests make file systems that fail (FUSE) and clocks that
# are wrong (libfaketime). It does so where that needs no password; else it prints what to type.
# --look installs nothing: where packages are missing, it prints what to type and exits with 1.
# With CI=true, a package that cannot be installed is an error.
set -euo pipefail
PATH="$PATH:/usr/sbin:/sbin"
packages=(slurmctld slurmd slurm-client munge slurmdbd mariadb-server fuse3 faketime)
install=(apt-get install -y --no-install-recommends "${packages[@]}")
if [ "${CI:-}" = true ]; then not_installed=1; else not_installed=0; fi

if type -P slurmctld slurmd scontrol munged slurmdbd mariadbd >/dev/null; then
    if [ "${1:-}" = --look ]; then exit 0; fi # tests that need FUSE say so themselves
    if type -P fusermount3 faketime >/dev/null; then echo "Slurm is installed already" && exit 0; fi
fi
if [ "${1:-}" = --look ]; then
    echo "a real Slurm is not installed: whatever needs it cannot run here, and its tests are skipped"
    echo "hint: make slurm-packages"
    exit 1
fi
if ! type -P apt-get >/dev/null; then
    echo "a real Slurm is not installed: this machine has no apt-get; install ${packages[*]}"
    exit "$not_installed"
fi
if [ "$(id -u)" = 0 ]; then as_root=(); elif sudo -n true 2>/dev/null; then as_root=(sudo -n); else
    echo "a real Slurm is not installed: sudo asks for a password"
    echo "hint: sudo ${install[*]}"
    exit "$not_installed"
fi
export DEBIAN_FRONTEND=noninteractive
# The daemons are the dev cluster's own: none of the packages' services may start beside them.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
    "${as_root[@]}" chmod +x "$policy"
    trap '"${as_root[@]}" rm -f "$policy"' EXIT
fi
"${as_root[@]}" apt-get update -q
"${as_root[@]}" "${install[@]}"

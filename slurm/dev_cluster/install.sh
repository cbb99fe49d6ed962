#!/usr/bin/env bash
# Installs Debian's packages for the dev cluster, where that may be done without a question; else says what to type.
set -euo pipefail
PATH="$PATH:/usr/sbin:/sbin"
packages=(slurmctld slurmd slurm-client munge slurmdbd mariadb-server)
install=(apt-get install -y --no-install-recommends "${packages[@]}")

if type -P slurmctld slurmd scontrol munged slurmdbd mariadbd >/dev/null; then
    exit 0
fi
if [ "$(id -u)" = 0 ]; then as_root=(); elif sudo -n true 2>/dev/null; then as_root=(sudo -n); else
    echo "the tests on a real Slurm are skipped; to have them, type: sudo ${install[*]}"
    exit 0
fi
if ! type -P apt-get >/dev/null; then
    echo "the tests on a real Slurm are skipped; they need ${packages[*]} (this machine has no apt-get)"
    exit 0
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

#!/usr/bin/env bash
# Installs Slurm in other versions, each in a root folder of its own: make_roots.sh [VERSION...]
# Needs root and debootstrap; prints what to type where it may not. With CI=true, that is an error.
set -euo pipefail
roots="$HOME/.cache/regrow/slurm-roots"
packages=(slurmctld slurmd slurm-client munge slurmdbd mariadb-server git python3) # python3: the jobs' own Python needs its libraries
declare -A suites=([22.05]=bookworm [24.11]=trixie [26.05]=sid)
if [ "${CI:-}" = true ]; then not_made=1; else not_made=0; fi
if [ $# = 0 ]; then set -- 22.05 24.11 26.05; fi

if [ "$(id -u)" != 0 ]; then
    echo "other versions of Slurm are not installed: only root can make and use their root folders"
    echo "hint: sudo make slurm-roots"
    exit "$not_made"
fi
if ! type -P debootstrap >/dev/null; then
    if ! type -P apt-get >/dev/null; then
        echo "other versions of Slurm are not installed: this machine has neither debootstrap nor apt-get"
        exit "$not_made"
    fi
    apt-get update -q
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends debootstrap
fi
in_root() { # with this machine's settings for apt; the mounts end with the command
    unshare --mount --propagation private sh -c 'root=$1; shift
        for each in proc dev sys etc/apt/apt.conf.d; do mount --rbind "/$each" "$root/$each" || exit; done
        exec chroot "$root" "$@"' sh "$@"
}
mkdir -p "$roots"
for version in "$@"; do
    root="$roots/$version"
    if [ -d "$root" ]; then echo "Slurm $version is installed already"; continue; fi
    part="$root.part"
    rm -rf "$part"
    debootstrap --variant=minbase "${suites[$version]}" "$part"
    printf '#!/bin/sh\nexit 101\n' >"$part/usr/sbin/policy-rc.d" # no service may start
    chmod +x "$part/usr/sbin/policy-rc.d"
    in_root "$part" apt-get update -q
    in_root "$part" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${packages[@]}"
    if [ "$version" != 22.05 ]; then # their slurmdbd cannot read MariaDB's answers by MariaDB's own library, 11.8.9
        echo "deb http://deb.debian.org/debian bookworm main" >"$part/etc/apt/sources.list.d/bookworm.list"
        in_root "$part" apt-get update -q
        in_root "$part" sh -c 'cd /tmp && apt-get download libmariadb3/bookworm && dpkg -x libmariadb3_*.deb /usr/lib/bookworm'
        rm "$part"/tmp/*.deb "$part/etc/apt/sources.list.d/bookworm.list"
    fi
    in_root "$part" apt-get clean
    found="$(in_root "$part" slurmctld -V)"
    if [[ "$found" != *" $version."* ]]; then
        echo "Debian ${suites[$version]} has $found now, not $version"
        exit 1
    fi
    mv "$part" "$root"
    echo "Slurm $version is installed in $root"
done

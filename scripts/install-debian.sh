#!/usr/bin/env bash
# Install the named Debian packages that are missing; without a missing one, do nothing.
# Usage: scripts/install-debian.sh NAME...
set -euo pipefail

die() {
    printf 'install-debian: %s\n' "$*" >&2
    exit 1
}

present() {
    case $1 in
    # These servers may also come from elsewhere; the tests look in the same places.
    postgresql) command -v initdb >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null ;;
    docker.io) command -v dockerd >/dev/null ;;
    *) dpkg-query --show --showformat '${Status}' "$1" 2>/dev/null | grep -q ' ok installed$' ;;
    esac
}

apt_install() {
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends "$@"
}

[ $# -gt 0 ] || die "no package named; usage: $0 NAME..."

missing=()
for name in "$@"; do
    present "$name" || missing+=("$name")
done
[ ${#missing[@]} -gt 0 ] || exit 0

command -v apt-get >/dev/null ||
    die "'${missing[*]}' is missing and this is no Debian system: install the equivalent by hand, then repeat"
as_root=()
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null ||
        die "'${missing[*]}' is missing: as root, run  apt-get install ${missing[*]}  then repeat"
    as_root=(sudo)
fi

# A name without a candidate means that the package lists were never fetched.
for name in "${missing[@]}"; do
    if ! apt-cache policy "$name" | grep -q 'Candidate: [^(]'; then
        "${as_root[@]}" apt-get update --quiet
        break
    fi
done

# The tests start servers of their own; a default cluster would run for nothing at every boot.
if [[ " ${missing[*]} " == *' postgresql '* ]]; then
    apt_install postgresql-common
    "${as_root[@]}" sed -i 's/^#\?create_main_cluster .*/create_main_cluster = false/' \
        /etc/postgresql-common/createcluster.conf
fi

# The lab wants the program and keys of its own, not a server on port 22; the tests start a Docker daemon and a broker of
# their own.
units=()
[[ " ${missing[*]} " != *' openssh-server '* ]] || units+=(ssh.service ssh.socket)
[[ " ${missing[*]} " != *' docker.io '* ]] || units+=(docker.service docker.socket containerd.service)
[[ " ${missing[*]} " != *' mosquitto '* ]] || units+=(mosquitto.service)
policy=/usr/sbin/policy-rc.d
if [ ${#units[@]} -gt 0 ] && [ ! -e $policy ]; then
    trap '"${as_root[@]}" rm -f "$policy"; "${as_root[@]}" systemctl disable "${units[@]}" >/dev/null 2>&1 || true' EXIT
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
    "${as_root[@]}" chmod 755 "$policy"
fi

apt_install "${missing[@]}" || {
    # Lists that are older than the mirror name files that are gone.
    "${as_root[@]}" apt-get update --quiet
    apt_install "${missing[@]}"
} || die "apt-get could not install '${missing[*]}': see its message above, then repeat"

#!/usr/bin/env bash
# Print where Docker's Compose plugin, version 2, is. Debian 12 has none: Debian 13's runs there, and is fetched when
# this machine has no other. Nothing is installed.
# Usage: scripts/compose.sh
set -euo pipefail

say() {
    printf 'compose: %s\n' "$*" >&2
}

for folder in "$HOME/.docker" /usr/local/lib/docker /usr/local/libexec/docker /usr/lib/docker /usr/libexec/docker; do
    if [ -x "$folder/cli-plugins/docker-compose" ]; then
        echo "$folder/cli-plugins/docker-compose"
        exit 0
    fi
done

kept=${XDG_CACHE_HOME:-$HOME/.cache}/edgeloop/compose
plugin=$kept/docker-compose
if [ ! -x "$plugin" ]; then
    command -v apt-get >/dev/null || {
        say 'this is no Debian system: install Docker'\''s docker-compose-plugin by hand, then repeat'
        exit 1
    }
    say 'fetching docker-compose of Debian 13'
    work=$(mktemp -d "${TMPDIR:-/tmp}/edgeloop-compose-XXXXXX")
    trap 'rm -rf "$work"' EXIT
    mkdir -p "$work"/{lists/partial,cache/archives/partial} "$kept"
    # The system's mirror and keys, but lists of its own: the system does not learn of the other release.
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -v security | head -n 1)
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${mirror%/} trixie main" >"$work/sources.list"
    options=(-o "Dir::Etc::sourcelist=$work/sources.list" -o Dir::Etc::sourceparts=- -o "Dir::State::lists=$work/lists"
        -o "Dir::Cache=$work/cache" -o APT::Sandbox::User=root -o APT::Get::List-Cleanup=0)
    apt-get "${options[@]}" --quiet update >"$work/log" 2>&1 &&
        (cd "$work" && apt-get "${options[@]}" --quiet download docker-compose/trixie) >>"$work/log" 2>&1 || {
        say "apt-get could not fetch it: $(tail -n 2 "$work/log")"
        exit 1
    }
    dpkg-deb --extract "$work"/docker-compose_*.deb "$work/root"
    install "$work/root/usr/libexec/docker/cli-plugins/docker-compose" "$plugin.new"
    mv "$plugin.new" "$plugin"
fi
echo "$plugin"

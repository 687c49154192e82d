#!/bin/bash
# Fetch the source of a third-party library from Debian and unpack it: firmware/third_party/fetch.sh bearssl|lwip
#
# The source package comes from the mirror this machine already uses, through a private apt configuration that adds
# deb-src; apt checks it against the archive's signatures, and the SHA-256 below pins the version. Downloads are kept
# in ${XDG_CACHE_HOME:-~/.cache}/edgeloop, the source is unpacked below build/third_party. Patches are not applied:
# none of them touches what is built here.
set -euo pipefail

name=${1:-}
case "$name" in
bearssl)
    version=0.6+dfsg.1-3
    archive=bearssl_0.6+dfsg.1.orig.tar.xz
    sha256=102a625bd8f6155260867a50c508df8d8c3f796985dd744df1a68e5cd1a79004
    ;;
lwip)
    version=2.1.3+dfsg1-2
    archive=lwip_2.1.3+dfsg1.orig.tar.xz
    sha256=0a8276d09fc4e97bbba2f953d74af2388fc2195ea156be9d7589e297a68fde24
    ;;
*)
    echo "fetch.sh: unknown library '$name', expected bearssl or lwip" >&2
    exit 2
    ;;
esac

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/edgeloop
target=$root/build/third_party/$name
mkdir -p "$cache" "$root/build/third_party"

is_sound() {
    [ -f "$cache/$archive" ] && echo "$sha256  $cache/$archive" | sha256sum --check --status
}

download() {
    local work
    work=$(mktemp -d)
    trap 'rm -rf "$work"' RETURN
    mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/sources.d" "$work/get"
    # One-line and deb822 entries of this machine, as sources instead of binaries.
    if [ -f /etc/apt/sources.list ]; then
        sed -n 's/^deb /deb-src /p' /etc/apt/sources.list > "$work/sources.list"
    else
        : > "$work/sources.list"
    fi
    for file in /etc/apt/sources.list.d/*.list; do
        [ ! -f "$file" ] || sed -n 's/^deb /deb-src /p' "$file" >> "$work/sources.list"
    done
    for file in /etc/apt/sources.list.d/*.sources; do
        [ ! -f "$file" ] || sed 's/^Types:.*/Types: deb-src/' "$file" > "$work/sources.d/$(basename "$file")"
    done
    local options=(-qq -o "Dir::Etc::sourcelist=$work/sources.list" -o "Dir::Etc::sourceparts=$work/sources.d"
        -o "Dir::State::lists=$work/lists" -o "Dir::Cache=$work/cache" -o "APT::Sandbox::User=")
    apt-get "${options[@]}" update
    (cd "$work/get" && apt-get "${options[@]}" source --download-only "$name=$version")
    mv "$work/get/$archive" "$cache/$archive"
}

is_sound || download
if ! is_sound; then
    echo "fetch.sh: $cache/$archive does not have SHA-256 $sha256: remove it and check where it came from" >&2
    exit 1
fi
fresh=$(mktemp -d "$root/build/third_party/.$name.XXXXXX")
tar -xf "$cache/$archive" -C "$fresh" --strip-components=1
rm -rf "$target"
mv "$fresh" "$target"

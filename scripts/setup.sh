#!/usr/bin/env bash
# Make an environment hold exactly what its lock names. A second call with the same lock does nothing.
# Usage: scripts/setup.sh [ENVIRONMENT LOCK]     by default .venv locks/dev.txt
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() {
    printf 'setup: %s\n' "$*" >&2
}

# Succeeds for a Python 3.11 that can make a virtual environment with pip in it.
usable() {
    "$1" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null
}

find_python() {
    local candidate
    for candidate in python3.11 python3 /usr/bin/python3.11; do
        if usable "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    return 1
}

# Two calls at once would write into one environment.
exec 9<locks
flock 9

environment=${1:-.venv}
lock=${2:-locks/dev.txt}
stamp=$environment/edgeloop-stamp
# Scripts in the environment hold its absolute path, so a checkout that moved is set up anew.
wanted="$PWD $(cat locks/uv.txt "$lock" scripts/setup.sh | sha256sum | cut -d ' ' -f 1)"
if [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] && [ -x "$environment/bin/python" ]; then
    exit 0
fi

if ! python=$(find_python); then
    say 'no Python 3.11 with venv and ensurepip found; trying the Debian package python3.11-venv'
    scripts/install-debian.sh python3.11-venv || true
    python=$(find_python) || {
        say "'python3.11' and 'python3' are not a Python 3.11 with venv: install one" \
            "(Debian 12: apt-get install python3.11-venv; elsewhere: pyenv install 3.11), then repeat"
        exit 1
    }
fi

rm -f "$stamp"
if ! usable "$environment/bin/python" || ! grep -qsF "$PWD/$environment/" "$environment/bin/pip"; then
    say "making $environment with $(command -v "$python")"
    rm -rf "$environment"
    "$python" -m venv "$environment"
fi
say "installing what $lock names; some minutes the first time"
"$environment/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r locks/uv.txt
"$environment/bin/uv" pip sync --quiet --python "$environment/bin/python" --require-hashes "$lock"
echo "$wanted" >"$stamp"
say 'done'

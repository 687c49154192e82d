#!/usr/bin/env bash
# Make the container image that steps run in, edgeloop-pipelines:HASH; when it is there already, do nothing.
# Usage: scripts/image.sh
#   DOCKER_HOST          the Docker daemon, as for every Docker client
#   EDGELOOP_IMAGE       one more name for the image, for instance that of your registry
#   EDGELOOP_IMAGE_BASE  a base image with python3.11 instead of python:3.11-slim-bookworm
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

BASE=${EDGELOOP_IMAGE_BASE:-python:3.11-slim-bookworm}
# The base where no registry can be reached: Debian 12 by its package mirror.
OWN_BASE=edgeloop-base:bookworm
PULL_SECONDS=120
PLATFORM=x86_64-manylinux_2_28
LIBRARY=/opt/edgeloop/lib/python3.11/site-packages

# What no step reads: commands, headers, the C front end of TensorFlow's build tools, a debugger, parts of notebooks, web
# pages of servers, and what packages test themselves with.
PRUNED=(bin share etc clang debugpy jupyterlab_plotly tensorflow/include pyarrow/include
    jedi/third_party mlflow/server/js zenml/zen_server/dashboard onnx/backend/test/data)
# Has no wheel, and is Python only: what is built of it here runs on any platform.
BUILT=kfp-server-api
# Their symbol tables are a fifth of the packages; libraries that auditwheel has rewritten would not survive it.
STRIPPED=(tensorflow llvmlite ml_dtypes)

say() {
    printf 'image: %s\n' "$*" >&2
}

die() {
    say "$@"
    exit 1
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

require_daemon() {
    command -v docker >/dev/null || scripts/install-debian.sh docker.io
    docker version --format '{{.Server.Version}}' >/dev/null 2>&1 ||
        die "no Docker daemon answers at '${DOCKER_HOST:-unix:///var/run/docker.sock}': start it" \
            "(systemctl start docker), or name another in DOCKER_HOST, then repeat"
}

bootstrap() {
    as_root debootstrap --variant=minbase --include=python3.11,ca-certificates bookworm "$1"
}

# Debian 12 with Python 3.11 and nothing else, without the addresses its packages came from.
make_base() {
    local root=$1/base
    scripts/install-debian.sh debootstrap
    # A mirror that lets go of one download has it the second time; what is there is not fetched again.
    bootstrap "$root" >"$1/debootstrap.log" || bootstrap "$root" >"$1/debootstrap.log" ||
        die "debootstrap failed: $(tail -n 3 "$1/debootstrap.log")"
    as_root rm -rf "$root"/var/{cache/apt,lib/apt/lists,log} "$root"/usr/share/{doc,man,locale,info} \
        "$root/etc/apt/sources.list" "$root/debootstrap"
    as_root install -d "$root"/var/{log,cache/apt/archives/partial,lib/apt/lists/partial}
    as_root tar -c --numeric-owner --one-file-system -C "$root" . | docker import - "$OWN_BASE" >/dev/null
    as_root rm -rf "$root"
}

# Prints the base's name; it is there afterwards.
base_image() {
    local name
    for name in "$BASE" "$OWN_BASE"; do
        if docker image inspect "$name" >/dev/null 2>&1; then
            echo "$name"
            return
        fi
    done
    if timeout "$PULL_SECONDS" docker pull --quiet "$BASE" >/dev/null 2>"$1/pull.log"; then
        echo "$BASE"
        return
    fi
    [ -z "${EDGELOOP_IMAGE_BASE:-}" ] || die "base image '$BASE' is not to be had: $(tail -n 1 "$1/pull.log")"
    say "'$BASE' is not to be had here ($(tail -n 1 "$1/pull.log")); making a base from Debian's packages"
    make_base "$1"
    echo "$OWN_BASE"
}

# The packages of the lock, each checked by its hash, less what no step reads, with their bytecode: an unprivileged
# step could not keep its own, and would compile TensorFlow's modules at every start.
fill() {
    local packages=$1
    .venv/bin/uv pip install --quiet --no-deps --require-hashes --only-binary :all: --no-binary "$BUILT" \
        --link-mode copy --python-platform "$PLATFORM" --python-version 3.11 --target "$packages" -r locks/image.txt
    (cd "$packages" && rm -rf "${PRUNED[@]}")
    find "$packages" -type d -name tests -prune -exec rm -rf {} +
    find "$packages" -name '*.pyi' -delete
    command -v strip >/dev/null || scripts/install-debian.sh binutils
    (cd "$packages" && find "${STRIPPED[@]}" -name '*.so*' -type f -exec strip --strip-unneeded {} +)
    # Some packages ship templates and files for other versions of Python, which do not compile.
    .venv/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash -s "$packages" -p "$LIBRARY" "$packages" \
        >/dev/null || true
}

scripts/setup.sh
require_daemon
name=$(.venv/bin/python -m stacks.image)
if ! docker image inspect "$name" >/dev/null 2>&1; then
    say "making '$name', some minutes"
    work=$(mktemp -d "${TMPDIR:-/tmp}/edgeloop-image-XXXXXX")
    trap 'as_root rm -rf "$work"' EXIT
    base=$(base_image "$work")
    mkdir "$work/context"
    fill "$work/context/packages"
    docker build --quiet --network none --build-arg BASE="$base" --tag "$name" --file Dockerfile "$work/context" >/dev/null
    say "made '$name' on '$base', $(docker image inspect --format '{{.Size}}' "$name") bytes"
fi
if [ -n "${EDGELOOP_IMAGE:-}" ]; then
    docker tag "$name" "$EDGELOOP_IMAGE"
fi

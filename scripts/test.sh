#!/usr/bin/env bash
# All Python tests with coverage, in two processes side by side: most of them wait for others more than they compute.
# With arguments, which go to pytest: in one process.
# Usage: scripts/test.sh [PYTEST ARGUMENT...]
set -euo pipefail

pytest=(.venv/bin/python -m pytest --cov)
if [ $# -gt 0 ]; then
    exec "${pytest[@]}" --cov-report=term "$@"
fi

say() {
    printf 'test: %s\n' "$*" >&2
}

beside=
work=$(mktemp -d)
end() {
    trap - EXIT INT TERM
    if [ -n "$beside" ] && kill -0 "$beside" 2> /dev/null; then
        kill -INT "$beside"
        wait "$beside" || true
    fi
    rm -rf "$work"
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Each measures a part, and neither can judge the whole.
part=("${pytest[@]}" --cov-report= --cov-fail-under=0)
say "tests/unit and tests/property run beside the others; what they print comes after"
COVERAGE_FILE=$work/.coverage.beside "${part[@]}" tests/unit tests/property > "$work/beside.log" 2>&1 &
beside=$!
code=0
COVERAGE_FILE=$work/.coverage.here "${part[@]}" --ignore=tests/unit --ignore=tests/property tests || code=$?
other=0
wait "$beside" || other=$?
beside=
cat "$work/beside.log"
.venv/bin/python -m coverage combine --quiet "$work"
.venv/bin/python -m coverage report
[ "$code" = 0 ] || exit "$code"
exit "$other"

#!/usr/bin/env bash
# Airflow on this machine, with scheduler, DAG processor and page, in an environment of its own (.venv-airflow).
# Usage: scripts/airflow.sh setup    make .venv-airflow hold exactly what locks/airflow.txt names
#        scripts/airflow.sh start    set up, then run Airflow until Ctrl-C or SIGTERM
#   AIRFLOW_HOME            its database, DAGs, logs and the password of its page (.edgeloop/airflow)
#   EDGELOOP_AIRFLOW_PORT   the page and the REST API on loopback (8080)
# What else is set in Airflow's own variables (AIRFLOW__SECTION__KEY) stays.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() {
    printf 'airflow: %s\n' "$*" >&2
}

set_up() {
    scripts/setup.sh
    exec 9<locks
    flock 9
    local stamp=.venv-airflow/edgeloop-stamp wanted
    wanted="$PWD $(sha256sum <locks/airflow.txt | cut -d ' ' -f 1)"
    if [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
        exec 9<&-
        return
    fi
    say 'installing what locks/airflow.txt names; a minute the first time'
    rm -rf .venv-airflow
    .venv/bin/uv venv --quiet --no-config --python .venv/bin/python .venv-airflow
    .venv/bin/uv pip sync --quiet --compile-bytecode --python .venv-airflow/bin/python --require-hashes locks/airflow.txt
    echo "$wanted" >"$stamp"
    exec 9<&-
}

start() {
    local port=${EDGELOOP_AIRFLOW_PORT:-8080}
    [[ $port =~ ^[0-9]+$ ]] && ((port >= 1 && port <= 65535)) || {
        say "EDGELOOP_AIRFLOW_PORT is '$port', expected a number from 1 to 65535"
        exit 2
    }
    set_up
    export AIRFLOW_HOME=${AIRFLOW_HOME:-$PWD/.edgeloop/airflow}
    export AIRFLOW__CORE__DAGS_FOLDER=${AIRFLOW__CORE__DAGS_FOLDER:-$AIRFLOW_HOME/dags}
    export AIRFLOW__CORE__LOAD_EXAMPLES=${AIRFLOW__CORE__LOAD_EXAMPLES:-False}
    export AIRFLOW__CORE__PARALLELISM=${AIRFLOW__CORE__PARALLELISM:-4}
    export AIRFLOW__API__HOST=${AIRFLOW__API__HOST:-127.0.0.1}
    export AIRFLOW__API__PORT=$port
    export AIRFLOW__API__BASE_URL=${AIRFLOW__API__BASE_URL:-http://127.0.0.1:$port}
    export AIRFLOW__API__WORKERS=${AIRFLOW__API__WORKERS:-1}
    export AIRFLOW__CORE__EXECUTION_API_SERVER_URL=http://127.0.0.1:$port/execution/
    # Airflow looks for new DAGs every five minutes unless it is told otherwise; whoever runs a pipeline waits for it.
    export AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL=${AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL:-3}
    # A step must not fail because the machine is busy: five seconds for an answer are too few then.
    export AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT=${AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT:-60}
    # Nothing is reported to anyone.
    export AIRFLOW__USAGE_DATA_COLLECTION__ENABLED=${AIRFLOW__USAGE_DATA_COLLECTION__ENABLED:-False}
    unset PYTHONPATH PYTHONHOME
    (umask 077 && mkdir -p "$AIRFLOW_HOME" "$AIRFLOW__CORE__DAGS_FOLDER")
    PATH=$PWD/.venv-airflow/bin:$PATH
    airflow db migrate >/dev/null
    say "page on http://127.0.0.1:$port, user admin, password in" \
        "$AIRFLOW_HOME/simple_auth_manager_passwords.json.generated"
    say "DAGs from $AIRFLOW__CORE__DAGS_FOLDER"
    # No triggerer: it serves deferred tasks, and DockerOperator has none.
    trap 'trap - EXIT; kill $(jobs -p) 2>/dev/null || true; wait' EXIT
    trap 'exit 0' INT TERM
    airflow scheduler --skip-serve-logs & # one machine: the page reads the steps' logs from the files
    airflow dag-processor &
    airflow api-server &
    wait -n || true
    say 'a part of Airflow has ended, see its last lines above; the others end with it'
    exit 1
}

case ${1:-} in
setup) set_up ;;
start) start ;;
*)
    say "'${1:-}' is not a command, choose setup or start"
    exit 2
    ;;
esac

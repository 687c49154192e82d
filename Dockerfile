# What every step of the pipelines runs in away from this process: Python and the packages of locks/image.txt. The
# project's own code is not in here; ZenML fetches it from the artifact store when a step starts, so no run needs a build.
#
# scripts/image.sh (`make image`) makes the context: one folder, `packages`, that uv fills from the lock and checks by hash.
# Nothing is downloaded in here, so no address of a package index and no password for one can stay behind.
ARG BASE=python:3.11-slim-bookworm
FROM ${BASE}

# Steps may run under any user id, for instance that of whoever started the run, so that files in a local artifact store
# belong to that user: /app, the home of whoever runs here, takes files from everyone.
RUN python3.11 -m venv --without-pip /opt/edgeloop \
    && useradd --uid 1000 --home-dir /app --no-create-home --shell /usr/sbin/nologin edgeloop \
    && install -d -m 1777 /app

ENV PATH=/opt/edgeloop/bin:$PATH \
    HOME=/app \
    LANG=C.UTF-8 \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    ZENML_CONFIG_PATH=/app/.zenml \
    NUMBA_CACHE_DIR=/app/.cache/numba \
    MPLCONFIGDIR=/app/.cache/matplotlib

# As pipelines/home.py sets them for a run on this machine: the same arithmetic, the same patience, no reports to anyone.
ENV ZENML_ANALYTICS_OPT_IN=false \
    ZENML_ENABLE_RICH_TRACEBACK=false \
    ZENML_LOGGING_COLORS_DISABLED=true \
    ZENML_SUPPRESS_UPDATE_NOTIFICATIONS=true \
    AUTO_OPEN_DASHBOARD=false \
    MLFLOW_HTTP_REQUEST_MAX_RETRIES=2 \
    MLFLOW_HTTP_REQUEST_TIMEOUT=20 \
    MLFLOW_DISABLE_TELEMETRY=true \
    MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR=false \
    TF_CPP_MIN_LOG_LEVEL=2 \
    TF_ENABLE_ONEDNN_OPTS=0 \
    CUDA_VISIBLE_DEVICES=-1 \
    OPENBLAS_NUM_THREADS=1

# There is no git in here, and MLflow need not look for it.
ENV GIT_PYTHON_REFRESH=quiet

WORKDIR /app
USER 1000:1000

# Last, as it is large, and owned by root: no step changes it.
COPY packages /opt/edgeloop/lib/python3.11/site-packages

# What was left out of the packages is not missed, whoever runs here.
RUN python -c "import ai_edge_litert.interpreter, deap, deepchecks.tabular, distributed, keras, kfp, kubernetes, mlflow, \
numba, onnx, onnxruntime, psycopg, pyarrow, scipy, sklearn, tensorflow, zenml.entrypoints" && find /app -mindepth 1 -delete

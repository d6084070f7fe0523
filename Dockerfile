# By tag; docker-compose.yml says how to pin a digest.
FROM python:3.12.11-slim-bookworm
WORKDIR /app
COPY requirements.lock ./
RUN pip install --no-cache-dir --no-deps --require-hashes --requirement requirements.lock
COPY pyproject.toml README.md LICENSE prefect.yaml ./
COPY metaclip metaclip
COPY tasks tasks
COPY flows flows
COPY configs configs
COPY deploy deploy
# The service `prepare` writes into /run/seaweedfs, a volume that takes its owner from here.
RUN pip install --no-cache-dir --no-deps --no-build-isolation --editable . \
    && useradd --create-home --uid 1000 metaclip \
    && install --directory --owner metaclip --mode 700 /run/seaweedfs \
    && chown -R metaclip /app
USER metaclip
# Kernels are compiled into the image, for a processor that every x86 server since 2015 can stand in for: compiled for
# the machine that builds it, they would be compiled anew on another. On ARM: --build-arg PROCESSOR=generic
ARG PROCESSOR=x86-64-v3
ENV NUMBA_CPU_NAME=$PROCESSOR NUMBA_CPU_FEATURES=""
RUN metaclip warm --json
# What the deployments' default parameters name.
RUN metaclip demo demo-data --json > /dev/null && rm -r demo-data/pool
CMD ["metaclip", "--help"]

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
# What the deployments' default parameters name; a run of it compiles the numeric kernels into the image.
RUN python -m metaclip demo demo-data --json > /dev/null && rm -r demo-data/pool
CMD ["metaclip", "--help"]

FROM python:3.12.11-slim-bookworm
WORKDIR /app
COPY requirements.lock ./
RUN pip install --no-cache-dir --no-deps --require-hashes --requirement requirements.lock
COPY pyproject.toml README.md LICENSE prefect.yaml ./
COPY metaclip metaclip
COPY tasks tasks
COPY flows flows
COPY configs configs
RUN pip install --no-cache-dir --no-deps --no-build-isolation --editable . \
    && useradd --create-home metaclip && chown -R metaclip /app
USER metaclip
# What the deployments' default parameters name; a run of it compiles the numeric kernels into the image.
RUN python -m metaclip.demo \
    && metaclip run configs/demo.yaml --set storage=/tmp/pool --json > /dev/null \
    && rm -r /tmp/pool
CMD ["metaclip", "--help"]

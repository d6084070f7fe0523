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
# Compile the numeric kernels once, into the image.
RUN python -c "from metaclip.matching import Matcher; Matcher(['a']).match(['a photo'])"
# What the deployments' default parameters name.
RUN python -m metaclip.demo
CMD ["metaclip", "--help"]

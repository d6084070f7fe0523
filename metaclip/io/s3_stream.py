"""Objects of S3 as streams: one request for the rest of the object, and on from there after a fault.

A whole object by one request is what Common Crawl recommends: only requests are held back, not
transfers that go on.
"""

import os
from functools import lru_cache
from typing import Any

import aiohttp
import botocore.exceptions  # type: ignore[import-untyped]
import fsspec
from fsspec.asyn import sync

from metaclip.errors import ChangedFileError, InputError, UnreadableFileError
from metaclip.io.client import Client, current_client
from metaclip.io.resume import Answer, Fault, ResumingStream

_FAULTS = (OSError, aiohttp.ClientError, botocore.exceptions.BotoCoreError)
NO_CREDENTIALS = (botocore.exceptions.NoCredentialsError, botocore.exceptions.PartialCredentialsError)
_MISSING = ("NoSuchKey", "NoSuchBucket", "404")
_REFUSED = (401, 403)
_PASSING = (408, 409, 425, 429)


def s3_filesystem(client: Client | None = None) -> Any:
    """Return the file system for inputs: it names this client, and leaves repeating to it."""
    client = client or current_client()
    environment = tuple(sorted(item for item in os.environ.items() if item[0].startswith("AWS_")))
    return _connect(client.user_agent, client.backoff.timeout, environment, os.getpid())


@lru_cache(maxsize=4)
def _connect(user_agent: str, timeout: float, _environment: tuple[tuple[str, str], ...], _process: int) -> Any:
    # fsspec would keep one connection for each thread, and take old credentials for new ones.
    store = fsspec.filesystem(
        "s3",
        skip_instance_cache=True,
        use_listings_cache=False,
        config_kwargs={
            "connect_timeout": timeout,
            "read_timeout": timeout,
            "retries": {"mode": "standard", "total_max_attempts": 1},
            "user_agent_extra": user_agent,
        },
    )
    store.retries = 1
    return store


class S3Stream(ResumingStream):
    """The bytes of one S3 object."""

    def ask(self, start: int, version: str | None) -> Answer | None:
        """Get the object from a byte on."""
        store = s3_filesystem(self.client)
        bucket, key, _ = store.split_path(self.address)
        wanted = {"IfMatch": version} if version is not None else {}
        if start:
            wanted["Range"] = f"bytes={start}-"
        try:
            response = store.call_s3("get_object", Bucket=bucket, Key=key, **store.req_kw, **wanted)
        except _FAULTS as error:
            code, status = _refusal(error)
            if status == 416 or code == "InvalidRange":
                return None
            if status == 412 or code == "PreconditionFailed":
                raise ChangedFileError(self.address, f"ETag {version} before, another one now") from error
            raise s3_error(self.address, error) from error
        body = response["Body"]
        size: int | None = response["ContentLength"]
        if start:
            total = str(response.get("ContentRange", "")).rpartition("/")[2]
            size = int(total) if total.isdigit() else None

        def read(count: int) -> bytes:
            try:
                return bytes(sync(store.loop, body.read, count))
            except _FAULTS as error:
                raise Fault(f"{type(error).__name__}: {error}") from error

        def close() -> None:
            store.loop.call_soon_threadsafe(body.close)

        return Answer(read, close, start, size, response.get("ETag"))


def s3_error(address: str, error: Exception) -> Exception:
    """Return what a failed request means: a fault that may pass, or what will not."""
    if isinstance(error, NO_CREDENTIALS):
        if address.startswith("s3://commoncrawl/"):
            return InputError(
                f"{address}: {error}. Common Crawl's bucket is open to everyone with an AWS account, not to anonymous"
                " readers: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or read from"
                " https://data.commoncrawl.org/, which needs none"
            )
        return InputError(
            f"{address}: {error}; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY,"
            " or FSSPEC_S3_ANON=true for a bucket that is open to all"
        )
    code, status = _refusal(error)
    if code in _MISSING or status == 404:
        return UnreadableFileError(address, "not_found", f"the store has no such object ({code})")
    if status in _REFUSED:
        return UnreadableFileError(address, "forbidden", f"the store refuses access ({code})")
    if 400 <= status < 500 and status not in _PASSING:
        return UnreadableFileError(address, f"http_{status}", f"the store answered {status} ({code})")
    return Fault(f"{type(error).__name__}: {error}")


def _refusal(error: BaseException) -> tuple[str, int]:
    """Return S3's code and http's status, where the store answered; s3fs keeps them in the cause."""
    cause = error.__cause__
    if not isinstance(cause, botocore.exceptions.ClientError):
        return "", 0
    response = cause.response
    return str(response["Error"].get("Code")), int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))

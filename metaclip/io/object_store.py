"""Talking to object stores: one patient connection a process, and what their failures mean.

Credentials, endpoint and region come from the environment alone (`AWS_*`), never from configuration.
"""

import io
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, cast

import aiohttp
import botocore.exceptions  # type: ignore[import-untyped]
import fsspec

from metaclip.errors import StoreError, StoreOutOfReachError

ATTEMPTS = 6
"""Tries of one request before it fails: after 5xx, SlowDown, time-outs and resets, with waits that
double and are drawn at random up to 20 s (botocore's `adaptive` mode, which also slows down all
requests of the process while the store says SlowDown). `AWS_MAX_ATTEMPTS`, `AWS_RETRY_MODE` win."""

CONNECTIONS = 64
KEYS_A_REQUEST = 1000
CONNECT_SECONDS = 10
READ_SECONDS = 60

FAULTS = (OSError, aiohttp.ClientError, botocore.exceptions.BotoCoreError)
"""What a file system raises when it cannot do what it is asked."""

_NO_ANSWER = (
    botocore.exceptions.HTTPClientError,
    botocore.exceptions.ConnectionError,
    botocore.exceptions.IncompleteReadError,
    aiohttp.ClientError,
    ConnectionError,
    TimeoutError,
)

_ENDPOINT = "AWS_ENDPOINT_URL_S3"

_REASONS = {
    "NoSuchBucket": "the bucket does not exist; create it, or correct the address",
    "InvalidBucketName": "this is no name of a bucket; correct the address",
    "InvalidAccessKeyId": "the store does not know the access key; check AWS_ACCESS_KEY_ID",
    "SignatureDoesNotMatch": "the secret does not belong to the access key; check AWS_SECRET_ACCESS_KEY",
    "ExpiredToken": "the credentials have expired; renew them (AWS_SESSION_TOKEN)",
    "InvalidToken": "the session token is not valid; renew it, or unset AWS_SESSION_TOKEN",
    "RequestTimeTooSkewed": "the clock of this machine is wrong; set it",
    "AuthorizationHeaderMalformed": "the bucket is in another region; set AWS_DEFAULT_REGION to it",
    "PermanentRedirect": "the bucket is in another region; set AWS_DEFAULT_REGION to it",
}
_DENIED = "access is denied; check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and what they may do there"


def connect(address: str, *, patient: bool = True) -> tuple[Any, str]:
    """Return the file system of an address, and the path within it.

    All threads of a process share one connection to S3; a change of the `AWS_*` variables gives a new
    one. With `patient=False` a request is tried twice at most: to look whether the store is there.

    Raises:
        ValueError, ImportError: if there is no such file system, or no library for it.
    """
    if not is_s3(address):
        filesystem, path = fsspec.core.url_to_fs(address)
        return filesystem, str(path)
    environment = tuple(sorted(item for item in os.environ.items() if item[0].startswith("AWS_")))
    filesystem = _connect_s3(patient, environment, os.getpid())
    return filesystem, cast(str, filesystem._strip_protocol(address))


def is_s3(address: str) -> bool:
    """Tell whether an address is in an S3 store."""
    return address.startswith(("s3://", "s3a://"))


@lru_cache(maxsize=16)
def _connect_s3(patient: bool, environment: tuple[tuple[str, str], ...], _process: int) -> Any:
    # fsspec would keep one connection for each thread, and take old credentials for new ones.
    given = dict(environment)
    retries: dict[str, Any] = {}
    if not patient:
        retries = {"mode": "standard", "total_max_attempts": 2}
    else:
        if "AWS_RETRY_MODE" not in given:
            retries["mode"] = "adaptive"
        if "AWS_MAX_ATTEMPTS" not in given:
            retries["total_max_attempts"] = ATTEMPTS
    return fsspec.filesystem(
        "s3",
        skip_instance_cache=True,
        # A cached listing would hide what other workers wrote meanwhile.
        use_listings_cache=False,
        config_kwargs={
            "retries": retries,
            "max_pool_connections": CONNECTIONS,
            "connect_timeout": CONNECT_SECONDS if patient else 3,
            "read_timeout": READ_SECONDS,
        },
    )


@contextmanager
def explained(address: str) -> Iterator[None]:
    """Turn what file systems raise into this project's errors; a missing file stays FileNotFoundError.

    Raises:
        StoreError: with what, where and the way out in one line.
        StoreOutOfReachError: where a later attempt may succeed.
    """
    try:
        yield
    except FAULTS as error:
        code, _ = _answer(error)
        if isinstance(error, FileNotFoundError | NotADirectoryError) and code != "NoSuchBucket":
            raise
        raise explain(address, error) from error


def explain(address: str, error: Exception) -> StoreError:
    """Return the error that says what a failure means and what to do."""
    code, status = _answer(error)
    endpoint = _endpoint() if is_s3(address) else ""
    where = f"{address}{f' at {endpoint}' if endpoint else ''}"
    if code in _REASONS:
        return StoreError(f"{where}: {_REASONS[code]}")
    if isinstance(error, botocore.exceptions.NoCredentialsError | botocore.exceptions.PartialCredentialsError):
        return StoreError(f"{where}: no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
    if isinstance(error, botocore.exceptions.ParamValidationError):
        return StoreError(f"{where}: this is no name of a bucket; write s3://bucket/prefix")
    if isinstance(error, botocore.exceptions.SSLError):
        return StoreError(f"{where}: no secure connection: {_line(error)}; check {_ENDPOINT} and AWS_CA_BUNDLE")
    if isinstance(error, PermissionError):
        return StoreError(f"{where}: {_DENIED if is_s3(address) else 'its permissions do not allow this; change them'}")
    if status >= 500 or status == 429 or isinstance(error, _NO_ANSWER):
        reason = f"{_line(error)} (status {status})" if status else f"no answer: {_line(error)}"
        return StoreOutOfReachError(f"{where}: {reason}; check {_ENDPOINT} and the network, then run again")
    return StoreError(f"{where}: {type(error).__name__}: {_line(error)}")


def _answer(error: BaseException) -> tuple[str, int]:
    """Return an S3 store's error code and HTTP status, or "" and 0 where the error is no answer of one."""
    client = error if isinstance(error, botocore.exceptions.ClientError) else error.__cause__
    if not isinstance(client, botocore.exceptions.ClientError):
        return "", 0
    response = client.response
    return response.get("Error", {}).get("Code", ""), response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)


def _endpoint() -> str:
    return os.environ.get(_ENDPOINT) or os.environ.get("AWS_ENDPOINT_URL") or ""


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def listing_pages(filesystem: Any, path: str, **how: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the prefix and the pages of a folder's listing; s3fs would list the folder above an empty one."""
    bucket, key, _ = filesystem.split_path(path.rstrip("/"))
    prefix = f"{key}/" if key else ""
    more: dict[str, str] = {}
    while True:
        page = filesystem.call_s3("list_objects_v2", Bucket=bucket, Prefix=prefix, **how, **more)
        yield prefix, page
        if not page.get("IsTruncated"):
            return
        more = {"ContinuationToken": page["NextContinuationToken"]}


def object_size(filesystem: Any, path: str) -> int:
    """Return an object's bytes; s3fs would list what is under the name where there is no such object.

    Raises:
        FileNotFoundError: if there is none.
    """
    bucket, key, _ = filesystem.split_path(path)
    return cast(int, filesystem.call_s3("head_object", Bucket=bucket, Key=key)["ContentLength"])


def remove_objects(filesystem: Any, paths: Sequence[str]) -> None:
    """Remove up to `KEYS_A_REQUEST` objects of one bucket; s3fs would not tell which could not be removed.

    Raises:
        StoreError: naming the first that is still there.
    """
    bucket = filesystem.split_path(paths[0])[0]
    keys = [{"Key": filesystem.split_path(path)[1]} for path in paths]
    answer = filesystem.call_s3("delete_objects", Bucket=bucket, Delete={"Objects": keys, "Quiet": True})
    for fault in answer.get("Errors", []):
        raise StoreError(f"s3://{bucket}/{fault['Key']}: cannot be removed: {fault['Code']}: {fault['Message']}")


def unfinished_uploads(filesystem: Any, path: str) -> list[dict[str, Any]]:
    """Return what uploads in parts were begun under a folder and not ended: `Key`, `UploadId`, `Initiated`."""
    bucket, key, _ = filesystem.split_path(path.rstrip("/"))
    found: list[dict[str, Any]] = []
    more: dict[str, str] = {}
    while True:
        page = filesystem.call_s3("list_multipart_uploads", Bucket=bucket, Prefix=f"{key}/" if key else "", **more)
        found += page.get("Uploads", [])
        if not page.get("IsTruncated"):
            return found
        more = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}


class StoreFile(io.RawIOBase):
    """An fsspec file whose reads fail with this project's errors."""

    def __init__(self, address: str, file: Any) -> None:
        super().__init__()
        self._address = address
        self._file = file

    def readable(self) -> bool:
        """Say that this is a source."""
        return True

    def seekable(self) -> bool:
        """Say that any part can be read."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to an offset."""
        return cast(int, self._file.seek(offset, whence))

    def tell(self) -> int:
        """Return the offset."""
        return cast(int, self._file.tell())

    def read(self, size: int = -1) -> bytes:
        """Read so many bytes, fewer only at the end.

        Raises:
            StoreError: also where the file has vanished since it was opened.
        """
        try:
            return cast(bytes, self._file.read(size))
        except FAULTS as error:
            raise explain(self._address, error) from error

    def readinto(self, buffer: Any) -> int:
        """Read into a buffer."""
        view = memoryview(buffer)
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Let go of the file."""
        if not self.closed:
            self._file.close()
        super().close()

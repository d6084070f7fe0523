"""What the failures of file systems and object stores mean: one explanation, for inputs and for the store.

`diagnose` returns what went wrong and the way out. A failure of the store becomes a `StoreError`, one of
an input an `InputError`. In both families a failure that may pass has its own type, so that the task is
retried.
"""

import errno
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import botocore.exceptions  # type: ignore[import-untyped]

from metaclip.errors import InputError, StoreError, StoreOutOfReachError, TransportError, UnreadableFileError
from metaclip.io.addresses.credentials import redact_text
from metaclip.io.object_store import is_s3

_NO_ANSWER = (
    botocore.exceptions.HTTPClientError,
    botocore.exceptions.ConnectionError,
    botocore.exceptions.IncompleteReadError,
    ConnectionError,
    TimeoutError,
)
_NO_CREDENTIALS = (botocore.exceptions.NoCredentialsError, botocore.exceptions.PartialCredentialsError)
_MISSING = (FileNotFoundError, NotADirectoryError)
_PASSING_STATUSES = (408, 409, 425, 429)
_ENDPOINT = "AWS_ENDPOINT_URL_S3"

_NO_TEMPORARY_FOLDER = "No usable temporary directory"
_DISK = {
    errno.ENOSPC: "no space is left on the disk; free some there and run again",
    errno.EDQUOT: "the quota of this user is used up; free some space there and run again",
    errno.EROFS: "the disk can only be read; mount it for writing",
    errno.EFBIG: "a file would become larger than the disk or `ulimit -f` allows; raise the limit",
    errno.EIO: "the disk fails (input/output error); check it and run again",
}
"""What failures of a disk mean, and the way out."""

_MEANINGS = {
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
"""What those error codes of S3 mean that a user can do something about."""

Kind = Literal["missing", "refused", "mistake", "insecure", "out of reach", "disk", "unknown"]


def faults(*more: type[Exception]) -> tuple[type[Exception], ...]:
    """Return what file systems raise when a call fails, and more."""
    return (OSError, botocore.exceptions.BotoCoreError, *_of_aiohttp(), *more)


def _no_answer() -> tuple[type[Exception], ...]:
    return (*_NO_ANSWER, *_of_aiohttp())


def _of_aiohttp() -> tuple[type[Exception], ...]:
    # Importing it takes a fifth of a second, and what nobody has imported raises nothing.
    module = sys.modules.get("aiohttp")
    return () if module is None else (module.ClientError,)


@dataclass(frozen=True)
class Failure:
    """What went wrong at an address."""

    address: str
    kind: Kind
    detail: str
    """What it means, and the way out."""
    code: str = ""
    """S3's code of the error, where the store answered."""
    status: int = 0
    """The HTTP status of that answer."""

    @property
    def may_pass(self) -> bool:
        """Whether reading an input again may succeed; an unknown failure is retried."""
        return self.kind in ("insecure", "out of reach", "unknown")

    def as_store_error(self) -> StoreError:
        """Return the error for a store that failed."""
        endpoint = (os.environ.get(_ENDPOINT) or os.environ.get("AWS_ENDPOINT_URL")) if is_s3(self.address) else ""
        text = f"{self.address}{f' at {endpoint}' if endpoint else ''}: {self.detail}"
        return StoreOutOfReachError(text) if self.kind == "out of reach" else StoreError(text)

    def as_input_error(self) -> InputError:
        """Return the error for an input that failed."""
        if self.may_pass:
            return TransportError(f"{self.address}: {self.detail}")
        if self.kind == "missing":
            return UnreadableFileError(self.address, "not_found", self.detail)
        if self.kind == "refused":
            return UnreadableFileError(self.address, "forbidden", self.detail)
        if self.status:
            return UnreadableFileError(self.address, f"http_{self.status}", self.detail)
        return InputError(f"{self.address}: {self.detail}")


def disk_failure(error: BaseException) -> StoreError | None:
    """Return the error for a disk that is full, broken, or cannot be written, and None for anything else.

    It is for what is raised by those who write temporary files, and do not name them: that file is then said to
    be in `TMPDIR`.
    """
    if not isinstance(error, OSError):
        return None
    named = error.filename if isinstance(error.filename, str) else None
    told = _of_the_disk(error)
    if told is None and isinstance(error, PermissionError) and named is not None:
        told = _denial(named, "")
    if told is None and _NO_TEMPORARY_FOLDER in str(error):
        return StoreError(
            f"{_line(error)}: none of them can be written, or all are full; set TMPDIR to a folder that can"
        )
    if told is None:
        return None
    return StoreError(
        f"{named}: {told}" if named else f"temporary files in {_temporary_folder()}: {told}, or set TMPDIR"
    )


@contextmanager
def explaining_disks() -> Iterator[None]:
    """Turn the failures of disks that nobody has explained into errors of the store.

    Raises:
        StoreError: in one line.
    """
    try:
        yield
    except OSError as error:
        found = disk_failure(error)
        if found is None:
            raise
        raise found from error


def _temporary_folder() -> str:
    try:
        return tempfile.gettempdir()
    except OSError:
        return "TMPDIR"


def _of_the_disk(error: Exception) -> str | None:
    """Return what an error of a disk means, and the way out."""
    number = error.errno if isinstance(error, OSError) else None
    if number not in _DISK:  # Arrow puts the number into the text
        stated = re.search(r"\[errno (\d+)\]", str(error), re.IGNORECASE)
        number = int(stated[1]) if stated else None
    return _DISK.get(number) if number is not None else None


@contextmanager
def explained(address: str) -> Iterator[None]:
    """Turn what file systems raise into errors of the store; a missing file stays FileNotFoundError.

    Raises:
        StoreError: with what, where and the way out in one line.
        StoreOutOfReachError: where a later attempt may succeed.
    """
    try:
        yield
    except faults() as error:
        if isinstance(error, _MISSING) and answer_of(error)[0] != "NoSuchBucket":
            raise
        raise diagnose(address, error).as_store_error() from error


def diagnose(address: str, error: Exception) -> Failure:
    """Return what a failure of a file system means and what to do about it."""
    code, status = answer_of(error)
    kind, detail = _meaning(address, error, code, status)
    return Failure(address, kind, detail, code, status)


def _meaning(address: str, error: Exception, code: str, status: int) -> tuple[Kind, str]:
    """Return the kind of a failure, and what it means with the way out."""
    if code in _MEANINGS:
        kind: Kind = "missing" if code == "NoSuchBucket" else "refused" if status in (401, 403) else "mistake"
        return kind, f"{_MEANINGS[code]} ({code})"
    if isinstance(error, _NO_CREDENTIALS):
        return "mistake", _credentials_wanted(address)
    if isinstance(error, botocore.exceptions.ParamValidationError):
        return "mistake", "this is no name of a bucket; write s3://bucket/prefix"
    if isinstance(error, botocore.exceptions.SSLError):
        return "insecure", f"no secure connection: {_line(error)}; check {_ENDPOINT} and AWS_CA_BUNDLE"
    if isinstance(error, _MISSING) or status == 404:
        return "missing", f"the store has no such object{_bracketed(code)}" if "://" in address else _line(error)
    if not status and "://" not in address and (told := _of_the_disk(error)):
        return "disk", told
    if isinstance(error, PermissionError) or status in (401, 403):
        return "refused", _denial(address, code)
    if (
        status >= 500
        or status in _PASSING_STATUSES
        or (not status and isinstance(error, (*_NO_ANSWER, *_of_aiohttp())))
    ):
        reason = f"{_line(error)} (status {status})" if status else f"no answer: {_line(error)}"
        look_at = f"{_ENDPOINT} and the network" if is_s3(address) else "the network"
        return "out of reach", f"{reason}; check {look_at}, then run again"
    if status >= 400:
        return "mistake", f"the store answered {status}{_bracketed(code)}: {_line(error)}"
    if isinstance(error, ValueError):
        return "mistake", f"{_line(error)}; check {_ENDPOINT if is_s3(address) else 'the address'}"
    return "unknown", f"{type(error).__name__}: {_line(error)}"


def _credentials_wanted(address: str) -> str:
    if address.startswith("s3://commoncrawl/"):
        return (
            "no credentials. Common Crawl's bucket is open to everyone with an AWS account, not to anonymous readers:"
            " set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or read from https://data.commoncrawl.org/, which needs"
            " none"
        )
    return (
        "no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or FSSPEC_S3_ANON=true to read a bucket that"
        " is open to all"
    )


def _denial(address: str, code: str) -> str:
    if not is_s3(address):
        return "its permissions do not allow this; change them"
    return (
        f"access is denied{_bracketed(code)}; check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and what"
        " they may do there"
    )


def answer_of(error: BaseException) -> tuple[str, int]:
    """Return an S3 store's error code and HTTP status, or "" and 0 where the error is no answer of one."""
    # s3fs turns botocore's errors into the system's and keeps them as the cause.
    client = error if isinstance(error, botocore.exceptions.ClientError) else error.__cause__
    if not isinstance(client, botocore.exceptions.ClientError):
        return "", 0
    response = client.response
    code = str(response.get("Error", {}).get("Code", ""))
    return code, int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _bracketed(code: str) -> str:
    return f" ({code})" if code else ""


def _line(error: Exception) -> str:
    return redact_text(" ".join(str(error).split()))[:300]

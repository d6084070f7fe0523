"""One explanation of what fails, for inputs and for the store."""

import time
from collections.abc import Callable

import botocore.exceptions  # type: ignore[import-untyped]
import pytest

from metaclip.errors import InputError, StoreError, StoreOutOfReachError, TransportError, UnreadableFileError
from metaclip.io import object_store
from metaclip.io.client import Backoff, Client
from metaclip.io.failures import diagnose
from metaclip.io.storage.files import Files
from metaclip.io.streams import filesystem, identify, open_stream
from tests.s3 import free_ports

PATIENT = Client(backoff=Backoff(10, first_pause=30, shortest_pause=30))
"""Of a mistake nothing is tried again, so that these waits never come."""


def _answer(code: str, status: int) -> OSError:
    """Return an answer of S3 as s3fs raises it."""
    response = {"Error": {"Code": code, "Message": "so it is"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    error = OSError(f"An error occurred ({code})")
    error.__cause__ = botocore.exceptions.ClientError(response, "GetObject")
    return error


@pytest.mark.parametrize(
    ("error", "of_store", "of_input", "text"),
    [
        (_answer("NoSuchBucket", 404), StoreError, "not_found", "create it, or correct the address"),
        (_answer("NoSuchKey", 404), StoreError, "not_found", "the store has no such object (NoSuchKey)"),
        (_answer("SignatureDoesNotMatch", 403), StoreError, "forbidden", "check AWS_SECRET_ACCESS_KEY"),
        (_answer("AccessDenied", 403), StoreError, "forbidden", "what they may do there"),
        (_answer("ExpiredToken", 400), StoreError, "http_400", "renew them (AWS_SESSION_TOKEN)"),
        (_answer("AuthorizationHeaderMalformed", 400), StoreError, "http_400", "set AWS_DEFAULT_REGION"),
        (_answer("Teapot", 418), StoreError, "http_418", "the store answered 418 (Teapot)"),
        (_answer("SlowDown", 503), StoreOutOfReachError, TransportError, "(status 503); check AWS_ENDPOINT_URL_S3"),
        (_answer("RequestTimeout", 408), StoreOutOfReachError, TransportError, "(status 408)"),
        (TimeoutError("slow"), StoreOutOfReachError, TransportError, "no answer: slow; check AWS_ENDPOINT_URL_S3"),
        (ConnectionResetError("cut"), StoreOutOfReachError, TransportError, "no answer: cut"),
        (FileNotFoundError("x"), StoreError, "not_found", "no such object"),
        (PermissionError("x"), StoreError, "forbidden", "access is denied"),
        (botocore.exceptions.NoCredentialsError(), StoreError, InputError, "set AWS_ACCESS_KEY_ID"),
        (botocore.exceptions.ParamValidationError(report="x"), StoreError, InputError, "write s3://bucket/prefix"),
        (botocore.exceptions.SSLError(endpoint_url="e", error="x"), StoreError, TransportError, "AWS_CA_BUNDLE"),
        (ValueError("Invalid endpoint: x"), StoreError, InputError, "check AWS_ENDPOINT_URL_S3"),
        (OSError("strange"), StoreError, TransportError, "OSError: strange"),
    ],
)
def test_both_families_of_errors_say_the_same(
    error: Exception, of_store: type[StoreError], of_input: type[InputError] | str, text: str
) -> None:
    failure = diagnose("s3://b/k", error)
    for found in (failure.as_store_error(), failure.as_input_error()):
        assert text in str(found)
        assert str(found).startswith("s3://b/k")
        assert "\n" not in str(found)
    assert type(failure.as_store_error()) is of_store
    if isinstance(of_input, str):
        found_input = failure.as_input_error()
        assert isinstance(found_input, UnreadableFileError)
        assert found_input.reason == of_input
    else:
        assert type(failure.as_input_error()) is of_input


@pytest.mark.parametrize("address", ["/a/b", "gs://b/k"])
def test_other_file_systems_are_not_told_of_s3(address: str) -> None:
    for error in (TimeoutError("slow"), PermissionError("x"), OSError("strange")):
        assert "AWS" not in str(diagnose(address, error).as_store_error())


@pytest.mark.slow
@pytest.mark.parametrize("read", [lambda address: open_stream(address, 0, PATIENT), identify])
@pytest.mark.parametrize(
    ("address", "environment", "text"),
    [
        ("s3://B@d_name/a", {}, "no name of a bucket"),
        ("s3://b/a", {"AWS_ENDPOINT_URL_S3": "127.0.0.1:8333"}, "check AWS_ENDPOINT_URL_S3"),
        ("s3://b/a", {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "FSSPEC_S3_ANON=true"),
    ],
)
def test_mistakes_in_inputs_are_named_at_once(
    read: Callable[[str], object],
    address: str,
    environment: dict[str, str],
    text: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name)
    started = time.monotonic()
    with pytest.raises(InputError) as caught:
        read(address)
    assert text in str(caught.value)
    assert not isinstance(caught.value, TransportError)
    assert time.monotonic() - started < 8


def test_streams_repeat_requests_themselves_and_nobody_else_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{free_ports(1)[0]}")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "9")
    client = Client(backoff=Backoff(2, first_pause=0.01, shortest_pause=0, longest_pause=0.01))
    started = time.monotonic()
    with pytest.raises(TransportError, match=r"no answer: .*check AWS_ENDPOINT_URL_S3.*given up after 2 attempts"):
        open_stream("s3://b/a", 0, client)
    assert time.monotonic() - started < 5


def test_stores_and_lists_of_inputs_share_a_connection_and_streams_have_their_own() -> None:
    store = filesystem("s3://a/b")
    assert Files("s3://c")._system.system is store  # type: ignore[attr-defined]
    stream, _ = object_store.connect("s3://a/b", object_store.once("metaclip/1", 60))
    assert stream is not store
    assert object_store.connect("s3://a/b", object_store.once("metaclip/1", 60))[0] is stream
    assert stream.retries == 1

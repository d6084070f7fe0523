"""Connections to file systems and object stores; all threads of a process share one to S3.

Credentials, endpoint and region come from the environment alone (`AWS_*`), never from configuration.
"""

import os
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, cast

import fsspec

from metaclip.io.addresses.credentials import reveal
from metaclip.processes.meter import METER

ATTEMPTS = 6
"""Tries of one request before it fails: after 5xx, SlowDown, time-outs and resets, with waits that
double and are drawn at random up to 20 s (botocore's `adaptive` mode, which also slows down all
requests of the process while the store says SlowDown). `AWS_MAX_ATTEMPTS`, `AWS_RETRY_MODE` win."""

CONNECTIONS = 64
CONNECT_SECONDS = 10
READ_SECONDS = 60


@dataclass(frozen=True)
class Patience:
    """How one request is retried, its time-outs, and the name sent to the server."""

    attempts: int
    mode: Literal["adaptive", "standard"]
    connect_seconds: float
    read_seconds: float
    user_agent: str | None = None
    environment_wins: bool = False
    """Whether `AWS_MAX_ATTEMPTS` and `AWS_RETRY_MODE` take precedence."""
    s3fs_repeats: bool = True
    """Whether s3fs retries what botocore gave up."""


PATIENT = Patience(ATTEMPTS, "adaptive", CONNECT_SECONDS, READ_SECONDS, environment_wins=True)
"""For all work on the store: a store that is busy for a while does not end a run."""

QUICK = Patience(2, "standard", 3, READ_SECONDS)
"""To check whether a store can be reached."""


def once(user_agent: str, seconds: float) -> Patience:
    """Return the settings for streams, which retry by themselves and send their own User-Agent."""
    return Patience(1, "standard", seconds, seconds, user_agent, s3fs_repeats=False)


def connect(address: str, patience: Patience = PATIENT) -> tuple[Any, str]:
    """Return the file system of an address, and the path within it.

    All threads of a process share one connection to S3. When an `AWS_*` variable changes, a new one is made.

    Raises:
        ValueError, ImportError: if there is no such file system, or no library for it.
    """
    if not is_s3(address):
        filesystem, path = fsspec.core.url_to_fs(reveal(address))
        return filesystem, str(path)
    environment = tuple(sorted(item for item in os.environ.items() if item[0].startswith("AWS_")))
    filesystem = _connect_s3(patience, environment, os.getpid())
    return filesystem, cast(str, filesystem._strip_protocol(address))


def is_s3(address: str) -> bool:
    """Return whether an address is in an S3 store."""
    return address.startswith(("s3://", "s3a://"))


@lru_cache(maxsize=16)
def _connect_s3(patience: Patience, environment: tuple[tuple[str, str], ...], _process: int) -> Any:
    # fsspec would keep one connection for each thread, and take old credentials for new ones.
    given = dict(environment) if patience.environment_wins else {}
    retries: dict[str, Any] = {}
    if "AWS_RETRY_MODE" not in given:
        retries["mode"] = patience.mode
    if "AWS_MAX_ATTEMPTS" not in given:
        retries["total_max_attempts"] = patience.attempts
    settings: dict[str, Any] = {
        "retries": retries,
        "max_pool_connections": CONNECTIONS,
        "connect_timeout": patience.connect_seconds,
        "read_timeout": patience.read_seconds,
    }
    if patience.user_agent is not None:
        settings["user_agent_extra"] = patience.user_agent
    from aiobotocore.session import AioSession  # type: ignore[import-untyped]

    session = AioSession()
    session.register("before-send.s3", _count_request)
    # A cached listing would hide what other workers wrote meanwhile.
    store = fsspec.filesystem(
        "s3", skip_instance_cache=True, use_listings_cache=False, config_kwargs=settings, session=session
    )
    if not patience.s3fs_repeats:
        store.retries = 1
    return store


def _count_request(**_: object) -> None:
    """Count an attempt of a request that botocore is about to send; returning nothing, it is sent."""
    METER.count(requests=1, store_requests=1)

"""What runs show in the Prefect UI: names of artifacts, and showing that never ends a run."""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

import httpx
from prefect.exceptions import PrefectException
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

PATIENCE_SECONDS = 60.0
"""For so long what is shown once, at the end of a run, is tried again."""

_RETRY_SECONDS = 5.0

_T = TypeVar("_T")

logger = logging.getLogger(__name__)


def artifact_key(pool: str, name: str) -> str:
    """Return the key of an artifact that all runs of a pool share: lower-case letters, digits, dashes."""
    letters = (letter if letter.isascii() and letter.isalnum() else "-" for letter in pool.lower())
    return f"{''.join(letters).strip('-')}-{name}"


def show(what: str, call: Callable[[], _T], patience: float = 0.0) -> _T | None:
    """Call what shows something in the UI; where Prefect's server does not take it, log that and return None.

    An outage of the server must not end a run, nor keep it waiting: requests are not retried within a call.

    Args:
        what: what is shown, for the log.
        call: sends it.
        patience: seconds for which it is tried again.
    """
    end = time.monotonic() + patience
    while True:
        try:
            with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):
                return call()
        except (httpx.HTTPError, PrefectException, OSError) as error:
            if time.monotonic() >= end:
                reason = " ".join(str(error).split())[:120] or type(error).__name__
                logger.warning("%s is not shown, because the Prefect server does not answer (%s)", what, reason)
                return None
        time.sleep(min(_RETRY_SECONDS, max(0.0, end - time.monotonic())))

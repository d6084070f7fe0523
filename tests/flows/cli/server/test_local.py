"""What Prefect logs of its local server, while it lives and once it was killed."""

import logging
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from flows.cli.server.local import _silent_once_ended


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as begun:
        yield begun
        begun.kill()


@pytest.fixture
def told() -> Iterator[list[str]]:
    """What a handler of Prefect's internals has shown."""
    shown: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            shown.append(record.getMessage())

    handler, logger = Handler(), logging.getLogger("prefect._internal")
    logger.addHandler(handler)
    yield shown
    logger.removeHandler(handler)


@pytest.mark.slow
def test_a_lost_request_is_told_while_the_server_lives(process: subprocess.Popen[bytes], told: list[str]) -> None:
    with _silent_once_ended(process):
        logging.getLogger("prefect._internal.concurrency").error("failed to process an item")
    assert told == ["failed to process an item"]


def test_a_request_that_was_lost_with_the_server_is_not_told(process: subprocess.Popen[bytes], told: list[str]) -> None:
    """Its connection breaks a moment before its process is known to have ended."""
    killer = threading.Timer(0.1, process.kill)
    with _silent_once_ended(process):
        killer.start()
        logging.getLogger("prefect._internal.concurrency").error("failed to process an item")
        killer.join()
    assert told == []

"""What tests share: a Prefect server, an S3 server, a small crawl, and the pool made of it."""

import os
import shutil
import signal
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from metaclip.config.loading import parse_config
from metaclip.config.settings import Config
from metaclip.demo import ENTRIES, write_demo_crawl
from tests.s3 import S3Server, free_ports, running

# An example has no time of its own: the first one may compile, and machines are busy.
hypothesis.settings.register_profile("any-machine", deadline=None)
hypothesis.settings.load_profile("any-machine")


def pytest_make_parametrize_id(val: object) -> str | None:
    """Name gzip members by their length: they hold the time, and test runners side by side must agree on names."""
    return f"gzip-{len(val)}" if isinstance(val, bytes) and val.startswith(b"\x1f\x8b") else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests that need a server as slow: it takes seconds to start."""
    for item in items:
        if {"prefect_server", "s3_server"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session", autouse=True)
def _interrupts_arrive() -> None:
    """Take SIGINT, which what is started in the background ignores, with all of its children."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _quiet_prefect(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep Prefect's state in a folder of the test run, and its analytics off."""
    os.environ.pop("PREFECT_API_URL", None)
    os.environ["PREFECT_HOME"] = str(tmp_path_factory.mktemp("prefect"))
    os.environ["DO_NOT_TRACK"] = "1"
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "WARNING")
    os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] = "false"


@pytest.fixture(scope="session", autouse=True)
def s3_address() -> S3Server:
    """Where the S3 server will be if a test asks for it.

    The environment says so from the start, because worker processes that tests share take their
    environment when they begin, whichever test that is.
    """
    server = S3Server(free_ports(1)[0])
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update(server.environment)
    return server


@pytest.fixture(scope="session")
def s3_server(s3_address: S3Server) -> Iterator[S3Server]:
    """A real S3 server (SeaweedFS), empty, for the whole session."""
    with running(s3_address) as server:
        yield server


@pytest.fixture
def bucket(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """A new empty bucket, such as `s3://test-1f3c…`, with the environment that opens it."""
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    name = f"test-{uuid.uuid4().hex[:12]}"
    s3_server.client().mkdir(name)
    return f"s3://{name}"


@pytest.fixture(scope="session")
def prefect_server(_quiet_prefect: None, s3_address: S3Server) -> Iterator[str]:
    """A real Prefect server on a database of its own; flows of this process and its children use it."""
    from flows.cli.server.local import prefect_api
    from tasks.workers import workers

    # Worker processes stay between tests: they take seconds to start.
    with prefect_api() as url, workers(2):
        os.environ["PREFECT_API_URL"] = url
        yield url
        del os.environ["PREFECT_API_URL"]


@pytest.fixture(scope="session")
def crawl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's crawl: three WARC and three WAT files, faults included; its folder."""
    folder = tmp_path_factory.mktemp("crawl")
    write_demo_crawl(folder)
    return folder


MakeConfig = Callable[..., Config]


@pytest.fixture
def make_config(crawl: Path, tmp_path: Path) -> MakeConfig:
    """Make a configuration for the small crawl; keyword `balance__t=50` changes a field."""

    def make(**changes: Any) -> Config:
        return parse_config(config_tree(crawl, tmp_path / "pool", **changes))

    return make


@pytest.fixture(scope="session")
def finished_pool(crawl: Path, tmp_path_factory: pytest.TempPathFactory, prefect_server: str) -> Path:
    """A finished pool of the small crawl; its store, which tests copy before they change it."""
    from flows.curate import curate

    storage = tmp_path_factory.mktemp("finished") / "pool"
    curate(parse_config(config_tree(crawl, storage)))
    return storage


@pytest.fixture
def finished(make_config: MakeConfig, finished_pool: Path, tmp_path: Path) -> MakeConfig:
    """Make configurations for a copy of the finished pool."""
    shutil.copytree(finished_pool, tmp_path / "pool")
    return make_config


def config_tree(crawl: Path, root: Path, **changes: Any) -> dict[str, Any]:
    """Return a configuration of the small crawl as plain values."""
    tree: dict[str, Any] = {
        "pool": "small",
        "storage": str(root),
        "source": {"paths": [str(crawl / "demo.paths")]},
        "metadata": {"entries": str(ENTRIES)},
        "extract": {"max_failed_files": 0.5},
        "balance": {"t": 20},
        "execution": {"processes": 2},
    }
    for name, value in changes.items():
        section, _, key = name.partition("__")
        if key:
            tree.setdefault(section, {})[key] = value
        else:
            tree[section] = value
    return tree


def data_files(folder: str | Path) -> dict[str, bytes]:
    """Return the Parquet files of a folder by name."""
    return {path.name: path.read_bytes() for path in sorted(Path(folder).glob("*.parquet"))}


def stage_files(root: Path) -> dict[str, tuple[int, int]]:
    """Return size and time of change of every file of the stages, by path relative to the root."""
    return {
        str(path.relative_to(root)): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in sorted(root.glob("*-v*/**/*"))
        if path.is_file()
    }

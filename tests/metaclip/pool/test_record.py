"""The record of a pool: runs that finish together lose nothing of each other; a damaged one is refused in one line."""

import multiprocessing
from collections.abc import Callable
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pytest

from metaclip.config.loading import parse_config
from metaclip.config.settings import Config
from metaclip.errors import ConfigError
from metaclip.pool.record import (
    begin_crawls,
    begun_crawls,
    find_record,
    read_record,
    record_address,
    survivors_name,
    write_record,
)
from metaclip.store.store import Store
from tests.pools import make_pool

WRITERS, ROUNDS = 8, 20
SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture(scope="module")
def folder(crawl: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    root = tmp_path_factory.mktemp("record") / "pool"
    make_pool(crawl, root, pool="k")
    return str(root)


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.long)])
def root(request: pytest.FixtureRequest, folder: str, crawl: Path) -> str:
    if request.param == "folder":
        return folder
    bucket: str = request.getfixturevalue("bucket")
    make_pool(crawl, Path("unused"), pool="k", storage=f"{bucket}/p")
    return f"{bucket}/p"


def _add_a_set(root: str, t: str) -> Callable[[], None]:
    store = Store(root)
    record = find_record(store, "k")
    assert record is not None
    config: Config = parse_config(record["config"])
    stages = {name: named for name, named in record["stages"].items() if name != "curate"}
    curated = record["stages"]["curate"]["20"]
    return lambda: write_record(store, config, stages, t, curated)


def _begin_a_crawl(root: str, name: str) -> Callable[[], None]:
    store = Store(root)
    return lambda: begin_crawls(store, "k", ["CC-MAIN-2024-10", name], joining=True)


_Prepare = Callable[[str, str], Callable[[], None]]


def _write(root: str, name: str, barrier: Barrier, prepare: _Prepare) -> None:
    call = prepare(root, name)
    for _ in range(ROUNDS):
        barrier.wait(60)
        call()
        barrier.wait(60)
        barrier.wait(60)


def _rounds(root: str, names: list[str], prepare: _Prepare, reset: Callable[[], None], look: Callable[[], Any]) -> Any:
    """Have one process for each name write in every round, all at once; return what there was after each round."""
    barrier = SPAWN.Barrier(len(names) + 1)
    writers = [SPAWN.Process(target=_write, args=(root, name, barrier, prepare)) for name in names]
    for writer in writers:
        writer.start()
    found = []
    for _ in range(ROUNDS):
        reset()
        barrier.wait(120)
        barrier.wait(120)
        found.append(look())
        barrier.wait(120)
    for writer in writers:
        writer.join(60)
        assert writer.exitcode == 0
    return found


@pytest.mark.long
def test_eight_runs_that_finish_together_lose_no_set(root: str) -> None:
    store = Store(root)
    whole = store.read(record_address("k"))
    assert whole is not None
    names = [str(50 + number) for number in range(WRITERS)]

    def sets() -> set[str]:
        record = find_record(store, "k")
        assert record is not None
        return set(record["stages"]["curate"])

    found = _rounds(root, names, _add_a_set, lambda: store.write_whole(record_address("k"), whole), sets)
    assert found == [{"20", *names}] * ROUNDS
    assert not [name for name in store.folders("pools") if name]
    assert store.names("pools") == ["k"]


@pytest.mark.long
def test_eight_runs_that_begin_together_lose_no_crawl(root: str) -> None:
    store = Store(root)
    names = [f"CC-MAIN-2025-{number}" for number in range(10, 10 + WRITERS)]
    found = _rounds(
        root, names, _begin_a_crawl, lambda: store.remove("crawls/k.json"), lambda: set(begun_crawls(store, "k"))
    )
    assert found == [{"CC-MAIN-2024-10", *names}] * ROUNDS


def test_a_run_of_named_crawls_replaces_those_begun_before(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    begin_crawls(store, "k", ["A", "B"], joining=True)
    begin_crawls(store, "k", ["A"])
    assert begun_crawls(store, "k") == ["A"]
    begin_crawls(store, "k", [])
    assert begun_crawls(store, "k") == ["A"]


def test_a_store_without_a_pool_may_be_in_another_folder(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"no finished pool 'p' in .*/none; there: none\. .*; relative paths start at"
    ):
        read_record(Store(str(tmp_path / "none")), "p")


@pytest.mark.parametrize("name", ["a/b", "../b", "-b", "b" * 101])
def test_survivors_are_named_as_pools_can_be(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=r"cannot be the name of a pool: letters.*\(--as\)"):
        survivors_name(Store(str(tmp_path)), "p", name)

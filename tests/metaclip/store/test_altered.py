"""Nothing is made from an altered file, and what was made from one before is made again."""

import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from metaclip.config.settings import Config
from metaclip.errors import StoreError
from metaclip.explore.pool import FinishedPool
from metaclip.pool.status import pool_status
from metaclip.report.planned import PlannedReport
from metaclip.stages.balance import BalanceJob
from metaclip.stages.count import CountJob
from metaclip.stages.curate import CuratedSetJob
from metaclip.stages.dedup import DedupJob
from metaclip.stages.gather import GatherJob
from metaclip.stages.match import MatchJob
from metaclip.stages.partition import PartitionJob
from metaclip.store.job import Job
from metaclip.store.manifest import Reference
from metaclip.store.store import Store
from tests.pools import make_pool
from tests.s3 import S3Server

OTHER_T = 150.0


@pytest.fixture(scope="module")
def made(crawl: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("altered") / "pool"
    make_pool(crawl, root, pool="k")
    return root


@pytest.fixture
def pool(made: Path, tmp_path: Path) -> FinishedPool:
    """A copy of the pool that a test may damage."""
    shutil.copytree(made, tmp_path / "pool")
    return FinishedPool.open(str(tmp_path / "pool"), "k")


def _jobs(pool: FinishedPool) -> Iterator[Job]:
    """Every job of the pool that reads outputs, in an order in which each finds what it reads."""
    metadata, counts = pool.one("metadata"), pool.one("count")
    matched = tuple(pool.store.find(address) for address in pool.stages["match"])
    shards = tuple(
        Reference(address, found.key, found.rows)
        for address, found in zip(pool.stages["match"], matched, strict=True)
        if found
    )
    for shard in pool.all("extract"):
        yield MatchJob(shard, metadata, pool.config.match)
    yield GatherJob(shards)
    members = PartitionJob(shards, 1200)
    yield members
    partitions = pool.all("dedup")
    for number in range(len(partitions)):
        yield DedupJob(pool.one("partition"), number, len(partitions))
    yield CountJob(tuple(partitions), metadata)
    for part in partitions:
        yield BalanceJob(part, counts, pool.config.balance.seed)
    yield from _cuts(pool, 20.0)
    planned = PlannedReport.of_pool(pool, None)
    yield from planned.curves
    yield from planned.surveys
    yield planned.report


def _cuts(pool: FinishedPool, t: float) -> list[Job]:
    whole = CuratedSetJob(tuple(pool.all("balance")), t, pool.config.curate.rows_per_file, pool.config.balance.seed)
    return [*whole.parts(), whole]


def _hashes(store: Store, job: Job) -> dict[str, str]:
    return {file.name: file.sha256 for file in store.manifest(job.manifest).files}


def _message(job: Job, store: Store) -> str | None:
    """Run a job; return the message of the error that it ends with."""
    try:
        job.run(store)
    except StoreError as error:
        return str(error)
    return None


def _files(root: Path) -> list[Path]:
    return sorted(path for path in root.glob("*-v*/*/*") if not path.name.endswith("manifest.json"))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
def test_whatever_file_is_altered_no_output_takes_it_over(pool: FinishedPool, seed: int) -> None:
    store, draw = pool.store, random.Random(seed)
    jobs = list(_jobs(pool))
    right = [_hashes(store, job) if job.find(store) else None for job in jobs]
    files = _files(Path(store.root))
    path = draw.choice([each for each in files if each.stat().st_size])
    content = bytearray(path.read_bytes())
    content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    path.write_bytes(content)
    refused = 0
    for job, before in zip(jobs, right, strict=True):
        if path.parent.name == job.folder.split("/")[1]:
            continue  # its own output: it would be made anew
        message = _message(job, Store(store.root))
        if message is None:
            assert before is None or _hashes(store, job) == before
        else:
            assert str(path) in message
            assert "execution.verify=full" in message
            refused += 1
    stage = path.parent.parent.name.partition("-")[0]
    assert refused or stage in ("source", "report", "curve", "survey", "curate", "metadata", "match")


@pytest.mark.parametrize("name", ["pairs.parquet", "entry_counts.arrow"])
@pytest.mark.parametrize("place", ["first byte", "last byte", "middle"])
def test_every_byte_of_a_partition_counts(pool: FinishedPool, name: str, place: str) -> None:
    part = pool.all("dedup")[0]
    path = Path(pool.store.path(f"{part.folder}/{name}"))
    content = bytearray(path.read_bytes())
    content[{"first byte": 0, "last byte": -1, "middle": len(content) // 2}[place]] ^= 0x10
    path.write_bytes(content)
    job = BalanceJob(part, pool.one("count"), 5) if name == "pairs.parquet" else CountJob((part,), pool.one("metadata"))
    with pytest.raises(StoreError, match="altered since it was written"):
        job.run(Store(pool.store.root))


def _poison(path: Path) -> bytes:
    """Alter a Parquet file so that it still reads, with another text; return its content before."""
    content, before = path.read_bytes(), pq.read_table(path)
    group = pq.ParquetFile(path).metadata.row_group(0)
    (text,) = [group.column(n) for n in range(group.num_columns) if group.column(n).path_in_schema == "text"]
    draw = random.Random(1)
    while True:
        place = text.data_page_offset + draw.randrange(60, text.total_compressed_size - 1)
        altered = bytearray(content)
        altered[place] ^= 1 << draw.randrange(8)
        path.write_bytes(altered)
        try:
            if not pq.read_table(path).equals(before):
                return content
        except (pa.ArrowException, OSError):
            pass


def _as_an_earlier_version(monkeypatch: pytest.MonkeyPatch, call: Callable[[], Any], root: Path) -> None:
    """Run jobs as versions did that compared nothing, and leave manifests such as theirs."""
    with monkeypatch.context() as patch:
        patch.setattr(
            Store, "open_parquet", lambda self, reference, name: pq.ParquetFile(self.path(f"{reference.folder}/{name}"))
        )
        call()
    for path in root.glob("*-v*/*/*manifest.json"):
        content = json.loads(path.read_text())
        content.pop("inputs_compared", None)
        for file in content["files"]:
            file.pop("blocks", None)
        path.write_text(json.dumps(content))


def _captions(pool: FinishedPool, t: float) -> list[str]:
    folder = Path(pool.store.root) / _cuts(pool, t)[-1].folder
    return sorted(text for path in folder.glob("*.parquet") for text in pq.read_table(path)["caption"].to_pylist())


def _run(jobs: list[Job], store: Store) -> list[str]:
    """Do what a run with `execution.verify=full` does; return the stages of what was computed."""
    computed = []
    for job in jobs:
        if job.find(store, "full") is None:
            job.run(store)
            computed.append(job.STAGE)
    return computed


def test_a_set_that_an_earlier_version_cut_from_an_altered_partition_is_made_again(
    pool: FinishedPool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    root, store = Path(pool.store.root), pool.store
    for job in _cuts(pool, OTHER_T):
        job.run(store)
    right = _captions(pool, OTHER_T)
    path = root / pool.all("balance")[0].folder / "pairs.parquet"
    content = _poison(path)
    _as_an_earlier_version(monkeypatch, lambda: [job.run(store) for job in _cuts(pool, OTHER_T)], root)
    assert _captions(pool, OTHER_T) != right
    told = pool_status(store.root, "k", "full")
    assert told["missing"] == 1
    assert store.address(_cuts(pool, OTHER_T)[-1].folder) in told["doubtful"]
    partitions, counts = pool.all("dedup"), pool.one("count")
    balance: list[Job] = [BalanceJob(part, counts, pool.config.balance.seed) for part in partitions]
    assert _run(balance, store) == ["balance"]
    assert path.read_bytes() == content
    assert "may have been made from an altered file" in caplog.text
    assert _run(_cuts(pool, OTHER_T), store) == ["curate", "curate"]  # one part, and the set
    assert _captions(pool, OTHER_T) == right
    assert pool_status(store.root, "k", "full")["doubtful"] == []


def test_what_follows_a_doubtful_output_is_doubtful_however_it_was_made(
    pool: FinishedPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, store = Path(pool.store.root), pool.store
    _as_an_earlier_version(monkeypatch, lambda: None, root)
    for job in _cuts(pool, OTHER_T):
        job.run(store)  # by this version, from partitions of an earlier one
    shard = root / pool.all("match")[0].folder / "pairs.parquet"
    content = _poison(shard)
    match = next(_jobs(pool))
    assert _run([match], store) == ["match"]
    assert shard.read_bytes() == content
    gone = {name for name in ("partition", "dedup", "count", "balance", "curve") if pool.store.find(_first(pool, name))}
    assert gone == set()
    assert _cuts(pool, OTHER_T)[-1].find(store) is None
    assert all(store.find(address) for address in pool.stages["match"])


def _first(pool: FinishedPool, stage: str) -> str:
    found = pool.stages[stage]
    return str(found if isinstance(found, str) else found[0])


def test_outputs_of_this_version_stand_when_what_they_were_made_from_is_mended(pool: FinishedPool) -> None:
    store = pool.store
    path = Path(store.root) / pool.all("extract")[0].folder / "pairs.parquet"
    content = _poison(path)
    told = pool_status(store.root, "k", "full")
    assert (told["missing"], told["doubtful"]) == (1, [])
    job = next(_jobs(pool))
    with pytest.raises(StoreError, match=r"extract-v.*altered"):
        job.run(store)
    path.write_bytes(content)
    assert pool_status(store.root, "k", "full")["missing"] == 0


def test_a_file_of_an_earlier_version_is_compared_as_a_whole(
    pool: FinishedPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Path(pool.store.root)
    _as_an_earlier_version(monkeypatch, lambda: None, root)
    _poison(root / pool.all("balance")[0].folder / "pairs.parquet")
    with pytest.raises(StoreError, match=r"balance-v.*altered"):
        _cuts(pool, OTHER_T)[0].run(pool.store)
    assert _cuts(pool, 20.0)[-1].find(pool.store) is not None  # what stands stays as it is


def test_a_file_that_was_made_again_meanwhile_with_other_bytes_is_read(tmp_path: Path) -> None:
    """Another release of Arrow may write the same rows as other bytes."""
    schema = pa.schema([pa.field("a", pa.int64(), nullable=False)])
    store = Store(str(tmp_path))

    def write(store: Store, numbers: list[int]) -> Reference:
        with store.create("demo", 1, {}, [], "demo-v1/k/manifest.json") as output:
            output.parquet("a.parquet", schema, iter([pa.table({"a": numbers}, schema=schema)]))
            return output.commit({})

    reference = write(store, [1, 2])
    write(Store(str(tmp_path)), [3, 4])
    assert store.open_parquet(reference, "a.parquet").read()["a"].to_pylist() == [3, 4]


@pytest.mark.long
def test_an_altered_object_in_s3_is_noticed(bucket: str, s3_server: S3Server, crawl: Path) -> None:
    config: Config = make_pool(crawl, Path("unused"), pool="k", storage=f"{bucket}/p")
    pool = FinishedPool.open(config.storage, "k")
    target = f"{bucket}/p/{pool.all('balance')[0].folder}/pairs.parquet"
    client = s3_server.client()
    content = bytearray(client.cat_file(target))
    content[len(content) // 2] ^= 1
    client.pipe_file(target, bytes(content))
    messages = [_message(job, Store(config.storage)) for job in _cuts(pool, float("inf"))[:-1]]
    assert [message for message in messages if message and "altered" in message and target in message]
    assert pool_status(config.storage, "k", "full")["missing"] == 1

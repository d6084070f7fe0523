"""What a run will take: a short measurement on the first bytes of its inputs, scaled to all of them.

The stages themselves are run on the sample, in a temporary folder; the store of the configuration is not touched.
"""

import math
import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from metaclip.config.prices import Prices
from metaclip.config.settings import Config
from metaclip.demo import ENTRIES
from metaclip.errors import InputError
from metaclip.io.client import downloading
from metaclip.io.object_store import is_s3
from metaclip.io.streams import identify, open_stream, scheme
from metaclip.kernels.ways import WAYS
from metaclip.metadata.jobs import metadata_plans
from metaclip.metadata.list_job import MetadataJob
from metaclip.prepare.jobs import check_inputs, client_of, count_job, extract_job, match_job, resolve
from metaclip.sources.listing import SourceFile
from metaclip.stages.balance import BalanceJob
from metaclip.stages.curate import CuratedSetJob
from metaclip.stages.dedup import DedupJob
from metaclip.stages.group_counts import ByLanguage
from metaclip.stages.near import NearShardJob, is_wanted
from metaclip.stages.partition import PartitionJob
from metaclip.store.job import Job
from metaclip.store.manifest import Reference
from metaclip.store.store import Store
from metaclip.tables.parquet import RANGE_GROUP_ROWS, ROW_GROUP_ROWS

SAMPLE_BYTES = 24 << 20
"""Of a file of each kind; some ten seconds of one core."""
_SIZED = 3
"""Files whose sizes are asked for where a listing does not tell them."""
_PART_BYTES = 16 << 20
"""Of an upload; files of two of them and more have several parts."""
_GETS_A_PARTITION, _PUTS_A_PARTITION = 20, 7
"""Of balance, curate, curve and survey, as `bench.requests` counts them."""
_OF_SHARDS = ("extract", "match", "near")
_OF_POOL = ("dedup", "count", "balance", "curate")


@dataclass
class Sample:
    """What was measured of the files of one kind."""

    kind: str
    file: str
    bytes: int
    """Of the sample."""
    pairs: int = 0
    matched: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    """CPU seconds by stage."""
    stored: dict[str, int] = field(default_factory=dict)
    """Bytes written by stage."""


def estimate(config: Config, sample_bytes: int = SAMPLE_BYTES) -> dict[str, Any]:
    """Measure on the first bytes of the inputs, and return what a run of the configuration will take.

    All figures are of a first run, with nothing in the store. Pairs are those before repeats over the pool are
    dropped, so what depends on them is rather too large.

    Returns:
        JSON values: `files`, `shards`, `gigabytes` of the source, `pairs` extracted and matched, `partitions`, `runs`
        of `execution.deployment` (0 without one), `core_hours` by stage and in all, `hours` on `processes` of this
        machine, `stored_gigabytes` by stage, `requests` to the store, `dollars` by part (None without a price),
        `measured`, and `notes`.

    Raises:
        ConfigError, InputError, TransportError: as a run would before its work; or a sample has no pair.
    """
    config = resolve(config)
    notes: list[str] = []
    listing = check_inputs(config)
    with downloading(client_of(config)), tempfile.TemporaryDirectory(prefix="metaclip-estimate-") as name:
        sizes = _sizes([file for shard in listing.shards for file in shard], notes)
        lab = _Lab(config, Path(name), notes)
        samples = [lab.measure(file, sample_bytes) for file in _one_of_each(listing.shards)]
        pool = lab.measure_pool()
    scale = {one.kind: sizes[one.kind] / one.bytes for one in samples}
    pairs = round(sum(one.pairs * scale[one.kind] for one in samples))
    matched = round(sum(one.matched * scale[one.kind] for one in samples))
    seconds: defaultdict[str, float] = defaultdict(float)
    stored: defaultdict[str, float] = defaultdict(float)
    for one in samples:
        for stage, cpu in one.seconds.items():
            seconds[stage] += cpu * scale[one.kind]
        for stage, size in one.stored.items():
            stored[stage] += size * scale[one.kind]
    if "near" in seconds and pairs > config.near.most_pairs:
        seconds["near"] *= config.near.most_pairs / pairs
    share = matched / pool.matched if pool.matched else 0
    seconds.update({stage: cpu * share for stage, cpu in pool.seconds.items()})
    stored.update({stage: size * share for stage, size in pool.stored.items()})
    shards = len(listing.shards)
    gathered = shards > config.dedup.shards_per_group
    if gathered:
        seconds["gather"], stored["gather"] = seconds["dedup"], stored["match"]
    hours = {stage: seconds[stage] / 3600 for stage in (*_OF_SHARDS, "gather", *_OF_POOL) if stage in seconds}
    gigabytes = {stage: stored[stage] / 1e9 for stage in hours if stored[stage]}
    partitions = max(1, math.ceil(matched / config.dedup.rows_per_partition))
    requests = _requests(config, shards, partitions, pairs, matched, stored)
    total = sum(hours.values())
    return {
        "pool": config.pool,
        "files": sum(map(len, listing.shards)),
        "shards": shards,
        "gigabytes": sum(sizes.values()) / 1e9,
        "pairs": pairs,
        "matched": matched,
        "partitions": partitions,
        "runs": math.ceil(shards / config.execution.shards_per_run) if config.execution.deployment else 0,
        "core_hours": {**hours, "total": total},
        "processes": config.execution.processes,
        "hours": total / config.execution.processes,
        "stored_gigabytes": {**gigabytes, "total": sum(gigabytes.values())},
        "requests": requests,
        "dollars": _dollars(config.prices, total, sum(gigabytes.values()), sum(requests.values())),
        "measured": [
            {
                "file": one.file,
                "kind": one.kind,
                "megabytes": one.bytes / 1e6,
                "cpu_seconds": sum(one.seconds.values()),
                "pairs": one.pairs,
                "matched": one.matched,
            }
            for one in samples
        ],
        "notes": notes,
    }


def _one_of_each(shards: Sequence[Sequence[SourceFile]]) -> list[SourceFile]:
    """Return the first file of each kind."""
    found: dict[str, SourceFile] = {}
    for shard in shards:
        for file in shard:
            found.setdefault(file.kind, file)
    return list(found.values())


def _sizes(files: Sequence[SourceFile], notes: list[str]) -> dict[str, float]:
    """Return the bytes of all files by kind; where a listing does not tell some, those of others stand for them."""
    found: dict[str, float] = {}
    for kind in dict.fromkeys(file.kind for file in files):
        own = [file for file in files if file.kind == kind]
        known = [file.bytes for file in own if file.bytes is not None]
        if not known:
            asked = [size for file in own[:_SIZED] if (size := identify(file.path).bytes) is not None]
            if not asked:
                raise InputError(f"{own[0].path}: its server does not tell its size, so nothing can be estimated")
            known = asked
        if len(known) < len(own):
            notes.append(f"sizes of {len(own) - len(known):,} {kind} files are taken from {len(known):,} others")
        found[kind] = sum(known) / len(known) * len(own)
    return found


class _Lab:
    """Runs the stages on samples, in a folder of its own."""

    def __init__(self, config: Config, folder: Path, notes: list[str]) -> None:
        self._config, self._folder, self._notes = config, folder, notes
        self._store = Store(str(folder / "store"))
        self._matched: list[Reference] = []
        self._metadata = self._lists()

    def _lists(self) -> tuple[Reference, ...]:
        """Return the lists: given ones, those that the store has, and for one that must be built first the demo's."""
        listed = []
        theirs = Store(self._config.storage)
        for group, plan in metadata_plans(self._config).items():
            job: Job = plan.job
            if not isinstance(job, MetadataJob):
                found = None
                if not scheme(self._config.storage):
                    found = job.find(theirs)
                if found is not None:
                    target = Path(self._store.path(job.folder))
                    shutil.copytree(theirs.path(job.folder), target)
                    listed.append(found)
                    continue
                self._notes.append(
                    f"the list{f' of {group}' if group else ''} must be built first: its cost is not estimated, and the"
                    " demo's ten thousand entries stand for it (`metaclip metadata build` builds it alone)"
                )
                job = MetadataJob(str(ENTRIES), "demo", rule=plan.job.rule, group=group)
            listed.append(self._run(job)[0])
        return tuple(listed)

    def measure(self, file: SourceFile, sample_bytes: int) -> Sample:
        """Extract and match the first bytes of a file."""
        # Kernels are loaded, and compiled where that was not done, on a few bytes before the clock runs.
        self._shard(self._cut(file, sample_bytes // 16, "warm"), [])
        sample = self._cut(file, sample_bytes, "sample")
        found = Sample(file.kind, file.path, sample.bytes or 0)
        matched: list[Reference] = []
        found.seconds, found.stored, extracted, found.matched = self._shard(sample, matched)
        found.pairs = extracted.rows
        if not found.pairs:
            raise InputError(
                f"{file.path}: no pair in its first {found.bytes / 1e6:,.1f} MB, so nothing can be estimated"
            )
        self._matched += matched
        return found

    def _shard(
        self, sample: SourceFile, keep: list[Reference]
    ) -> tuple[dict[str, float], dict[str, int], Reference, int]:
        extracted, seconds, size = self._run(extract_job(self._config, (sample,)))
        match = match_job(self._config, self._store, extracted, self._metadata)
        matched, match_seconds, match_size = self._run(match)
        keep.append(matched)
        times, sizes = {"extract": seconds, "match": match_seconds}, {"extract": size, "match": match_size}
        if self._config.groups is None and self._config.rule == "paper":
            entries = self._store.manifest(self._metadata[0].manifest).statistics["entries"]
            if is_wanted(self._config.near, entries):
                _, times["near"], _ = self._run(NearShardJob(extracted, self._metadata[0], self._config.match, 0))
        return times, sizes, extracted, matched.rows

    def measure_pool(self) -> Sample:
        """Run the stages of a pool on what was matched of all samples; nothing matched, nothing measured."""
        found = Sample("pool", "", 0, matched=sum(matched.rows for matched in self._matched))
        if not found.matched:
            self._notes.append("no text of the sample has an entry, so the stages after match are left out")
            return found
        config, groups = self._config, self._config.groups
        members, _, _ = self._run(PartitionJob(tuple(self._matched), 1 << 40))
        unique, found.seconds["dedup"], found.stored["dedup"] = self._run(DedupJob(members, 0, 1, groups))
        counts, _, _ = self._run(count_job(groups, (unique,), self._metadata))
        balance = BalanceJob(unique, counts, config.balance.seed, ByLanguage.of(groups, config.balance))
        balanced, found.seconds["balance"], found.stored["balance"] = self._run(balance)
        # How much a t keeps depends on the size of the pool: this is all of it, the most that it can be.
        whole = CuratedSetJob((balanced,), math.inf, config.curate.rows_per_file, config.balance.seed, groups)
        _, found.seconds["curate"], found.stored["curate"] = self._run(whole.parts()[0])
        self._notes.append("the set is taken as large as the pool; what t keeps of it is known after the run")
        return found

    def _run(self, job: Job) -> tuple[Reference, float, int]:
        """Run a job; return its output, its CPU seconds and the bytes of its files."""
        with WAYS.chosen(job.work(), "compiled"):
            start = time.process_time()
            output = job.run(self._store)
            seconds = time.process_time() - start
        size = sum(file.bytes for file in self._store.manifest(output.manifest).files)
        return output, seconds, size

    def _cut(self, file: SourceFile, wanted: int, name: str) -> SourceFile:
        """Write the first bytes of a file, or the first row groups of a Parquet file, to the folder."""
        target = self._folder / f"{name}-{PurePosixPath(file.path.split('?')[0]).name}"
        with open_stream(file.path) as stream:
            head = stream.read(4)
            if head == b"PAR1":
                size, whole = _cut_parquet(file.path, stream, target, wanted)
                size = file.bytes if whole and file.bytes is not None else size
            else:
                with target.open("wb") as sink:
                    sink.write(head)
                    while sink.tell() < wanted and (piece := stream.read(min(1 << 20, wanted - sink.tell()))):
                        sink.write(piece)
                    size = sink.tell()
        return SourceFile(str(target), file.kind, size, f"{name} of {size} bytes")


def _cut_parquet(path: str, stream: Any, target: Path, wanted: int) -> tuple[int, bool]:
    """Write the first rows of a Parquet file; return how many bytes they have in it, and whether they are all."""
    if scheme(path) in ("http", "https"):
        raise InputError(
            f"{path}: the beginning of Parquet on a web server cannot be read alone; copy the file here first"
        )
    try:
        file = pq.ParquetFile(stream)
        with pq.ParquetWriter(target, file.schema_arrow, compression="zstd") as writer:
            taken = rows_taken = 0
            for group in range(file.num_row_groups):
                metadata = file.metadata.row_group(group)
                size = sum(metadata.column(number).total_compressed_size for number in range(metadata.num_columns))
                rows = max(1, round(metadata.num_rows * min(1.0, (wanted - taken) / max(size, 1))))
                for batch in _first(file, group, rows):
                    writer.write_batch(batch)
                rows_taken += min(rows, metadata.num_rows)
                taken += round(size * rows / max(metadata.num_rows, 1))
                if taken >= wanted:
                    break
        return max(taken, 1), rows_taken == file.metadata.num_rows
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: not a whole Parquet file: {error}") from error


def _first(file: pq.ParquetFile, group: int, rows: int) -> Iterator[pa.RecordBatch]:
    for batch in file.iter_batches(ROW_GROUP_ROWS, row_groups=[group]):
        yield batch.slice(0, rows)
        rows -= batch.num_rows
        if rows <= 0:
            return


def _requests(
    config: Config, shards: int, partitions: int, pairs: int, matched: int, stored: Mapping[str, float]
) -> dict[str, int]:
    """Return the requests to an object store (docs/scale.md has the formulas); none to a folder."""
    if not is_s3(config.storage):
        return {"read": 0, "written": 0}
    groups_of = config.dedup.shards_per_group
    gathered = shards > groups_of
    sources = math.ceil(shards / groups_of) if gathered else shards
    groups = math.ceil(matched / sources / RANGE_GROUP_ROWS)
    # Of a file, as many neighbours are read together as have ROW_GROUP_ROWS rows.
    read = math.ceil(min(groups, groups / partitions + 1) * RANGE_GROUP_ROWS / ROW_GROUP_ROWS)
    gets = shards * (6 + math.ceil(pairs / shards / ROW_GROUP_ROWS))
    gets += partitions * sources * (1 + read) + partitions * _GETS_A_PARTITION
    puts = shards * 4 + partitions * (3 + _PUTS_A_PARTITION)
    if stored["extract"] / shards > 2 * _PART_BYTES:
        puts += math.ceil(shards * (stored["extract"] / shards / _PART_BYTES + 2))
    if gathered:
        gets += shards * (2 + math.ceil(matched / shards / ROW_GROUP_ROWS))
        puts += math.ceil(sources * (2 + stored["match"] / sources / _PART_BYTES))
    return {"read": gets, "written": puts}


def _dollars(prices: Prices, core_hours: float, gigabytes: float, requests: int) -> dict[str, float | None]:
    """Return dollars by part; None for what has no price, and for the sum where nothing has one."""
    parts = {
        "computing": None if prices.core_hour is None else core_hours * prices.core_hour,
        "storage_a_month": None if prices.gigabyte_month is None else gigabytes * prices.gigabyte_month,
        "requests": None if prices.thousand_requests is None else requests / 1000 * prices.thousand_requests,
    }
    known = [part for part in parts.values() if part is not None]
    return {**parts, "total": sum(known) if known else None}

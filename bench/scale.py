"""What a crawl costs, from measured rates: `python -m bench.scale [JSON of bench.pipeline] [JSON of bench.requests]`.

Without a file it measures what is missing. docs/scale.md explains the formulas and the meaning of the
figures. Sizes that are not measured are constants below, each with its source.
"""

import json
import math
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import pipeline, rebalance
from bench import requests as s3
from bench.timing import in_turn, report, spread, table
from metaclip.schemas import MATCHED
from metaclip.stages.balance import BalanceJob
from metaclip.stages.count import CountJob
from metaclip.stages.curate import CuratedSetJob
from metaclip.stages.dedup import DedupJob
from metaclip.stages.gather import GatherJob
from metaclip.stages.match import MatchJob
from metaclip.stages.partition import PartitionJob
from metaclip.tables.parquet import RANGE_GROUP_ROWS, ROW_GROUP_ROWS

CRAWL_FILES = 90_000  # of each kind, in a crawl of Common Crawl
ALL_WAT_FILES = 5_000_000  # of all crawls, as cc2dataset counts them
FILE_MB = {"wat": 350, "warc": 1_000}  # gzipped
PUBLISHED_MATCHED = 10_700_000_000  # pairs in the larger pool of MetaCLIP, of about all WAT files
CC2DATASET = "cc2dataset, extraction alone, cpu"
ROWS_PER_PARTITION = 4_000_000
SHARDS_PER_RUN = 200
SHARDS_PER_GROUP = 100
PART_MB = 16  # of an upload; smaller files than 32 MB have one part
CC2DATASET_HOURS, CC2DATASET_DOLLARS = 70_000, 2_800  # as published, for all WAT files
CORE_HOUR = CC2DATASET_DOLLARS / CC2DATASET_HOURS
GET, PUT = 0.0004 / 1000, 0.005 / 1000  # S3 standard in us-east-1, dollars
GB_MONTH = 0.023
REPEATS = 3


@dataclass(frozen=True)
class Case:
    """A pool: which files, how many to a shard, and how dense they are."""

    name: str
    kind: str
    files: int
    files_per_shard: int
    matched_per_file: float | None = None
    """None for the density of the measured files."""


CASES = (
    Case("WAT, one crawl", "wat", CRAWL_FILES, 1),
    Case("WAT, one crawl, published density", "wat", CRAWL_FILES, 1, PUBLISHED_MATCHED / ALL_WAT_FILES),
    Case("WAT, one crawl, published, 100 files a shard", "wat", CRAWL_FILES, 100, PUBLISHED_MATCHED / ALL_WAT_FILES),
    Case("WAT, all crawls", "wat", ALL_WAT_FILES, 100),
    Case("WAT, all crawls, published density", "wat", ALL_WAT_FILES, 100, PUBLISHED_MATCHED / ALL_WAT_FILES),
    Case("WARC, one crawl", "warc", CRAWL_FILES, 1),
)


def measure(measured: dict[str, Any] | None = None, counted: dict[str, Any] | None = None) -> dict[str, Any]:
    measured = measured or pipeline.measure(REPEATS)
    rates = pool_rates()
    return {
        "pool_microseconds_a_pair": rates,
        "published": {"cc2dataset_core_hours": CC2DATASET_HOURS, "cc2dataset_dollars": CC2DATASET_DOLLARS},
        "shards_cpu_seconds_per_mb": {
            kind: measured[kind]["seconds_per_mb"]["shards, cpu"]["median"] for kind in pipeline.KINDS
        },
        "requests": counted or s3.measure(),
        "cases": {case.name: estimate(case, measured[case.kind], rates) for case in CASES},
    }


def show(result: dict[str, Any]) -> str:
    """Return the figures as text."""
    names = list(next(iter(result["cases"].values())))
    rows = [
        [name.replace("_", " "), *(_short(one[name]) if name in one else "" for one in result["cases"].values())]
        for name in names
    ]
    text = "".join(f"{number}: {name}\n" for number, name in enumerate(result["cases"], 1))
    return text + table("", ("", *map(str, range(1, len(result["cases"]) + 1))), rows)


def estimate(case: Case, measured: dict[str, Any], rates: dict[str, Any]) -> dict[str, float]:
    """Return what a pool costs."""
    sample_mb = measured["gzipped_mb"]
    megabytes = case.files * FILE_MB[case.kind]
    shards = math.ceil(case.files / case.files_per_shard)
    extracted = megabytes * measured["pairs"] / sample_mb
    matched = megabytes * measured["matched"] / sample_mb
    if case.matched_per_file is not None:
        # If fewer match, fewer were extracted, in the same proportion.
        extracted *= case.files * case.matched_per_file / matched
        matched = case.files * case.matched_per_file
    stored = measured["stored_bytes"]
    bytes_of = {stage: stored[stage] / measured[rows] for stage, rows in ROWS.items()}
    partitions = math.ceil(matched / ROWS_PER_PARTITION)
    gathered = shards > SHARDS_PER_GROUP
    sources = math.ceil(shards / SHARDS_PER_GROUP) if gathered else shards
    rows = matched / sources
    groups = math.ceil(rows / RANGE_GROUP_ROWS)
    # A partition reads from each file the row groups of its range: its own part, and one that it shares.
    groups_read = min(groups, groups / partitions + 1)
    rows_read = partitions * sources * min(rows, groups_read * RANGE_GROUP_ROWS)
    microseconds = {name: one["median"] for name, one in rates.items()}
    shard_hours = megabytes * measured["seconds_per_mb"]["shards, cpu"]["median"] / 3600
    pool_hours = (
        matched * sum(microseconds[one] for one in ("dedup", "balance", "curate"))
        + (matched * microseconds["gather"] if gathered else 0)
        + rows_read * microseconds["read a row again"]
    ) / 3.6e9
    extract_mb = extracted / shards * bytes_of["extract"] / 1e6
    puts = shards * (4 + (extract_mb / PART_MB + 2 if extract_mb > 2 * PART_MB else 0)) + partitions * 10
    dedup_gets = partitions * sources * (1 + math.ceil(groups_read * RANGE_GROUP_ROWS / ROW_GROUP_ROWS))
    gets = shards * (6 + math.ceil(extracted / shards / ROW_GROUP_ROWS)) + dedup_gets + partitions * 20
    if gathered:
        gets += shards * (2 + math.ceil(matched / shards / ROW_GROUP_ROWS))
        puts += sources * (2 + rows * bytes_of["match"] / 1e6 / PART_MB)
    written = ("match", *(["match"] if gathered else []), "dedup", "balance")
    terabytes = (extracted * bytes_of["extract"] + matched * sum(bytes_of[one] for one in written)) / 1e12
    dollars = {
        "dollars_computing": (shard_hours + pool_hours) * CORE_HOUR,
        "dollars_requests": gets * GET + puts * PUT,
        "dollars_storage_a_month": terabytes * 1000 * GB_MONTH,
    }
    # The same work on the machine of cc2dataset's figure, by the ratio to cc2dataset in the same run.
    theirs = measured["yardsticks_seconds_per_mb"].get(CC2DATASET)
    all_wat_hours = theirs and ALL_WAT_FILES * FILE_MB["wat"] * theirs["median"] / 3600
    return {
        "files": case.files,
        "gzipped_tb_read": megabytes / 1e6,
        "shards": shards,
        "match_shards_runs": math.ceil(shards / SHARDS_PER_RUN),
        "files_that_dedup_reads": sources,
        "task_runs": 2 * shards + (sources if gathered else 0) + 6 * partitions,
        "pairs_extracted": extracted,
        "pairs_matched": matched,
        "partitions": partitions,
        "core_hours_extract_and_match": shard_hours,
        "core_hours_of_the_pool": pool_hours,
        **({"hours_on_the_machine_of_cc2dataset": shard_hours * CC2DATASET_HOURS / all_wat_hours} if theirs else {}),
        "terabytes_stored": terabytes,
        "terabytes_that_dedup_reads": rows_read * bytes_of["match"] / 1e12,
        "requests_read": gets,
        "of_these_dedup": dedup_gets,
        "requests_written": puts,
        **dollars,
        "dollars_and_a_month": sum(dollars.values()),
    }


ROWS = {"extract": "pairs", "match": "matched", "dedup": "unique", "balance": "unique", "curate": "curated"}


def pool_rates() -> dict[str, Any]:
    """Return CPU microseconds for each pair in the stages of the pool, on 400,000 generated pairs."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rebalance.write_pairs(folder / "pairs.parquet")
        store, shard, metadata, config = rebalance.extracted(folder)
        matched = MatchJob(shard, metadata, config.match).run(store)
        members = PartitionJob((matched,), rebalance.PAIRS).run(store)
        gather, dedup = GatherJob((matched,)), DedupJob(members, 0, 1)
        unique = dedup.run(store)
        counts = CountJob((unique,), metadata).run(store)
        balance = BalanceJob(unique, counts, 0)
        whole = CuratedSetJob((balance.run(store),), float("inf"), 1 << 20, 0)

        def read() -> None:
            file = store.open_parquet(matched, "pairs.parquet")
            for group in range(file.num_row_groups):
                file.read_row_group(group).cast(MATCHED)

        clocks = in_turn(
            {
                "gather": lambda: gather.run(store),
                "dedup": lambda: dedup.run(store),
                "balance": lambda: balance.run(store),
                "curate": lambda: whole.parts()[0].run(store),
                "read a row again": read,
            },
            REPEATS,
        )
        return {name: spread([1e6 * one.cpu / matched.rows for one in turns], 3) for name, turns in clocks.items()}


def _short(value: float) -> str:
    for size, unit in ((1e9, "G"), (1e6, "M")):
        if value >= size:
            return f"{value / size:,.1f} {unit}"
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.2f}"


if __name__ == "__main__":
    given = [json.loads(Path(path).read_text()) for path in sys.argv[1:]]
    report(lambda: measure(*given), show)

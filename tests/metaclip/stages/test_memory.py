"""What a worker process holds at most of its own, with half a million entries loaded, whatever it is given to read.

Pages of files, which all workers share, do not count: how much of a library is mapped depends on how the system's cache
holds its file, and may differ by 50 MB between two environments of the same packages.
`METACLIP_TEST_LARGE=1` reads 10 GB where the suite reads one.
"""

import gzip
import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from isal import isal_zlib

from metaclip.config.loading import parse_config
from metaclip.metadata.jobs import metadata_plan
from metaclip.metadata.wordnet import load_wordnet
from metaclip.store.store import Store

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of memory is read from /proc"),
]

logger = logging.getLogger(__name__)  # `pytest -rP -o log_level=INFO` shows the peaks

LIMIT_MB = 440
WAT_BYTES = 10_000_000_000 if os.environ.get("METACLIP_TEST_LARGE") else 1_000_000_000

# What a worker process does with a shard; the matcher is loaded first, as it stays between shards.
WORK = """
import json, re, sys, time
from pathlib import Path
from metaclip.config.loading import parse_config
from metaclip.metadata.jobs import metadata_plan
from metaclip.prepare.jobs import extract_job
from metaclip.sources.listing import list_shards
from metaclip.stages.match import MatchJob
from metaclip.metadata.list_job import open_matcher
from metaclip.store.store import Store
config = parse_config(json.loads(sys.argv[1]))
store = Store(config.storage)
metadata = metadata_plan(config).job.find(store)
open_matcher(store, metadata)
(shard,) = list_shards(config.source)
start = time.perf_counter()
extracted = extract_job(config, tuple(shard)).run(store)
matched = MatchJob(extracted, metadata, config.match).run(store)
status = Path("/proc/self/status").read_text()
peak, mapped = (int(re.search(name + r":\\s+(\\d+)", status)[1]) / 1024 for name in ("VmHWM", "RssFile"))
counts = store.manifest(extracted.manifest).statistics["counts"]
seconds = time.perf_counter() - start
print(json.dumps({"counts": counts, "matched": matched.rows, "peak_mb": round(peak - mapped), "seconds": seconds}))
"""


# Drops the repeats among many pairs, made up as they are asked for.
DROP_REPEATS = """
import re, sys
from pathlib import Path
import numpy as np
import pyarrow as pa
from metaclip.schemas import PAIR
from metaclip.tables.unique import UniquePairs

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024

def tables(rows):
    words = pa.array(["a photo of a dog " * 8, "a cat " * 20])
    for start in range(0, rows, 8192):
        numbers = np.arange(start, start + 8192, dtype=np.uint64) % np.uint64(max(rows * 3 // 4, 1))
        texts = words.take(pa.array(numbers % 2))
        same = pa.array(["alt"] * 8192)
        mixed, scores = numbers * np.uint64(0x9E3779B97F4A7C15), np.ones(8192, np.float32)
        columns = [mixed, numbers, texts, texts, same, texts, same, scores]
        yield pa.table(columns, schema=PAIR)

def unique(rows):
    pairs = UniquePairs(PAIR)
    for table in tables(rows):
        pairs.append(table)
    return sum(table.num_rows for table in pairs.tables())

unique(1 << 17)
before = peak()
print(unique(1 << 21), round(peak() - before))
"""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A configuration whose store holds half a million entries, ready to match."""
    folder = tmp_path_factory.mktemp("memory")
    names = load_wordnet().entries()
    entries = [
        *names,
        *(f"{one} {other}" for gap in range(1, 7) for one, other in zip(names, names[gap:], strict=False)),
    ]
    (folder / "entries.json").write_text(json.dumps(list(dict.fromkeys(entries))[:500_000]))
    tree: dict[str, Any] = {
        "pool": "memory",
        "storage": str(folder / "pool"),
        "metadata": {"entries": str(folder / "entries.json")},
        "match": {"languages": []},
    }
    config = parse_config({**tree, "source": {"paths": ["unused"]}})
    made = metadata_plan(config).job.run(Store(config.storage))
    assert made.rows == 500_000
    return tree


def work(base: dict[str, Any], path: Path, **extract: Any) -> dict[str, Any]:
    tree = {**base, "source": {"paths": [str(path)]}, "extract": extract}
    done = subprocess.run([sys.executable, "-c", WORK, json.dumps(tree)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    logger.info("%s: peak of %d MB, %.1f s", path.name, result["peak_mb"], result["seconds"])
    return result


def test_memory_does_not_grow_with_the_pairs_of_a_shard() -> None:
    done = subprocess.run([sys.executable, "-c", DROP_REPEATS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows, grown_mb = map(int, done.stdout.split())
    logger.info("two million pairs, 800 MB of rows: %d MB more than for a hundred thousand", grown_mb)
    assert rows == (1 << 21) * 3 // 4
    assert grown_mb < 150


def warc_record(kind: str, number: int, block: bytes | None, length: int = 0) -> bytes:
    head = (
        f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: https://e.example/{number}\r\n"
        f"Content-Length: {length if block is None else len(block)}\r\n\r\n"
    )
    return head.encode() if block is None else head.encode() + block + b"\r\n\r\n"


HTTP = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n"
SMALL_PAGE = gzip.compress(warc_record("response", 0, HTTP + b'<img src="a.jpg" alt="a photo of a dog">'))


@pytest.mark.long
def test_a_record_of_a_gigabyte_is_passed_over_and_counted(base: dict[str, Any], tmp_path: Path) -> None:
    filler = b"<p>a photo of a dog, and a good deal of text beside it</p>\n" * 17_000
    length = len(HTTP) + 1_000 * len(filler)
    assert length > 1_000_000_000
    packer = isal_zlib.compressobj(1, wbits=31)
    with (tmp_path / "gigabyte.warc.gz").open("wb") as file:
        file.write(SMALL_PAGE + packer.compress(warc_record("response", 1, None, length) + HTTP))
        for _ in range(1_000):
            file.write(packer.compress(filler))
        file.write(packer.compress(b"\r\n\r\n") + packer.flush() + SMALL_PAGE)
    result = work(base, tmp_path / "gigabyte.warc.gz")
    assert result["counts"]["records"] == 3
    assert result["counts"]["dropped.record.too_large"] == 1
    assert result["counts"]["texts"] == 2
    assert result["peak_mb"] < LIMIT_MB


@pytest.mark.long
def test_a_page_of_a_million_images_is_read(base: dict[str, Any], tmp_path: Path) -> None:
    tags = b"".join(b"<img src=%d.jpg alt='dog number %d'>\n" % (number, number) for number in range(1_000_000))
    (tmp_path / "million.warc.gz").write_bytes(isal_zlib.compress(warc_record("response", 0, HTTP + tags), 1, 31))
    result = work(base, tmp_path / "million.warc.gz", max_page_bytes=64 << 20)
    assert result["counts"]["texts"] == result["matched"] == 1_000_000
    assert result["peak_mb"] < LIMIT_MB


@pytest.mark.long
def test_a_wat_record_of_a_million_images_is_read(base: dict[str, Any], tmp_path: Path) -> None:
    link = '{"path":"IMG@/src","url":"/%d","alt":"dog %d"}'
    body = wat_body(",".join(link % (number, number) for number in range(1_000_000)), "")
    (tmp_path / "million.warc.wat.gz").write_bytes(isal_zlib.compress(warc_record("metadata", 0, body), 1, 31))
    result = work(base, tmp_path / "million.warc.wat.gz")
    assert result["counts"]["texts"] == result["matched"] == 1_000_000
    assert result["peak_mb"] < LIMIT_MB


@pytest.mark.long
def test_a_wat_file_of_many_gigabytes_goes_through(base: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "large.warc.wat.gz"
    plain = number = 0
    with path.open("wb") as file:
        while plain < WAT_BYTES:
            record = wat_record(number)
            file.write(isal_zlib.compress(record, 1, 31))
            plain += len(record)
            number += 1
    result = work(base, path)
    assert result["counts"]["texts"] == result["matched"] == 3 * number
    assert result["peak_mb"] < LIMIT_MB


def wat_record(number: int) -> bytes:
    """A record of 33 KB, as those of Common Crawl are: three images and much else."""
    other = '{"path":"A@/href","url":"/a/page/of/this/site.html","text":"a page of this site"},' * 395
    image = f'{{"path":"IMG@/src","url":"/{number}-%d.jpg","alt":"dog {number}"}}'
    return warc_record("metadata", number, wat_body(",".join(image % index for index in range(3)), other))


def wat_body(images: str, other: str) -> bytes:
    return (
        '{"Envelope":{"WARC-Header-Metadata":{"WARC-Type":"response"},"Payload-Metadata":{"HTTP-Response-Metadata":'
        '{"Headers":{"Content-Type":"text/html"},"HTML-Metadata":{"Head":{},"Links":[' + other + images + "]}}}}}"
    ).encode()

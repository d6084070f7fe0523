import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from warcio.archiveiterator import ArchiveIterator

from bench.make_crawl import make_crawl
from metaclip.config.settings import Extract, Source
from metaclip.sources.listing import list_shards
from metaclip.sources.warc import read_warc
from metaclip.sources.wat import read_wat


def records(path: Path) -> list[tuple[str, bytes]]:
    with path.open("rb") as file:
        return [(record.rec_type, record.content_stream().read()) for record in ArchiveIterator(file)]


def test_warc_and_wat_describe_the_same_pages(tmp_path: Path) -> None:
    made = make_crawl(tmp_path, 30, pages_per_file=20)
    found = {}
    for name, read, listing in (("warc", read_warc, made.warc_paths), ("wat", read_wat, made.wat_paths)):
        shards = list_shards(Source(paths=[str(listing)], base=str(tmp_path)))
        counts: Counter[str] = Counter()
        batches = [batch for (file,) in shards for batch in read(file.path, Extract(), counts)]
        found[name] = {pair for batch in batches for pair in zip(batch.urls, batch.texts, batch.page_urls, strict=True)}
        assert len(shards) == 2
        assert (counts["pages"], counts["images"]) == (30, made.images)
        assert {key for key in counts if key.startswith("dropped.")} == {"dropped.image.no_text"}
        assert 0.25 < counts["dropped.image.no_text"] / counts["images"] < 0.35
    assert found["warc"] == found["wat"]
    # Pages of 100 KB; two sizes of the lognormal off at most.
    assert 50_000 < made.plain_bytes / 30 < 200_000


@pytest.mark.slow
def test_a_smaller_crawl_is_the_beginning_of_a_larger_one(tmp_path: Path) -> None:
    small = make_crawl(tmp_path / "small", 5, seed=3, pages_per_file=70)
    large = make_crawl(tmp_path / "large", 66, seed=3, pages_per_file=70)
    other = make_crawl(tmp_path / "other", 5, seed=4, pages_per_file=70)
    beginning = records(small.warc_files[0])
    assert beginning == records(large.warc_files[0])[: len(beginning)]
    assert beginning != records(other.warc_files[0])


@pytest.mark.slow
def test_its_bytes_do_not_depend_on_pythons_hash_seed(tmp_path: Path) -> None:
    made = []
    for seed in ("1", "2"):
        folder = tmp_path / seed
        subprocess.run(
            [sys.executable, "-m", "bench.make_crawl", "--pages", "3", "--to", str(folder)],
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=Path(__file__).parents[2],
        )
        made.append({path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.gz")})
    assert made[0] == made[1]
    assert len(made[0]) == 4

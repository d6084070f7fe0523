"""A finished pool of pairs from the web at its worst, with its index."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from metaclip.browse.pool_index import PoolIndex, index_jobs
from metaclip.explore.pool import FinishedPool
from tests.pools import make_pool

HOSTILE = (
    "<script>document.title='owned'</script> dog",
    "<img src=x onerror=\"document.title='owned'\"> cat",
    "a dog \u202egnp.exe\u202c and a cat",
    "dog \x1b]0;owned\x07 bell",
    "كلب dog قطة",
    "猫耳の少女 cat",
    "'; DROP TABLE pairs; -- dog",
    "{{7*7}} dog",
    "javascript:alert(1) dog",
    "\U0001f415 dog \u0000 nul",
)
"""Texts that a page must show and never obey."""

ENTRIES = ("dog", "cat", "a", "photo", "black dog", "<script>", "Dog", "of", "bird", "</title><script>x")


def make(folder: Path, rows: int = 2_500, rows_per_partition: int = 900) -> tuple[FinishedPool, PoolIndex]:
    """Make the pool and its index at t = 20."""
    colours = ("black", "white", "old", "big")
    texts = [f"a {colours[row % 4]} dog {row}" if row % 3 else f"photo of a cat in {row}" for row in range(rows)]
    texts[: len(HOSTILE)] = HOSTILE
    texts[-20:] = [f"nothing to match, number {row}" for row in range(20)]
    urls = [f"https://{'busy' if row % 2 else f'host-{row % 50}'}.example/{row}.jpg" for row in range(rows)]
    pq.write_table(pa.table({"url": urls, "caption": texts}), folder / "pairs.parquet")
    (folder / "entries.txt").write_text("\n".join(ENTRIES) + "\n", encoding="utf-8")
    config = make_pool(
        folder,
        folder / "pool",
        rows_per_partition,
        source={"paths": [str(folder / "pairs.parquet")]},
        metadata={"entries": str(folder / "entries.txt")},
        match={"languages": []},
    )
    pool = FinishedPool.open(config.storage, "small")
    outputs = [job.run(pool.store) for job in index_jobs(pool)]
    return pool, PoolIndex(pool, outputs)

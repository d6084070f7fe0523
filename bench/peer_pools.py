"""Other programs that drop the repeats of a pool and count its entries: run by `bench.large_pool`.

    python -I peer_pools.py PROGRAM MEMORY_MB TARGET FILE...

PROGRAM is `duckdb` or `polars`; the Python that runs this file has it. The matched shards in the files become one
Parquet file of pairs, each uid once, of equal uids the row with the smallest (page_url, text_key), in no order; and
a table of entries and in how many of these pairs each occurs. One thread is used. It prints CPU seconds without
the import, pairs and matches as JSON. It imports nothing of this project.
"""

import importlib
import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any


def with_duckdb(duckdb: Any, memory_mb: int, target: Path, files: list[str]) -> tuple[int, int]:
    """Run SQL; what does not fit into memory goes to disk."""
    limits = {"threads": 1, "memory_limit": f"{memory_mb}MB", "temp_directory": str(target.with_suffix(".spilled"))}
    database = duckdb.connect(config={**limits, "preserve_insertion_order": False})
    database.execute(
        f"""
        COPY (
            SELECT DISTINCT ON (uid_hi, uid_lo) * FROM read_parquet({files})
            ORDER BY uid_hi, uid_lo, page_url, text_key
        ) TO '{target}' (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1)
        """
    )
    counts = f"SELECT e, count(*) AS c FROM (SELECT unnest(entry_ids) AS e FROM read_parquet('{target}')) GROUP BY e"
    matches = database.execute(f"SELECT sum(c)::BIGINT FROM ({counts})").fetchone()
    rows = database.execute(f"SELECT count(*) FROM read_parquet('{target}')").fetchone()
    return int(rows[0]), int(matches[0])


def with_polars(polars: Any, memory_mb: int, target: Path, files: list[str]) -> tuple[int, int]:
    """Run the streaming engine; polars knows no limit of memory, so the system sets one."""
    resource.setrlimit(resource.RLIMIT_DATA, (memory_mb << 20, memory_mb << 20))
    first = polars.all().sort_by("page_url", "text_key").first()
    unique = polars.scan_parquet(files).group_by("uid_hi", "uid_lo").agg(first)
    unique.sink_parquet(target, compression="zstd", compression_level=1, engine="streaming")
    written = polars.scan_parquet(target)
    counts = written.select(polars.col("entry_ids").explode()).group_by("entry_ids").agg(polars.len())
    matches = counts.collect(engine="streaming")["len"].sum()
    return int(written.select(polars.len()).collect().item()), int(matches)


PROGRAMS = {"duckdb": with_duckdb, "polars": with_polars}

if __name__ == "__main__":
    program, memory, out, *names = sys.argv[1:]
    os.environ["POLARS_MAX_THREADS"] = "1"
    library = importlib.import_module(program)
    begun = time.process_time()
    pairs, matched = PROGRAMS[program](library, int(memory), Path(out), names)
    taken = time.process_time() - begun
    print(json.dumps({"cpu_seconds": taken, "pairs": pairs, "matches": matched}))

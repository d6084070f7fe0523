"""Measure dropping of repeats against pyarrow and numpy: `python -m bench.dedup`.

The pairs have generated addresses and texts; a fifth of them are repeats with another page. `UniquePairs`
sorts by uid and keeps the smallest (page_url, text_key), in bounded memory. pyarrow sorts the whole table
by the same four columns, and numpy selects the first row of each uid. Both give the same rows. Figures are
rows for each CPU second, medians of a few turns with the lowest and highest, and cost and memory against
size, each size in its own process.
"""

import multiprocessing
import statistics
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np
import pyarrow as pa

from bench.timing import in_turn, peak_memory_mb, rate_table, rates, report, table
from metaclip.schemas import PAIR
from metaclip.tables.unique import UniquePairs

ROWS = 200_000
SIZES = (ROWS // 4, ROWS, 4 * ROWS)
REPEATS = 3
_BATCH = 8192


def measure() -> dict[str, Any]:
    tables = _tables(ROWS)
    whole = pa.concat_tables(tables)
    if not _ours(tables).equals(_with_pyarrow(whole)):
        raise AssertionError("the two do not agree")
    clocks = in_turn({"UniquePairs": lambda: _ours(tables), "pyarrow": lambda: _with_pyarrow(whole)}, REPEATS)
    sizes = {}
    for size in SIZES:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
            sizes[str(size)] = process.submit(_size, size).result()
    return {"rows": ROWS, "rates": rates(clocks, ROWS, "UniquePairs", 0), "by_size": sizes}


def show(result: dict[str, Any]) -> str:
    """Return the figures as text."""
    rows = [[f"{int(size):,}", *one.values()] for size, one in result["by_size"].items()]
    return rate_table(f"dedup: rows/s, {result['rows']:,} rows", result["rates"], "UniquePairs") + table(
        "dedup against the number of rows", ("rows", "seconds", "µs a row", "peak MB added", "MB of rows"), rows
    )


def _size(size: int) -> dict[str, float]:
    tables = _tables(size)
    _ours(tables[:1])
    before = peak_memory_mb()
    clocks = in_turn({"work": lambda: _stream(tables)}, REPEATS)["work"]
    seconds = statistics.median(clock.cpu for clock in clocks)
    return {
        "seconds": round(seconds, 3),
        "microseconds_a_row": round(1e6 * seconds / size, 2),
        "peak_mb_added": peak_memory_mb() - before,
        "rows_mb": round(sum(one.nbytes for one in tables) / 1e6),
    }


def _stream(tables: list[pa.Table]) -> int:
    """Drop repeats as the stages do: the result is a stream that is never in memory as a whole."""
    pairs = UniquePairs(PAIR)
    for one in tables:
        pairs.append(one)
    return sum(one.num_rows for one in pairs.tables())


def _ours(tables: list[pa.Table]) -> pa.Table:
    pairs = UniquePairs(PAIR)
    for one in tables:
        pairs.append(one)
    return pa.concat_tables(list(pairs.tables())).combine_chunks()


def _with_pyarrow(whole: pa.Table) -> pa.Table:
    names = ("uid_hi", "uid_lo", "page_url", "text_key")
    ordered = whole.sort_by([(name, "ascending") for name in names])
    high, low = ordered.column("uid_hi").to_numpy(), ordered.column("uid_lo").to_numpy()
    first = np.concatenate([[True], (high[1:] != high[:-1]) | (low[1:] != low[:-1])])
    return ordered.filter(pa.array(first)).combine_chunks()


def _tables(rows: int) -> list[pa.Table]:
    rng = np.random.default_rng(0)
    numbers = rng.integers(0, max(1, int(rows * 2.2)), rows)  # a fifth of them twice or more
    uids = rng.integers(0, 2**64, (2, int(numbers.max()) + 1), dtype=np.uint64)
    tables = []
    for start in range(0, rows, _BATCH):
        chosen = numbers[start : start + _BATCH]
        columns = {
            "uid_hi": uids[0][chosen],
            "uid_lo": uids[1][chosen],
            "url": [f"https://cdn.site-{number % 5000}.example/images/{number}.jpg?w=640" for number in chosen],
            "text": [f"a photo of number {number} beside what else there is" for number in chosen],
            "text_key": ["alt"] * len(chosen),
            "page_url": [f"https://www.site-{n % 5000}.example/{start + i}.html" for i, n in enumerate(chosen)],
            "lang": ["en"] * len(chosen),
            "lang_score": np.full(len(chosen), 0.9, np.float32),
        }
        tables.append(pa.table(columns).select(PAIR.names).cast(PAIR))
    return tables


if __name__ == "__main__":
    report(measure, show)

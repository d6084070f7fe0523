"""Near-duplicates among synthetic hashes: `python -m bench.image_hashes [--rows 1000000 4000000]`.

Of the rows 30 % are copies of others with 0 to 24 flipped bits. The files of keys, and all jobs of the stage
`image-pairs`, are those of the product; then the cover. CPU seconds of each; comparisons; memory of the largest job
beyond what its process has before; and the share of planted pairs that are found, by distance.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from bench.timing import peak_memory_mb, report, table
from metaclip.config.images import ImageDedup
from metaclip.images.dedup.keys_job import EQUAL, ImageKeysJob
from metaclip.images.dedup.near import covered
from metaclip.images.dedup.pairs_job import PAIRS_FILE, pairs_jobs
from metaclip.schemas import EQUAL_KEY
from metaclip.store.manifest import Reference, stage_key
from metaclip.store.store import Store

ROOT = Path(__file__).parents[1]
SIZES = (1_000_000, 4_000_000)
COPIES = 0.3
MOST_FLIPS = 24
SETTINGS = ImageDedup(radius=MOST_FLIPS)
CLASSES = ((0, 7), (8, 12), (13, 16), (17, 20), (21, 24))
"""Distances whose recall is told together. The radius is that of the largest, so that all planted pairs count."""


def measure(sizes: tuple[int, ...] = SIZES) -> dict[str, Any]:
    return {str(rows): _measure(rows) for rows in sizes}


def _measure(rows: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="bench-") as root:
        store = Store(root)
        areas, originals, flips = _planted(rows)
        start = time.process_time()
        keyed = _keys(store, areas)
        keys_seconds = time.process_time() - start
        command = [sys.executable, "-m", "bench.image_hashes", "--pairs", root, keyed.manifest]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        pairs = json.loads(done.stdout)
        found = np.concatenate([_pairs(store, manifest) for manifest in pairs.pop("manifests")])
        found = np.unique(found, axis=0)
        start = time.process_time()
        keeper, _, _ = covered(rows, (found[:0, 0],) * 2, (found[:, 0], found[:, 1], found[:, 2]))
        cover_seconds = time.process_time() - start
        return {
            "keys_cpu_seconds": round(keys_seconds, 1),
            **pairs,
            "cover_cpu_seconds": round(cover_seconds, 1),
            "found": len(found),
            "fell": int((keeper != np.arange(rows)).sum()),
            "recall": _recall(found, originals, flips, rows),
        }


def _planted(rows: int) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return hashes, uint64[rows, 4], the last of them copies; of each copy its original, and its flipped bits."""
    random = np.random.default_rng(5)
    areas = random.integers(0, 1 << 64, (rows, 4), dtype=np.uint64)
    copies = int(rows * COPIES)
    originals = random.integers(0, rows - copies, copies)
    flips = random.integers(0, MOST_FLIPS + 1, copies)
    for start in range(0, copies, 1 << 16):
        end = min(copies, start + (1 << 16))
        bits = np.unpackbits(areas[originals[start:end]].view(np.uint8).reshape(-1, 32), axis=1)
        order = np.argsort(random.random(bits.shape, np.float32), axis=1)
        np.put_along_axis(bits, order, np.take_along_axis(bits, order, 1) ^ _first(flips[start:end]), axis=1)
        areas[rows - copies + start : rows - copies + end] = np.packbits(bits, axis=1).view(np.uint64)
    return areas, originals, flips


def _first(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
    return (np.arange(256) < counts[:, None]).astype(np.uint8)


def _keys(store: Store, areas: npt.NDArray[np.uint64]) -> Reference:
    """Write what the stage `image-keys` writes of pictures with these hashes, ranked as they are numbered."""
    rows = len(areas)
    nothing = Reference("", "", 0)
    job = ImageKeysJob(nothing, nothing, nothing, (), SETTINGS)
    images = np.arange(rows, dtype=np.uint64)
    hashes = pa.FixedSizeBinaryArray.from_buffers(pa.binary(32), rows, [None, pa.py_buffer(areas)])
    colours = pa.FixedSizeBinaryArray.from_buffers(pa.binary(48), rows, [None, pa.py_buffer(bytes(48 * rows))])
    given = pa.table({"area64": hashes, "colour": colours})
    key = stage_key("image-keys", 1, {}, [str(rows)])
    with store.create("image-keys", 1, {}, [str(rows)], f"image-keys-v1/{key}/manifest.json") as output:
        output.parquet(EQUAL, EQUAL_KEY, iter([EQUAL_KEY.empty_table()]))
        job._write_tables(output, given, images, images, np.arange(rows))
        return output.commit({"counts": {"rows": rows, "images": rows, "in_tables": rows, "equal_keys": 0}})


def find_pairs(root: str, manifest: str) -> dict[str, Any]:
    """Run all jobs of the stage `image-pairs`, one after the other, in this process."""
    store = Store(root)
    keyed = Reference(manifest, store.manifest(manifest).key, 0)
    before, start = peak_memory_mb(), time.process_time()
    counts: Counter[str] = Counter()
    manifests = []
    for job in pairs_jobs(store, [keyed], SETTINGS):
        manifests.append(job.run(store).manifest)
        counts.update(store.manifest(manifests[-1]).statistics["counts"])
    return {
        "pairs_cpu_seconds": round(time.process_time() - start, 1),
        "jobs": len(manifests),
        "candidates": counts["compared"],
        "capped": counts["capped"],
        "memory_mb": peak_memory_mb() - before,
        "manifests": manifests,
    }


def _pairs(store: Store, manifest: str) -> npt.NDArray[np.int64]:
    table = store.open_parquet(Reference(manifest, store.manifest(manifest).key, 0), PAIRS_FILE).read()
    columns = [table.column(name).to_numpy().astype(np.int64) for name in ("other", "image", "distance")]
    return np.stack([np.minimum(*columns[:2]), np.maximum(*columns[:2]), columns[2]], axis=1)


def _recall(
    found: npt.NDArray[np.int64], originals: npt.NDArray[np.int64], flips: npt.NDArray[np.int64], rows: int
) -> dict[str, float]:
    planted = originals * rows + np.arange(rows - len(originals), rows)
    hit = np.isin(planted, found[:, 0] * rows + found[:, 1])
    return {f"{low} to {high}": round(float(hit[(flips >= low) & (flips <= high)].mean()), 4) for low, high in CLASSES}


def show(result: dict[str, Any]) -> str:
    """Return the figures as text."""
    names = ("keys_cpu_seconds", "pairs_cpu_seconds", "cover_cpu_seconds", "jobs", "candidates", "capped", "memory_mb")
    rows = [
        [f"{int(size):,}", *(f"{one[name]:,}" for name in names), *one["recall"].values()]
        for size, one in result.items()
    ]
    recalls = [f"recall {low}-{high}" for low, high in CLASSES]
    return table("Near-duplicates among synthetic hashes", ("rows", *names, *recalls), rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--pairs", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.pairs:
        json.dump(find_pairs(*given.pairs), sys.stdout)
    else:
        report(lambda: measure(tuple(given.rows)), show)

"""The memory of a worker process at its peak: `python -m bench worker_memory`.

A worker extracts and matches one shard, with half a million entries if the shared data exists, in a new process for
each case: all real WAT files as one shard, all WARC files, the odd files of the shared data one after the other, and
files that were made up: larger ones, one page of the largest size that is read, many of these, and a file that is a
single gzip member. `resident` is what the system states as
the process's peak; `its own` is memory that no other process has; `mapped` are pages of files (the matcher's table
and libraries), which all workers of a machine share. Started as above, a worker imports what a worker of a run does.
"""

import gzip
import itertools
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.crawl_files import crawl_files
from bench.make_crawl import make_crawl
from bench.stages import configure, entry_list, make_metadata
from bench.timing import SHARED, report, table
from bench.watched import Peak, Worker
from metaclip.prepare.jobs import extract_job
from metaclip.sources.listing import list_shards
from metaclip.stages.match import MatchJob
from metaclip.store.job import run_job
from metaclip.store.manifest import Reference

PAGES = 4_000
PAGE_BYTES = (16 << 20) - 1024
"""A little less than `extract.max_page_bytes`."""
_IMAGE = b'<a href="/page"><img src="/images/%d/%d.jpg" alt="a photo of a dog number %d in the park"></a>\n'


def measure(pages: int = PAGES, page_bytes: int = PAGE_BYTES) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="metaclip-") as name:
        folder = Path(name)
        metadata = make_metadata(configure([entry_list()], folder / "pool"))
        workers = {}
        for what, shards in cases(folder, pages, page_bytes):
            with Worker() as worker:
                rows, peak = _run(worker, folder / "pool", shards, metadata)
            workers[what] = {"matched": rows, **peak.rounded()}
        return {"entries": entry_list().name, "workers": workers, "highest": _highest(workers)}


def show(result: dict[str, Any]) -> str:
    """Return the figures as text."""
    rows = [[what, *one.values()] for what, one in result["workers"].items()]
    columns = ("a worker that reads", "pairs matched", "resident MB", "its own", "mapped")
    return table(f"memory of a worker, {result['entries']}", columns, rows)


def _run(worker: Worker, root: Path, shards: Sequence[Sequence[Path]], metadata: Reference) -> tuple[int, Peak]:
    """Extract and match shards in a worker; return the pairs that matched, and its memory."""
    rows, peak = 0, Peak()
    for files in shards:
        config = configure(files, root)
        job = extract_job(config, tuple(itertools.chain(*list_shards(config.source))))
        extracted, one = worker.call(run_job, str(root), job, "compiled")
        matched, other = worker.call(run_job, str(root), MatchJob(extracted, metadata, config.match), "compiled")
        rows, peak = rows + matched.rows, peak.highest(one).highest(other)
    return rows, peak


def cases(folder: Path, pages: int, page_bytes: int) -> Iterator[tuple[str, list[list[Path]]]]:
    """Give what a worker is to read: a name, and the files of each shard."""
    for kind, files in crawl_files(folder).items():
        yield f"all {kind} files", [files]
    made = make_crawl(folder / "made", pages, pages_per_file=pages)
    yield f"a wat file of {pages:,} made-up pages", [made.wat_files]
    yield f"a warc file of {pages:,} made-up pages", [made.warc_files]
    single = folder / "single.warc.gz"
    with gzip.open(made.warc_files[0]) as source, gzip.open(single, "wb", 1) as sink:
        shutil.copyfileobj(source, sink, 1 << 20)
    yield "the same as one gzip member", [[single]]
    for number in (1, 4):
        name = f"{number} page{'s'[: number - 1]} of {page_bytes / 1e6:.0f} MB with an image in each line"
        yield name, [[_large_pages(folder / f"large-{number}.warc.gz", number, page_bytes)]]
    odd = [path for path in sorted((SHARED / "wild").glob("*.gz")) if not path.name.endswith(".wet.gz")]
    if odd:
        yield f"{len(odd)} odd files, a shard for each", [[path] for path in odd]


def _large_pages(path: Path, number: int, size: int) -> Path:
    """Write a WARC file of some large pages with many images."""
    with path.open("wb") as sink:
        for page in range(number):
            lines = [_IMAGE % (page, image, image) for image in range(size // len(_IMAGE % (page, 10**6, 10**6)))]
            body = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n" + b"".join(lines)
            head = (
                "WARC/1.0\r\nWARC-Type: response\r\n"
                f"WARC-Record-ID: <urn:uuid:00000000-0000-0000-0000-{page:012}>\r\n"
                f"WARC-Date: 2000-01-01T00:00:00Z\r\nWARC-Target-URI: https://large.example/{page}\r\n"
                f"Content-Type: application/http; msgtype=response\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            sink.write(gzip.compress(head.encode() + body + b"\r\n\r\n", 1))
    return path


def _highest(workers: dict[str, dict[str, float]]) -> dict[str, Any]:
    """Return the worker with the most memory, and the most of each kind of memory."""
    names = ("resident_mb", "own_mb", "mapped_mb")
    return {
        "of": max(workers, key=lambda what: workers[what]["resident_mb"]),
        **{name: max(one[name] for one in workers.values()) for name in names},
    }


if __name__ == "__main__":
    report(measure, show)

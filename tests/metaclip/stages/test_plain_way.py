"""The plain way and the compiled one write the same bytes, and so do runs that change from one to the other."""

import gzip
import hashlib
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from metaclip.config.settings import Extract
from metaclip.kernels.jit import plainly
from metaclip.sources.warc import read_warc
from metaclip.sources.wat import read_wat
from metaclip.store.job import Job
from tests import shared
from tests.metaclip.html import html_fuzz
from tests.metaclip.wat.test_scanner import mutated, small_records
from tests.pools import make_pool


def _way(monkeypatch: pytest.MonkeyPatch, choose: Callable[[], bool]) -> None:
    run = Job.run

    def chosen(job: Job, *arguments: Any) -> Any:
        with plainly(choose()):
            return run(job, *arguments)

    monkeypatch.setattr(Job, "run", chosen)


def _hashes(root: Path) -> dict[str, str]:
    """The SHA-256 of every file of the outputs, by its place in the store; a pool's record has times and paths."""
    files = (path for path in sorted(root.rglob("*-v*/**/*")) if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def compiled(crawl: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    root = tmp_path_factory.mktemp("compiled")
    make_pool(crawl, root)
    return _hashes(root)


@pytest.mark.slow
@pytest.mark.parametrize("way", ["plain", "mixed"])
def test_a_pool_has_the_same_bytes(
    way: str, crawl: Path, tmp_path: Path, compiled: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    draws = random.Random(7)
    _way(monkeypatch, lambda: way == "plain" or draws.random() < 0.5)
    make_pool(crawl, tmp_path)
    found = _hashes(tmp_path)
    assert len(found) > 50
    assert found == compiled


def _both(read: Callable[..., Any], path: Path) -> None:
    results = []
    for way in (True, False):
        counts: Counter[str] = Counter()
        with plainly(way):
            tables = [batch.table for batch in read(str(path), Extract(), counts)]
        results.append((pa.concat_tables(tables).combine_chunks() if tables else None, counts))
    assert results[0][1] == results[1][1]
    assert results[0][0].equals(results[1][0])


def _records(path: Path, kind: str, bodies: list[tuple[str, bytes]]) -> Path:
    with path.open("wb") as sink:
        for url, body in bodies:
            head = f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: {url}\r\nContent-Length: {len(body)}\r\n\r\n"
            sink.write(gzip.compress(head.encode() + body + b"\r\n\r\n", 1))
    return path


def test_pages_that_no_author_wrote(tmp_path: Path) -> None:
    heads = [
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-type: text/html;charset=windows-1251\r\nX-Robots-Tag: noai\r\n\r\n",
        b"HTTP/1.0 404\r\nContent-Type: text/plain\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"no head at all",
    ]
    rng = random.Random(11)
    pages = [page for batch in html_fuzz.pages(5, 500, []) for page in batch]
    pages.append(b"<p>" * 50_000 + b"<img src=a alt=b>")
    bodies = [(f"http://a.example/{n}", rng.choice(heads) + page) for n, page in enumerate(pages)]
    _both(read_warc, _records(tmp_path / "fuzz.warc.gz", "response", bodies))


def test_wat_records_that_nobody_wrote(tmp_path: Path) -> None:
    _both(read_wat, _records(tmp_path / "fuzz.warc.wat.gz", "metadata", mutated(small_records(), 3, 400)))


@pytest.mark.parametrize(("kind", "read"), [("warc", read_warc), ("wat", read_wat)])
def test_real_files(kind: str, read: Callable[..., Any]) -> None:
    files = sorted((shared.ROOT / "crawl" / kind).glob("*.gz"))
    if not files:
        pytest.skip("the shared crawl files are not here")
    _both(read, min(files, key=lambda path: path.stat().st_size))

"""A file whose records are nearly all refused counts as failed; what could be read of it stays."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from metaclip.config.loading import parse_config
from metaclip.errors import StageError
from metaclip.prepare.jobs import check_failed_files, extract_job, read_failed_files
from metaclip.sources.kinds import kind_of
from metaclip.sources.listing import list_shards
from metaclip.store.store import Store
from tests.shared import shared_data

GOOD = b'{"url": "https://a.org/%d.jpg", "text": "a cat"}\n'


def extract(tmp_path: Path, paths: list[Path], **settings: Any) -> list[dict[str, Any]]:
    (tmp_path / "entries.json").write_text('["cat"]')
    config = parse_config(
        {
            "pool": "p",
            "storage": str(tmp_path / "store"),
            "source": {"paths": list(map(str, paths))},
            "metadata": {"entries": str(tmp_path / "entries.json")},
            "extract": settings,
        }
    )
    store = Store(config.storage)
    references = [extract_job(config, tuple(shard)).run(store) for shard in list_shards(config.source)]
    found = [store.manifest(reference.manifest).statistics for reference in references]
    if any(one["failed_files"] for one in found):
        with pytest.raises(StageError, match=r"too_many_bad_records: .* records were refused"):
            check_failed_files(read_failed_files(store, references), 0.01)
    return found


@pytest.mark.parametrize(
    ("content", "pairs", "bad"),
    [
        (GOOD * 3 + b"{'url': 1}\n" * 4, 1, 4),
        (b"1\n2\n3\n" + GOOD, 1, 3),
        (b"[\n" + b"".join(b"%d,\n" % number for number in range(9)) + GOOD % 1 + b"]", 1, 9),
        (json.dumps([1, 2, {"url": "https://a.org/1.jpg", "text": "a cat"}]).encode(), 1, 2),
    ],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_too_many_refused_records_make_a_file_fail(
    content: bytes, pairs: int, bad: int, pack: Any, tmp_path: Path
) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(pack(content))
    (found,) = extract(tmp_path, [path])
    (failed,) = found["failed_files"]
    assert failed["reason"] == "too_many_bad_records"
    assert f"{bad:,} of {found['counts']['records']:,} records were refused" in failed["detail"]
    assert "extract.max_bad_records = 0.5" in failed["detail"]
    assert found["counts"]["failed_files"] == 1
    assert found["counts"]["pairs"] == pairs
    (found,) = extract(tmp_path, [path], max_bad_records=1)
    assert found["failed_files"] == []


def test_rows_of_another_length_count_too_and_each_file_for_itself(tmp_path: Path) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_bytes(b"url,text\nhttps://a.org/1.jpg,a cat\n" + b"a,b,c,d\n" * 5)
    good = tmp_path / "good.jsonl"
    good.write_bytes(GOOD * 100 + b"not JSON\n" * 50)
    first, second = extract(tmp_path, [bad, good])
    assert [failed["reason"] for failed in first["failed_files"]] == ["too_many_bad_records"]
    assert second["failed_files"] == []


@pytest.mark.slow
def test_real_archives_are_far_from_the_limit(tmp_path: Path) -> None:
    found = (path for path in shared_data("crawl").rglob("*.gz") if path.stat().st_size < 50 << 20)
    paths = sorted(path for path in found if kind_of(path.name) in ("warc", "wat"))[:8]
    assert paths
    for statistics in extract(tmp_path, paths, max_bad_records=0.05):
        assert statistics["failed_files"] == []

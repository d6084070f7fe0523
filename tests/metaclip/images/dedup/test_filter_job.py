"""The filter: each row has one reason, reasons are counted alone and first, lists and scores are held to."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from metaclip.config.images import Filter
from metaclip.config.loading import parse_config
from metaclip.config.settings import Config
from metaclip.errors import ConfigError
from metaclip.images.dedup.filter_job import REASONS, FilterFiles, ImageFilterJob, kept_rows
from metaclip.images.hash_lists import hash_pictures
from metaclip.pairs.uids import format_uids
from metaclip.store.manifest import Reference
from metaclip.store.store import Store
from tests.metaclip.images.dedup.pictures_of import flat, inspected, row_of
from tests.pictures import encoded, picture


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "pool"))


def _rows() -> list[dict[str, Any]]:
    """Ten pictures, a page, a failed download, a flat one, a narrow one."""
    rows = [row_of((number, 1), encoded(picture(number), quality=90)) for number in range(10)]
    rows.append(row_of((10, 1), b"<html>"))
    rows.append(row_of((11, 1), b"", status="not_downloaded", bytes_sha256=None))
    rows.append(row_of((12, 1), encoded(flat(90), "PNG")))
    rows.append(row_of((13, 1), encoded(picture(13, 400, 60))))
    return rows


def _judge(store: Store, reference: Reference, settings: Filter) -> tuple[list[dict[str, Any]], dict[str, int], str]:
    job = ImageFilterJob(reference, settings, FilterFiles.of(settings))
    done = job.run(store)
    counts = store.manifest(done.manifest).statistics["counts"]
    return store.open_parquet(done, REASONS).read().to_pylist(), dict(counts), job.key


def test_statuses_and_sizes(store: Store) -> None:
    reference = inspected(store, _rows())
    rows, counts, key = _judge(store, reference, Filter())
    assert [row["reason"] for row in rows] == [*[""] * 10, "not_an_image", "not_downloaded", "", ""]
    assert counts["kept"] == 12
    assert sum(value for name, value in counts.items() if name.startswith("first.")) + counts["kept"] == 14
    changed = Filter(min_side=100, max_aspect=3.0)
    rows, counts, other = _judge(store, reference, changed)
    assert [row["reason"] for row in rows[12:]] == ["min_side", "min_side"]
    assert (counts["first.min_side"], counts["alone.min_side"]) == (2, 2)
    assert (counts["first.max_aspect"], counts["alone.max_aspect"]) == (0, 1)
    assert other != key
    judged = ImageFilterJob(reference, changed, FilterFiles.of(changed)).find(store)
    assert judged is not None
    kept = pa.concat_tables(kept_rows(store, reference, judged, ["uid_hi"])).column(0).to_pylist()
    assert kept == list(range(10))


def test_eval_sets_take_copies_and_blocked_pictures_are_never_shown(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "eval"
    folder.mkdir()
    for number in range(4):
        (folder / f"{number}.webp").write_bytes(encoded(picture(number), "WEBP", quality=50))
    (folder / "flat.png").write_bytes(encoded(flat(91), "PNG"))
    hash_pictures(str(folder), str(tmp_path / "eval.parquet"))
    rows = _rows()
    (tmp_path / "block.txt").write_text(
        "# a list\n" + rows[3]["bytes_sha256"].hex() + "\n" + f"{rows[12]['pixels']:016x}\n"
    )
    reference = inspected(store, rows)
    settings = Filter.model_validate(
        {
            "eval_sets": [{"name": "val", "path": str(tmp_path / "eval.parquet")}],
            "block": [{"name": "known", "path": str(tmp_path / "block.txt")}],
        }
    )
    found, counts, key = _judge(store, reference, settings)
    assert [(row["reason"], row["by"]) for row in found[:5]] == [
        *[("eval_set", "val")] * 3,
        ("block", "known"),
        ("", ""),
    ]
    assert all(row["distance"] <= 12 for row in found[:4])
    assert [row["shown"] for row in found[:5]] == [True, True, True, False, True]
    assert (found[12]["reason"], found[12]["shown"]) == ("block", False)
    assert (counts["alone.eval_set.val"], counts["first.eval_set.val"]) == (4, 3)
    moved = tmp_path / "elsewhere.parquet"
    (tmp_path / "eval.parquet").rename(moved)
    again = settings.model_copy(update={"eval_sets": [settings.eval_sets[0].model_copy(update={"path": str(moved)})]})
    assert ImageFilterJob(reference, again, FilterFiles.of(again)).key == key


def test_scores_are_joined_by_uid(store: Store, tmp_path: Path) -> None:
    reference = inspected(store, _rows())
    import numpy as np

    numbers = np.arange(9, dtype=np.uint64)
    scores = {
        "uid": format_uids(numbers, np.ones(9, np.uint64)),
        "aesthetic": [float(number) for number in range(9)],
        "nsfw": [0.0] * 7 + [0.3, 0.9],
    }
    pq.write_table(pa.table(scores), tmp_path / "scores.parquet")
    settings = Filter.model_validate(
        {
            "score_files": [str(tmp_path / "scores.parquet")],
            "scores": {"aesthetic": [2, None], "nsfw": [None, 0.5]},
        }
    )
    rows, counts, _ = _judge(store, reference, settings)
    reasons = [(row["reason"], row["by"]) for row in rows[:10]]
    assert reasons == [*[("score", "aesthetic")] * 2, *[("", "")] * 6, ("score", "nsfw"), ("no_score", "aesthetic")]
    assert [row["shown"] for row in rows[:10]] == [*[True] * 7, False, False, True]
    assert counts["alone.score.nsfw"] == 1


def test_mistakes_are_told_before_any_work(tmp_path: Path, make_config: Any) -> None:
    def config(**images: Any) -> Config:
        tree = make_config().model_dump(mode="json")
        return parse_config({**tree, "images": {"filter": images}})

    assert "images" not in make_config().model_dump(mode="json")
    assert config(min_side=3).model_dump(mode="json")["images"]["filter"]["min_side"] == 3
    with pytest.raises(ConfigError, match="score_files"):
        config(scores={"x": [1, None]})
    with pytest.raises(ConfigError, match="exceeds the largest"):
        config(scores={"x": [2, 1]}, score_files=["a.parquet"])
    (tmp_path / "md5.txt").write_text("0" * 32)
    lists = [{"name": "a", "path": str(tmp_path / "md5.txt")}]
    with pytest.raises(ConfigError, match="MD5"):
        FilterFiles.of(config(block=lists).images.filter)
    with pytest.raises(ConfigError, match=r"images\.filter\.block: a"):
        FilterFiles.of(config(block=[{"name": "a", "path": "/nowhere"}]).images.filter)
    with pytest.raises(ConfigError, match="same name"):
        config(block=lists, eval_sets=lists)
    pq.write_table(pa.table({"uid": ["0" * 32], "a": [1.0]}), tmp_path / "s.parquet")
    with pytest.raises(ConfigError, match="in none of the score files"):
        FilterFiles.of(config(scores={"b": [1, None]}, score_files=[str(tmp_path / "s.parquet")]).images.filter)

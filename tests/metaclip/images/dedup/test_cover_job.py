"""From inspected files to the images that stay: equal and near copies over several files, and who keeps."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metaclip.config.images import Filter, ImageDedup
from metaclip.config.settings import Config
from metaclip.images.dedup import pairs_job
from metaclip.images.dedup.cover_job import DROPPED, ImageCoverJob
from metaclip.images.dedup.filter_job import FilterFiles, ImageFilterJob
from metaclip.images.dedup.keys_job import ImageKeysJob
from metaclip.images.dedup.pairs_job import PAIRS_FILE, pairs_jobs
from metaclip.schemas import PAIRS
from metaclip.stages.count import CountJob, read_counts
from metaclip.store.manifest import Reference
from metaclip.store.store import Store
from metaclip.survivors.filter_job import survive_jobs
from metaclip.tables.csr import csr
from tests.metaclip.images.dedup.pictures_of import flat, inspected, row_of
from tests.pictures import encoded, picture
from tests.pools import make_pool


@pytest.fixture(scope="module")
def pool(crawl: Path, tmp_path_factory: pytest.TempPathFactory) -> Config:
    return make_pool(crawl, tmp_path_factory.mktemp("images") / "pool")


class Made:
    """A pool of which some pairs have pictures."""

    def __init__(self, pool: Config) -> None:
        self.store = Store(pool.storage)
        record = self.store.read_json("pools/small.json")
        assert record is not None
        stages = record["stages"]

        def reference(address: str) -> Reference:
            manifest = self.store.manifest(address)
            return Reference(address, manifest.key, manifest.rows)

        self.partitions = tuple(map(reference, stages["dedup"]))
        self.counts, self.metadata = reference(stages["count"]), reference(stages["metadata"])
        counts = read_counts(self.store, self.counts)
        self.uids: list[tuple[int, int]] = []
        self.rarest: list[int] = []
        seen = set()
        for partition in self.partitions:
            table = self.store.open_parquet(partition, PAIRS).read()
            offsets, ids = csr(table.column("entry_ids"))
            least = np.minimum.reduceat(counts[ids], offsets[:-1]).tolist()
            both = zip(table.column("uid_hi").to_pylist(), table.column("uid_lo").to_pylist(), least, strict=True)
            for high, low, count in both:
                if high not in seen:
                    seen.add(high)
                    self.uids.append((high, low))
                    self.rarest.append(count)

    def clean(self, files: list[list[dict[str, Any]]], **dedup: Any) -> tuple[Reference, tuple[Reference, ...]]:
        """Run all stages of pictures; return the cover, and the pairs that are left."""
        settings, store = ImageDedup(**dedup), self.store
        seen = tuple(inspected(store, rows, f"{number}{len(rows)}{rows[0]}") for number, rows in enumerate(files))
        judged = tuple(ImageFilterJob(each, Filter(), FilterFiles.of(Filter())).run(store) for each in seen)
        keyed = [
            ImageKeysJob(one, other, self.counts, self.partitions, settings).run(store)
            for one, other in zip(seen, judged, strict=True)
        ]
        self.pairs = tuple(job.run(store) for job in pairs_jobs(store, keyed, settings))
        cover = ImageCoverJob(self.pairs, seen, judged, len(self.partitions)).run(store)
        return cover, tuple(job.run(store) for job in survive_jobs(store, cover, self.partitions))

    def dropped(self, cover: Reference) -> dict[int, tuple[int, int, int]]:
        rows = self.store.open_parquet(cover, DROPPED).read().to_pylist()
        return {row["image"]: (row["keeper"], row["kind"], row["distance"]) for row in rows}


def _copies(number: int) -> list[bytes]:
    original = picture(number)
    first = encoded(original, quality=95)
    return [
        first,
        first,
        encoded(original, quality=40),
        encoded(original, "WEBP", quality=50),
        encoded(original.resize((160, 120))),
    ]


@pytest.fixture(scope="module")
def made(pool: Config) -> Made:
    return Made(pool)


@pytest.fixture(scope="module")
def files(made: Made) -> list[list[dict[str, Any]]]:
    """Six groups of five copies over three files, and alone: a grey copy, two flat ones, a picture."""
    rows: list[list[dict[str, Any]]] = [[], [], []]
    place = 0
    for group in range(6):
        for data in _copies(group):
            rows[place % 3].append(row_of(made.uids[place], data))
            place += 1
    extra = [encoded(picture(0).convert("L")), encoded(flat(10), "PNG"), encoded(flat(11), "PNG"), encoded(picture(99))]
    for number, data in enumerate(extra):
        rows[number % 3].append(row_of(made.uids[place + number], data))
    return rows


def test_one_of_each_group_stays_and_the_rarest(made: Made, files: list[list[dict[str, Any]]]) -> None:
    cover, survived = made.clean(files)
    dropped = made.dropped(cover)
    assert len(dropped) == 24
    stays = {row["uid_hi"] for rows in files for row in rows} - dropped.keys()
    assert len(stays) == 10
    for group in range(6):
        members = [made.uids[place][0] for place in range(5 * group, 5 * group + 5)]
        ranks = made.rarest[5 * group : 5 * group + 5]
        (keeper,) = set(members) & stays
        assert ranks[members.index(keeper)] == min(ranks)
        for member in set(members) - {keeper}:
            assert dropped[member][0] == keeper
            assert dropped[member][2] <= 16
    kinds = Counter(kind for _, kind, _ in dropped.values())
    assert kinds[0] >= 1
    counts = made.store.manifest(cover.manifest).statistics["counts"]
    assert (counts["rows"], counts["uids"], counts["dropped"]) == (34, 10, 24)
    assert made.store.manifest(cover.manifest).statistics["groups"]["2"] == 6
    kept = {
        high
        for each in survived
        for high in made.store.open_parquet(each, PAIRS).read(columns=["uid_hi"]).column(0).to_pylist()
    }
    assert kept == stays
    assert CountJob(survived, made.metadata).run(made.store).rows


@pytest.mark.slow
def test_order_of_files_and_ranges_do_not_show(
    made: Made, files: list[list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    cover, _ = made.clean(files)
    expected = made.dropped(cover)
    other, _ = made.clean([files[2][::-1], files[0] + files[1]])
    assert made.dropped(other) == expected
    monkeypatch.setattr(pairs_job, "ROWS", 5)
    small, _ = made.clean(files)
    assert made.dropped(small) == expected
    assert len(made.pairs) > 30
    for each in made.pairs:
        assert made.store.open_parquet(each, PAIRS_FILE).metadata.num_rows == each.rows


def test_equal_alone_and_nothing(made: Made, files: list[list[dict[str, Any]]]) -> None:
    cover, _ = made.clean(files, by="equal")
    dropped = made.dropped(cover)
    assert len(dropped) == 6
    assert {(kind, distance) for _, kind, distance in dropped.values()} == {(0, 0)}
    cover, survived = made.clean(files, by="none")
    assert made.dropped(cover) == {}
    assert sum(each.rows for each in survived) == 34


def test_larger_first(made: Made, files: list[list[dict[str, Any]]]) -> None:
    cover, _ = made.clean(files, keep="largest")
    sides = {row["uid_hi"]: row["width"] for rows in files for row in rows}
    assert all(sides[keeper] >= sides[image] for image, (keeper, _, _) in made.dropped(cover).items())


def test_texts_of_one_image_are_no_copies_of_each_other(made: Made) -> None:
    high, low = made.uids[40]
    data = encoded(picture(7))
    rows = [row_of((high, low), data), row_of((high, low + 1), data), row_of(made.uids[41], encoded(picture(8)))]
    cover, _ = made.clean([rows[:1], rows[1:]])
    assert made.dropped(cover) == {}
    counts = made.store.manifest(cover.manifest).statistics["counts"]
    assert (counts["rows"], counts["uids"]) == (3, 3)

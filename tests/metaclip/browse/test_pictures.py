"""Small pictures of pairs, of what the real img2dataset wrote: those that may be shown, and no others."""

import hashlib
import io
from pathlib import Path

import pyarrow as pa
import pytest
from PIL import Image

from metaclip.browse.pictures import Pictures
from metaclip.config.images import Filter, ImageDedup, Inspect
from metaclip.errors import ConfigError
from metaclip.explore.pool import FinishedPool
from metaclip.images.dedup.cover_job import ImageCoverJob
from metaclip.images.dedup.filter_job import FilterFiles, ImageFilterJob
from metaclip.images.dedup.keys_job import ImageKeysJob
from metaclip.images.dedup.pairs_job import pairs_jobs
from metaclip.images.dedup.sheets_job import ImageSheetsJob
from metaclip.images.downloaded import downloaded_files
from metaclip.images.inspect_job import InspectJob
from tests.metaclip.images.dedup.test_cover_job import Made
from tests.pictures import download, encoded, picture, write_export
from tests.pools import make_pool
from tests.servers import serve


@pytest.mark.long
def test_pictures_that_may_be_shown_are_and_no_others(crawl: Path, tmp_path: Path) -> None:
    config = make_pool(crawl, tmp_path / "pool")
    made = Made(config)
    store = made.store
    originals = [encoded(picture(number), quality=95) for number in range(3)]
    files = [*originals, b"<html>"]
    high, low = zip(*made.uids[: len(files)], strict=True)
    uids = [f"{one:016x}{other:016x}" for one, other in zip(high, low, strict=True)]
    with serve() as site:
        site.files = {f"/{number}.jpg": data for number, data in enumerate(files)}
        urls = [f"{site.address}/{number}.jpg" for number in range(len(files))]
        columns = {"uid_hi": pa.array(high, pa.uint64()), "uid_lo": pa.array(low, pa.uint64()), "url": urls}
        table = pa.table({**columns, "text": ["x"] * len(files)})
        images = download(write_export(tmp_path / "export", [table]), tmp_path / "images")
    downloaded = tuple(downloaded_files(str(images)))
    inspected = tuple(InspectJob.of(each, Inspect()).run(store) for each in downloaded)
    (tmp_path / "block.txt").write_text(hashlib.sha256(originals[2]).hexdigest())
    block = {"name": "known", "path": str(tmp_path / "block.txt"), "radius": 0}
    settings = Filter.model_validate({"block": [block]})
    judged = tuple(ImageFilterJob(each, settings, FilterFiles.of(settings)).run(store) for each in inspected)
    both = zip(inspected, judged, strict=True)
    dedup = ImageDedup()
    keyed = tuple(ImageKeysJob(*each, made.counts, made.partitions, dedup).run(store) for each in both)
    pairs = tuple(job.run(store) for job in pairs_jobs(store, keyed, dedup))
    cover = ImageCoverJob(pairs, inspected, judged, len(made.partitions)).run(store)
    sheets = ImageSheetsJob(downloaded, inspected, judged, cover).run(store)
    stages = {
        **FinishedPool.open(config.storage, "small").stages,
        "inspect": [each.manifest for each in inspected],
        "image-filter": [each.manifest for each in judged],
        "image-cover": cover.manifest,
        "image-sheets": sheets.manifest,
    }
    pool = FinishedPool(store, config, stages)
    for given in (None, str(images)):
        found = Pictures(pool, given)
        if given is not None:
            found._sheets.clear()  # so that they come from the folder
        assert found
        small = [found.thumbnail(uid) for uid in uids]
        assert [one is not None for one in small] == [True, True, False, False]
        assert found.thumbnail("0" * 32) is None
        for data in small[:2]:
            assert data is not None
            with Image.open(io.BytesIO(data)) as shown:
                assert (shown.format, max(shown.size)) == ("JPEG", 96)
    next(Path(images).rglob("*.parquet")).unlink()
    with pytest.raises(ConfigError, match="not the pictures that pool 'small' was made of"):
        Pictures(pool, str(images))
    with pytest.raises(ConfigError, match="no folder of images"):
        Pictures(pool, str(tmp_path))

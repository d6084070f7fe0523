"""Contact sheets, the figures of a report and the fate of a picture, of what the real img2dataset wrote."""

import base64
import io
from pathlib import Path

import pyarrow as pa
import pytest
from PIL import Image

from metaclip.config.images import Filter, ImageDedup, Inspect
from metaclip.images.dedup.cover_job import ImageCoverJob
from metaclip.images.dedup.filter_job import FilterFiles, ImageFilterJob
from metaclip.images.dedup.keys_job import ImageKeysJob
from metaclip.images.dedup.outputs import ImageOutputs, image_figures
from metaclip.images.dedup.pairs_job import pairs_jobs
from metaclip.images.dedup.sheets_job import SHEETS, ImageSheetsJob
from metaclip.images.downloaded import downloaded_files
from metaclip.images.fate import images_of_hashes, picture_fate
from metaclip.images.inspect_job import InspectJob
from metaclip.metadata.list_job import read_entries
from metaclip.removal.lists import Entry
from metaclip.report.page import environment
from metaclip.stages.count import CountJob, read_counts
from metaclip.survivors.filter_job import survive_jobs
from tests.metaclip.images.dedup.test_cover_job import Made
from tests.pictures import download, encoded, picture, write_export
from tests.pools import make_pool
from tests.servers import serve


@pytest.mark.long
def test_sheets_show_each_reason_and_nothing_that_is_blocked(crawl: Path, tmp_path: Path) -> None:
    made = Made(make_pool(crawl, tmp_path / "pool"))
    store = made.store
    originals = [encoded(picture(number), quality=95) for number in range(4)]
    files = [*originals, encoded(picture(0), quality=40), encoded(picture(9, 90, 80)), b"<html>"]
    with serve() as site:
        site.files = {f"/{number}.jpg": data for number, data in enumerate(files)}
        high, low = zip(*made.uids[: len(files)], strict=True)
        urls = [f"{site.address}/{number}.jpg" for number in range(len(files))]
        table = pa.table({"uid_hi": pa.array(high, pa.uint64()), "uid_lo": pa.array(low, pa.uint64()), "url": urls})
        table = table.append_column("text", pa.array(["x"] * len(files)))
        images = download(write_export(tmp_path / "export", [table]), tmp_path / "images")
    downloaded = tuple(downloaded_files(str(images)))
    inspected = tuple(InspectJob.of(each, Inspect()).run(store) for each in downloaded)
    import hashlib

    (tmp_path / "block.txt").write_text(hashlib.sha256(originals[3]).hexdigest())
    settings = Filter.model_validate(
        {"min_side": 100, "block": [{"name": "known", "path": str(tmp_path / "block.txt"), "radius": 0}]}
    )
    judged = tuple(ImageFilterJob(each, settings, FilterFiles.of(settings)).run(store) for each in inspected)
    dedup = ImageDedup()
    keyed = tuple(
        ImageKeysJob(one, other, made.counts, made.partitions, dedup).run(store)
        for one, other in zip(inspected, judged, strict=True)
    )
    pairs = tuple(job.run(store) for job in pairs_jobs(store, keyed, dedup))
    cover = ImageCoverJob(pairs, inspected, judged, len(made.partitions)).run(store)
    sheets = ImageSheetsJob(downloaded, inspected, judged, cover).run(store)
    sections = store.output_json(sheets.manifest, SHEETS)
    assert {each["reason"]: len(each["cells"]) for each in sections} == {"kept": 3, "duplicate": 1, "min_side": 1}
    shown = {cell["uid"] for each in sections for cell in each["cells"]}
    assert f"{high[3]:016x}{low[3]:016x}" not in shown
    (beside,) = next(each for each in sections if each["reason"] == "duplicate")["cells"]
    assert len(beside["pictures"]) == 2
    for data in beside["pictures"]:
        with Image.open(io.BytesIO(base64.b64decode(data))) as small:
            assert max(small.size) == 96
    survived = tuple(job.run(store) for job in survive_jobs(store, cover, made.partitions))
    after = read_counts(store, CountJob(survived, made.metadata).run(store))
    outputs = ImageOutputs(inspected, judged, keyed, pairs, cover, sheets)
    found = image_figures(store, outputs, after, read_entries(store, made.metadata).column("entry"))
    assert (found["rows"], found["passed"], found["stay"]) == (7, 4, 3)
    assert found["reasons"]["block.known"] == {"first": 1, "alone": 1}
    assert sum(found["duplicates"].values()) == found["texts_of_duplicates"] == 1
    page = environment().get_template("sheets.html").render(c={"images": found}, sheets=sections, title="x", style="")
    assert page.count("<img ") == 3 + 2 + 1

    stages = {
        "inspect": [each.manifest for each in inspected],
        "image-filter": [each.manifest for each in judged],
        "image-cover": cover.manifest,
    }
    fates = [picture_fate(store, stages, f"{one:016x}{other:016x}") for one, other in zip(high, low, strict=True)]
    told = [each["reason"] if each else None for each in fates]
    assert sorted(filter(None, told)) == ["block", "duplicate", "min_side", "not_resized"]
    copy = next(each for each in fates if each and each["reason"] == "duplicate")
    assert int(copy["keeper"], 16) in (high[0], high[4])
    assert picture_fate(store, stages, "0" * 32) is None
    assert picture_fate(store, {}, "0" * 32) is None
    digest = int(hashlib.sha256(originals[1]).hexdigest()[:16], 16)
    lines = {Entry("sha256", digest): 3, Entry("host", 7): 4}
    assert images_of_hashes(store, stages, lines) == {Entry("host", 7): 4, Entry("image", high[1]): 3}

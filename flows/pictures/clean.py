"""The stages of pictures, from what was downloaded to the pairs whose picture stays."""

from flows.pictures.inspection import inspect_all
from flows.pictures.purge import removed_of, sheets_without
from flows.run import Run
from metaclip.images.dedup.cover_job import ImageCoverJob
from metaclip.images.dedup.filter_job import FilterFiles, ImageFilterJob
from metaclip.images.dedup.keys_job import ImageKeysJob
from metaclip.images.dedup.pairs_job import pairs_jobs
from metaclip.images.dedup.sheets_job import ImageSheetsJob
from metaclip.images.downloaded import downloaded_files
from metaclip.removal.lists import read_removals
from metaclip.stages.group_counts import ByLanguage
from metaclip.store.manifest import Reference
from metaclip.survivors.filter_job import check_survived, survive_jobs
from tasks.images import image_cover, image_filter, image_keys, image_pairs, image_sheets
from tasks.stages import survive

IMAGE_STAGES = ("inspect", "image-filter", "image-keys", "image-pairs", "image-cover", "image-sheets")
"""In their order; the pairs that are left are those of the survive stage."""


def clean_images(run: Run, images: str, counts: Reference, partitions: tuple[Reference, ...]) -> tuple[Reference, ...]:
    """Keep the pairs of each partition whose picture was downloaded, passes the filter and is no copy.

    Args:
        run: its configuration has the settings.
        images: folder or address of the images.
        counts: the pool's counts before, by which the rarest entry of an image is known.
        partitions: the pool's pairs.
    """
    settings = run.config.images
    files = FilterFiles.of(settings.filter)
    inspected = inspect_all(run, images)
    judged = run.do(image_filter, *((ImageFilterJob(each, settings.filter, files),) for each in inspected))
    both = zip(inspected, judged, strict=True)
    by_language = ByLanguage.of(run.config.groups, run.config.balance)
    jobs_of_files = (ImageKeysJob(*each, counts, partitions, settings.dedup, by_language) for each in both)
    keyed = run.do(image_keys, *((job,) for job in jobs_of_files))
    jobs = pairs_jobs(run.store, keyed, settings.dedup)
    pairs = run.do(image_pairs, *((job,) for job in jobs)) if jobs else ()
    (cover,) = run.do(image_cover, (ImageCoverJob(pairs, inspected, judged, len(partitions)),))
    sheets = run.do(image_sheets, (ImageSheetsJob(tuple(downloaded_files(images)), inspected, judged, cover),))
    removals = read_removals(run.store, run.config.pool)
    if not removals and run.survivors_of is not None:  # the first run: the record does not name its origin yet
        removals = read_removals(run.store, run.survivors_of)
    if removals:
        shown = sheets_without(run, sheets[0], cover, removed_of(run, partitions, removals))
        run.done["image-sheets"] = [each for each in run.done["image-sheets"] if each.reference == shown]
    survived = run.do(survive, *((job,) for job in survive_jobs(run.store, cover, partitions, run.config.groups)))
    check_survived(run.store, survived)
    return survived

"""The jobs of a configuration that make its list of entries."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from metaclip.config.metadata import NamedList
from metaclip.config.settings import Config
from metaclip.io.inputs import inputs_of, local_path
from metaclip.io.streams import scheme
from metaclip.metadata.build_job import BuildJob
from metaclip.metadata.given_list import fingerprint
from metaclip.metadata.list_job import MetadataJob
from metaclip.metadata.ngrams_job import NgramsJob
from metaclip.metadata.taxonomy.wordnet_tree import entries_under, tree_fingerprint
from metaclip.metadata.titles_job import TitlesJob
from metaclip.metadata.wikipedia.dump import can_be_split, is_dump
from metaclip.metadata.wikipedia.page_views import HOURLY_FILE, pageview_addresses
from metaclip.metadata.wordnet import wordnet_fingerprint
from metaclip.store.job import Job
from metaclip.store.manifest import Reference

J = TypeVar("J", bound=Job)


@dataclass(frozen=True)
class MetadataPlan:
    """The jobs of the metadata: counts of source files, and the list that is built from them or given."""

    ngrams: tuple[NgramsJob, ...]
    titles: tuple[TitlesJob, ...]
    job: MetadataJob | BuildJob


def metadata_plan(config: Config) -> MetadataPlan:
    """Return the jobs that make the configured list of entries.

    Raises:
        ConfigError: a file of the sources, or the given list, is missing.
        InputError: WordNet's database is missing or not a database.
        TransportError: a server cannot be reached now.
    """
    settings, spaced, case = config.metadata, config.match.space_entries, config.match.case
    if settings.entries is not None:
        address = settings.entries
        if not scheme(address):
            address = local_path(address)  # workers may run in another folder
        return MetadataPlan((), (), MetadataJob(address, fingerprint(address), spaced, case))
    words = ngrams_jobs(settings.words.paths, "metadata.words.paths", config)
    pairs = ngrams_jobs(settings.pairs.paths, "metadata.pairs.paths", config)
    views = titles_jobs(config)
    wordnet = None
    if settings.wordnet.under:
        # Read before any work, so that an unknown synset is told at once.
        entries_under(settings.wordnet.under, settings.wordnet.path)
        wordnet = tree_fingerprint(settings.wordnet.path)
    elif settings.wordnet.use != "none":
        wordnet = wordnet_fingerprint(settings.wordnet.path)
    settings = settings.model_copy(update={"lists": [_absolute(one) for one in settings.lists]})
    given = tuple(fingerprint(one.path) for one in settings.lists)
    build = BuildJob(settings, wordnet, _outputs(words), _outputs(pairs), _outputs(views), spaced, case, given)
    return MetadataPlan(tuple(_distinct([*words, *pairs])), tuple(views), build)


def _absolute(one: NamedList) -> NamedList:
    """Return a list by an address that means the same to workers, which may run in another folder."""
    return one if scheme(one.path) else one.model_copy(update={"path": local_path(one.path)})


def ngrams_jobs(paths: list[str], field: str, config: Config) -> list[NgramsJob]:
    """Return the jobs that count words and pairs: one for each file, and for each part of a large dump."""
    memory = config.execution.ngram_memory_mb << 20
    jobs = []
    for file in inputs_of(paths, field):
        if not is_dump(file.path):
            jobs.append(NgramsJob(file.path, file.fingerprint, "counts", bytes_read=file.bytes, memory_bytes=memory))
            continue
        step = config.metadata.bytes_per_task
        size = file.bytes if can_be_split(file.path) else None
        for start in range(0, size or 1, step):
            end = start + step if size is not None and start + step < size else None
            read = (end or size or 0) - start if size is not None else file.bytes
            jobs.append(NgramsJob(file.path, file.fingerprint, "dump", start, end, read, memory))
    return _distinct(jobs)


def titles_jobs(config: Config) -> list[TitlesJob]:
    """Return the jobs that sum the views of titles, one for each hourly file."""
    titles = config.metadata.titles
    paths = [*titles.paths, *pageview_addresses(titles.dates, titles.address)]
    return _distinct(
        [
            TitlesJob(file.path, file.fingerprint, tuple(titles.domains), titles.min_hourly_views, file.bytes)
            for file in inputs_of(paths, "metadata.titles", known_by_address=HOURLY_FILE)
        ]
    )


def _distinct(jobs: list[J]) -> list[J]:
    """Return each job once, so that a file under two names is counted once."""
    return list({job.key: job for job in jobs}.values())


def _outputs(jobs: Sequence[Job]) -> tuple[Reference, ...]:
    """Return references to the future outputs of jobs; their rows are not known yet."""
    return tuple(Reference(job.manifest, job.key, 0) for job in jobs)

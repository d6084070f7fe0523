"""The jobs of a configuration that make its list of entries."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from metaclip.config.groups import LanguageGroup, Rule, configured_groups
from metaclip.config.metadata import EntrySources, NamedList, Titles, WordNet
from metaclip.config.settings import Config
from metaclip.errors import ConfigError
from metaclip.io.inputs import inputs_of, local_path
from metaclip.io.streams import scheme
from metaclip.metadata.build_job import BuildJob
from metaclip.metadata.given_list import fingerprint
from metaclip.metadata.languages.omw import omw_files, omw_fingerprint
from metaclip.metadata.languages.segmenters import segmenter_version
from metaclip.metadata.languages.wikis import for_wikis
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


def metadata_plans(config: Config, names: Sequence[str] | None = None) -> dict[str, MetadataPlan]:
    """Return the jobs that make the list of each group of languages, by the group's name, ascending.

    Where one list is for all texts, it is under the empty name.

    Args:
        config: the configuration of a pool.
        names: only these groups.

    Raises:
        ConfigError: a file of the sources, or a given list, is missing, or a name is that of no group with metadata.
        InputError, TransportError: as `metadata_plan`.
    """
    groups = config.groups
    if groups is None:
        if names:
            raise ConfigError(
                f"there are no groups of languages, and so no {', '.join(names)}: the configuration has one list"
                " for all texts; give lists by language in metadata.languages"
            )
        return {"": metadata_plan(config)}
    unknown = sorted(set(names or ()) - set(groups.names))
    if unknown:
        raise ConfigError(
            f"{', '.join(unknown)}: no such group in metadata.languages; there: {', '.join(groups.names)}"
        )
    known = configured_groups(config.languages)
    return {
        name: _list_plan(
            for_wikis(config.metadata.languages[name], known[name].wikis, name), config, groups.rules[name], known[name]
        )
        for name in groups.names
        if names is None or name in names
    }


def one_plan(config: Config, group: str | None) -> MetadataPlan:
    """Return the jobs of one list: that of a group of languages, or the one for all texts.

    Raises:
        ConfigError: the configuration has lists by language and no group is named; the message names them.
    """
    groups = config.groups
    if groups is None or group is not None or len(groups.names) == 1:
        (plan,) = metadata_plans(config, None if group is None else [group]).values()
        return plan
    raise ConfigError(f"there is a list for each of {', '.join(groups.names)}: choose one with --language")


def metadata_plan(config: Config) -> MetadataPlan:
    """Return the jobs that make the one list of entries for all texts.

    Raises:
        ConfigError: a file of the sources, or the given list, is missing.
        InputError: WordNet's database is missing or not a database.
        TransportError: a server cannot be reached now.
    """
    return _list_plan(config.metadata, config, config.rule)


def _list_plan(
    settings: EntrySources, config: Config, rule: Rule, language: LanguageGroup | None = None
) -> MetadataPlan:
    group = "" if language is None else language.name
    spaced, case = config.match.space_entries, config.match.case
    if settings.entries is not None:
        address = settings.entries
        if not scheme(address):
            address = local_path(address)  # workers may run in another folder
        return MetadataPlan((), (), MetadataJob(address, fingerprint(address), spaced, rule, group, case))
    field = f"metadata.languages.{group}" if group else "metadata"
    words = ngrams_jobs(settings.words.paths, f"{field}.words.paths", settings, config, rule)
    pairs = ngrams_jobs(settings.pairs.paths, f"{field}.pairs.paths", settings, config, rule)
    views = titles_jobs(settings.titles, f"{field}.titles")
    wordnet, files = _wordnet(settings.wordnet, () if language is None else language.wordnets)
    settings = settings.model_copy(update={"lists": [_absolute(one) for one in settings.lists]})
    given = tuple(fingerprint(one.path) for one in settings.lists)
    counted = (_outputs(words), _outputs(pairs), _outputs(views))
    build = BuildJob(settings, wordnet, *counted, spaced, rule, group, files, case, given)
    return MetadataPlan(tuple(distinct([*words, *pairs])), tuple(views), build)


def _wordnet(settings: WordNet, codes: Sequence[str]) -> tuple[str | None, tuple[str, ...]]:
    """Return what the content of a WordNet is known by, and its files if it is of the Open Multilingual Wordnet."""
    if settings.under:
        # Read before any work, so that an unknown synset is told at once.
        entries_under(settings.under, settings.path)
        return tree_fingerprint(settings.path), ()
    if settings.use == "omw":
        if settings.path is None:
            raise ConfigError("metadata.wordnet.path must be given with `use: omw`: a file wn-data-*.tab, or a folder")
        files = omw_files(settings.path, settings.codes or codes)
        return omw_fingerprint(files), tuple(files)
    if settings.use in ("none", "numerals"):
        return (None if settings.use == "none" else "numerals"), ()
    return wordnet_fingerprint(settings.path), ()


def _absolute(one: NamedList) -> NamedList:
    """Return a list by an address that means the same to workers, which may run in another folder."""
    return one if scheme(one.path) else one.model_copy(update={"path": local_path(one.path)})


def ngrams_jobs(
    paths: list[str], field: str, settings: EntrySources, config: Config, rule: Rule = "paper"
) -> list[NgramsJob]:
    """Return the jobs that count words and pairs: one for each file, and for each part of a large dump.

    Raises:
        ConfigError: a dump of a language without spaces, and no segmenter that is installed.
    """
    segmenter = settings.words.segmenter
    version = "" if segmenter is None else segmenter_version(segmenter)
    memory = config.execution.ngram_memory_mb << 20
    jobs = []
    for file in inputs_of(paths, field):
        if not is_dump(file.path):
            jobs.append(NgramsJob(file.path, file.fingerprint, "counts", bytes_read=file.bytes, memory_bytes=memory))
            continue
        if segmenter is None and rule in ("characters", "words"):
            raise ConfigError(
                f"{field}: {file.path}: its language does not put spaces between words; name a segmenter that finds"
                " them in metadata.words.segmenter, or give files of ready counts"
            )
        step = settings.bytes_per_task
        size = file.bytes if can_be_split(file.path) else None
        for start in range(0, size or 1, step):
            end = start + step if size is not None and start + step < size else None
            read = (end or size or 0) - start if size is not None else file.bytes
            jobs.append(
                NgramsJob(file.path, file.fingerprint, "dump", start, end, read, memory, rule, segmenter, version)
            )
    return distinct(jobs)


def titles_jobs(titles: Titles, field: str) -> list[TitlesJob]:
    """Return the jobs that sum the views of titles, one for each hourly file."""
    paths = [*titles.paths, *pageview_addresses(titles.dates, titles.address)]
    return distinct(
        [
            TitlesJob(file.path, file.fingerprint, tuple(titles.domains), titles.min_hourly_views, file.bytes)
            for file in inputs_of(paths, field, known_by_address=HOURLY_FILE)
        ]
    )


def distinct(jobs: Iterable[J]) -> list[J]:
    """Return each job once, so that a file under two names is counted once."""
    return list({job.key: job for job in jobs}.values())


def _outputs(jobs: Sequence[Job]) -> tuple[Reference, ...]:
    """Return references to the future outputs of jobs; their rows are not known yet."""
    return tuple(Reference(job.manifest, job.key, 0) for job in jobs)

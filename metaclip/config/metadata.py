"""The part of the configuration for the metadata: which entries to match and balance by."""

import datetime
import re
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from metaclip.config.base import Address, Model
from metaclip.config.languages import Code, GroupName

PAGEVIEWS = "https://dumps.wikimedia.org/other/pageviews"
"""Where Wikimedia publishes hourly pageview files."""

Segmenter = Literal["jieba", "fugashi", "pythainlp", "laonlp", "khmernltk", "pyidaungsu", "botok"]

Budget = Annotated[int, Field(ge=0)] | None


class WordNet(Model):
    """Entries from WordNet: its names, and the numerals 0 to 99."""

    use: Literal["none", "synsets", "lemmas", "omw", "numerals"] = "none"
    """`synsets`: the names of its synsets, as in the paper; `lemmas`: all its words and phrases; `omw`: the words and
    phrases of a wordnet of another language, from the Open Multilingual Wordnet; `numerals`: the numerals alone."""
    path: Address | None = None
    """The database: a folder, an address, or a tar or zip archive with `data.noun` and the other `data.*`
    files. Default: WordNet 3.0, which ships with the package. With `omw`: a file `wn-data-*.tab`, plain or gzipped, or
    a folder that holds such files."""
    codes: list[str] = Field(default=[])
    """With `omw` and a folder: the codes of the wordnets, such as `fra`. Default: those of the group in the shipped
    table."""
    cut_at_dot: bool = True
    """Cut a name at its first dot, as the paper does (`st. louis` becomes `st`); otherwise keep whole names."""
    budget: Budget = None
    """Maximum number of entries that this source adds (entries that are in the list already do not count); empty for
    no limit."""
    under: list[str] = Field(default=[])
    """Only what is a kind or an instance of these synsets of nouns or verbs, themselves included, such as `bird.n.01`
    (word, part of speech, number of the sense), without the numerals. `use` is then `lemmas` if it is not `synsets`."""

    @field_validator("under")
    @classmethod
    def _named(cls, under: list[str]) -> list[str]:
        for name in under:
            if not re.fullmatch(r"\S[^.]*(\.[^.]*)*\.[nv]\.\d\d?", name):
                raise ValueError(
                    f"{name!r} is not the name of a synset of nouns or verbs, such as bird.n.01 or run.v.01"
                )
        return list(dict.fromkeys(under))

    @model_validator(mode="before")
    @classmethod
    def _all_words_under(cls, section: Any) -> Any:
        if isinstance(section, dict) and section.get("under") and section.get("use", "none") == "none":
            return {**section, "use": "lemmas"}
        return section


class NamedList(Model):
    """One of several lists of entries that are merged."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,49}$")
    """The source that its entries are counted under."""
    path: Address
    """The list, in any form that `metadata.entries` takes."""
    budget: Budget = None
    """Maximum number of entries that this list adds (entries that are in the list already do not count); empty for no
    limit."""


class Words(Model):
    """Entries from the words of a corpus, most frequent first."""

    paths: list[Address] = Field(default=[])
    """Wikipedia dumps (`*.xml.bz2`), or files of ready counts (lines of `count<TAB>word[<TAB>word]`, plain or
    compressed): files, folders, globs, http(s) or s3 addresses."""
    min_count: int = Field(default=100, ge=1)
    """Minimum count of a word. In the paper, for English Wikipedia: 100."""
    share: Annotated[float, Field(gt=0, le=1)] | None = None
    """Maximum number of entries, as a share of all distinct words that were counted. For other languages than English
    MetaCLIP 2 takes 0.1."""
    segmenter: Segmenter | None = None
    """The package that finds the words of dumps in a language without spaces, for `words` and `pairs`: `jieba` (zh),
    `fugashi` (ja), `pythainlp` (th), `laonlp` (lo), `khmernltk` (km), `pyidaungsu` (my), `botok` (bo). It must be
    installed; docs/worldwide.md says how."""
    budget: Budget = None
    """Maximum number of entries that this source adds (entries that are in the list already do not count); empty for
    no limit."""


class Pairs(Model):
    """Entries from pairs of neighbouring words, by pointwise mutual information (PMI)."""

    paths: list[Address] = Field(default=[])
    """As `metadata.words.paths`; they must include the counts of the single words."""
    min_pmi: float = Field(default=30.0, allow_inf_nan=False)
    """Minimum PMI in bits. It cannot exceed log2 of the number of words: the paper's 30 needs 2^30 words.
    See docs/metadata.md for values for smaller corpora."""
    min_count: int = Field(default=1, ge=1)
    """Minimum count of a pair."""
    share: Annotated[float, Field(gt=0)] | None = None
    """Maximum number of entries, as a share of those that `words` gave. For other languages than English MetaCLIP 2
    takes 0.4."""
    budget: Budget = None
    """Maximum number of entries that this source adds (entries that are in the list already do not count); empty for
    no limit."""
    total_words: int | None = Field(default=None, ge=1)
    """Number of words in the corpus, if the ready counts are an excerpt of it; default: the sum of the counts."""


class Titles(Model):
    """Entries from the titles of Wikipedia articles, most viewed first."""

    paths: list[Address] = Field(default=[])
    """Hourly pageview files (`pageviews-20240101-000000.gz`): files, folders, globs or addresses."""
    dates: list[datetime.date] = Field(default=[])
    """Days whose 24 hourly files are downloaded from `address`."""
    address: Address = PAGEVIEWS
    """Address where hourly pageview files are published."""
    domains: list[Code] = Field(default=["en"], min_length=1)
    """Domains whose views are counted: `en` is English Wikipedia on desktop, `en.m` on mobile."""
    min_hourly_views: int = Field(default=50, ge=1)
    """Rows of an hour with fewer views are skipped. In the paper: 50."""
    min_views: int = Field(default=70, ge=1)
    """Minimum views of a title over all files. In the paper, estimated: 70."""
    share: Annotated[float, Field(gt=0, le=1)] | None = None
    """Maximum number of entries, as a share of all distinct titles. For other languages than English MetaCLIP 2 takes
    0.76."""
    budget: Budget = None
    """Maximum number of entries that this source adds (entries that are in the list already do not count); empty for
    no limit."""

    @field_validator("dates")
    @classmethod
    def _published(cls, dates: list[datetime.date]) -> list[datetime.date]:
        for date in dates:
            if date < datetime.date(2015, 5, 1):
                raise ValueError(f"{date}: hourly pageview files begin on 2015-05-01")
        return dates


class EntrySources(Model):
    """The entries to match and balance by: a given list, or a list that is built from sources."""

    entries: Address | None = None
    """A list of entries; an entry's id is its position. JSON list as MetaCLIP publishes it, plain or
    gzipped; text with one entry on each line; or Parquet with a column `entry`."""
    max_entries: int = Field(default=500_000, ge=1)
    """Maximum size of a list that is built. Sources fill it in the order WordNet, words, pairs, titles."""
    bytes_per_task: int = Field(default=384 << 20, ge=1 << 20)
    """A dump is counted in parts of this size in bytes; each part is a task. It does not change the result."""
    lists: list[NamedList] = Field(default=[])
    """Lists that are merged, in this order and before all other sources; of equal entries the first stays."""
    wordnet: WordNet = WordNet()
    words: Words = Words()
    pairs: Pairs = Pairs()
    titles: Titles = Titles()

    @property
    def sources(self) -> dict[str, bool]:
        """Return the sources that the list is built from."""
        return {
            "wordnet": self.wordnet.use != "none",
            "words": bool(self.words.paths),
            "pairs": bool(self.pairs.paths),
            "titles": bool(self.titles.paths or self.titles.dates),
        }

    @property
    def has_sources(self) -> bool:
        """Return whether the list is built from sources."""
        return bool(self.lists) or any(self.sources.values())

    @property
    def has_lists(self) -> bool:
        """Return whether there is a list for each group of languages instead."""
        return False

    @model_validator(mode="after")
    def _no_idle_section(self) -> Self:
        """Refuse a section that would have no effect: whoever writes one wants its entries."""
        for name, used in self.sources.items():
            section: Model = getattr(self, name)
            # A form, and a configuration that was written by the program, contain every section with its defaults.
            written = name in self.model_fields_set and not section.model_fields_set
            if not used and (written or section != type(section)()):
                switch = "use: synsets" if name == "wordnet" else "paths"
                raise ValueError(
                    f"metadata.{name} names nothing to build from; add metadata.{name}.{switch}, or remove the section"
                )
        return self

    @model_validator(mode="after")
    def _names_once(self) -> Self:
        names = [*(each.name for each in self.lists), *(name for name, used in self.sources.items() if used)]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(
                f"metadata.lists: two sources are named {', '.join(repeated)}; give each a name of its own"
            )
        return self

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.entries is None and not self.has_sources and not self.has_lists:
            raise ValueError(
                "either metadata.entries must be given, a list of entries, or sources to build one from, such as"
                " metadata.wordnet.use: synsets"
            )
        if self.entries is not None and self.has_sources:
            raise ValueError("metadata.entries and sources to build a list from are both given; remove one")
        return self


class Metadata(EntrySources):
    """The entries to match and balance by: a given list, one built from sources, or one for each group of languages."""

    languages: dict[GroupName, EntrySources] = Field(default={})
    """A list for each group of languages, by the group's name: `entries`, or sources to build it from, as above.
    Without it one list is for all texts. See docs/worldwide.md."""

    @property
    def has_lists(self) -> bool:
        """Return whether each group of languages has a list."""
        return bool(self.languages)

    @model_validator(mode="after")
    def _one_or_many(self) -> Self:
        if self.languages and (self.entries is not None or self.has_sources):
            raise ValueError(
                "metadata.languages and a list for all texts are both given; move the latter to a group, such as"
                " metadata.languages.en"
            )
        return self

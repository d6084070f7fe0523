"""The part of the configuration that says which entries to match and balance by."""

import datetime
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from metaclip.config.base import Model

PAGEVIEWS = "https://dumps.wikimedia.org/other/pageviews"
"""Where Wikimedia publishes hourly pageview files."""

Budget = Annotated[int, Field(ge=0)] | None


class WordNet(Model):
    """Entries from WordNet: its names, with the numerals 0 to 99."""

    use: Literal["none", "synsets", "lemmas"] = "none"
    """`synsets`: the names of its synsets, as the paper; `lemmas`: all words and phrases in it."""
    path: str | None = None
    """The database: a folder, an address, or a tar or zip archive that holds `data.noun` and its kin.
    Default: WordNet 3.0 as the package ships it."""
    cut_at_dot: bool = True
    """Cut a name at its first dot, as the paper does (`st. louis` becomes `st`); else names stay whole."""
    budget: Budget = None
    """Take at most so many entries that are not in the list yet; empty for no limit."""


class Words(Model):
    """Entries from the words of a corpus, commonest first."""

    paths: list[str] = Field(default=[])
    """Wikipedia dumps (`*.xml.bz2`), or ready counts (lines of `count<TAB>word[<TAB>word]`, plain or
    packed): files, folders, globs, http(s) or s3 addresses."""
    min_count: int = Field(default=100, ge=1)
    """Least count of a word. The paper's, for English Wikipedia: 100."""
    budget: Budget = None
    """Take at most so many entries that are not in the list yet; empty for no limit."""


class Pairs(Model):
    """Entries from pairs of neighbouring words, by pointwise mutual information (PMI)."""

    paths: list[str] = Field(default=[])
    """As `metadata.words.paths`; counts of the single words must be among them."""
    min_pmi: float = Field(default=30.0, allow_inf_nan=False)
    """Least PMI in bits. It cannot exceed log2 of the number of words: the paper's 30 needs 2^30 words.
    docs/metadata.md proposes values for smaller corpora."""
    min_count: int = Field(default=1, ge=1)
    """Least count of a pair."""
    budget: Budget = None
    """Take at most so many entries that are not in the list yet; empty for no limit."""
    total_words: int | None = Field(default=None, ge=1)
    """Words of the corpus, where ready counts are an excerpt of it; default: the sum of the counts."""


class Titles(Model):
    """Entries from the titles of Wikipedia articles, most viewed first."""

    paths: list[str] = Field(default=[])
    """Hourly pageview files (`pageviews-20240101-000000.gz`): files, folders, globs or addresses."""
    dates: list[datetime.date] = Field(default=[])
    """Days whose 24 hourly files are fetched from `address`."""
    address: str = PAGEVIEWS
    """Where hourly pageview files are published."""
    domains: list[str] = Field(default=["en"], min_length=1)
    """Domains whose views count: `en` is English Wikipedia on desktops, `en.m` on mobiles."""
    min_hourly_views: int = Field(default=50, ge=1)
    """Rows of an hour with fewer views are left out. The paper's: 50."""
    min_views: int = Field(default=70, ge=1)
    """Least views of a title over all files. The paper's, estimated: 70."""
    budget: Budget = None
    """Take at most so many entries that are not in the list yet; empty for no limit."""

    @field_validator("dates")
    @classmethod
    def _published(cls, dates: list[datetime.date]) -> list[datetime.date]:
        for date in dates:
            if date < datetime.date(2015, 5, 1):
                raise ValueError(f"{date}: hourly pageview files begin on 2015-05-01")
        return dates


class Metadata(Model):
    """The entries to match and balance by: a given list, or one that is built from sources."""

    entries: str | None = None
    """A list of entries, an entry's id being its position: JSON list as MetaCLIP publishes it,
    plain or gzipped; text, one a line; or Parquet with a column `entry`."""
    max_entries: int = Field(default=500_000, ge=1)
    """Size of a list that is built. Sources fill it in the order WordNet, words, pairs, titles."""
    bytes_per_task: int = Field(default=384 << 20, ge=1 << 20)
    """A dump is counted in parts of so many bytes, each a task. No part changes the result."""
    wordnet: WordNet = WordNet()
    words: Words = Words()
    pairs: Pairs = Pairs()
    titles: Titles = Titles()

    @property
    def sources(self) -> dict[str, bool]:
        """Which sources the list is to be built from."""
        return {
            "wordnet": self.wordnet.use != "none",
            "words": bool(self.words.paths),
            "pairs": bool(self.pairs.paths),
            "titles": bool(self.titles.paths or self.titles.dates),
        }

    @property
    def has_sources(self) -> bool:
        """Whether the list is to be built."""
        return any(self.sources.values())

    @model_validator(mode="after")
    def _no_idle_section(self) -> Self:
        """Refuse a section that would be passed over: whoever writes one wants its entries."""
        for name, used in self.sources.items():
            section: Model = getattr(self, name)
            # A form, and a configuration written back, hold every section with its defaults.
            written = name in self.model_fields_set and not section.model_fields_set
            if not used and (written or section != type(section)()):
                switch = "use: synsets" if name == "wordnet" else "paths"
                raise ValueError(
                    f"metadata.{name} names nothing to build from; add metadata.{name}.{switch}, or remove the section"
                )
        return self

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.entries is None and not self.has_sources:
            raise ValueError(
                "either metadata.entries must be given, a list of entries, or sources to build one from, such as"
                " metadata.wordnet.use: synsets"
            )
        if self.entries is not None and self.has_sources:
            raise ValueError("metadata.entries and sources to build a list from are both given; remove one")
        return self

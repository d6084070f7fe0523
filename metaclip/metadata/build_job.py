"""The metadata stage for a list that is built from WordNet, words, word pairs and titles."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from metaclip.config.groups import Rule
from metaclip.config.metadata import EntrySources, Pairs, Words
from metaclip.errors import StageError
from metaclip.kernels.ways import NEVER, Work
from metaclip.metadata import ngrams_job as ngrams
from metaclip.metadata import titles_job as titles
from metaclip.metadata.entry_list import EntryList
from metaclip.metadata.given_list import load_entries
from metaclip.metadata.languages.omw import omw_lemmas
from metaclip.metadata.languages.segmenters import join_words
from metaclip.metadata.list_job import ENTRIES, Case, matching_config, write_table
from metaclip.metadata.select import Corpus, Ranked, join_with_space
from metaclip.metadata.taxonomy.wordnet_tree import entries_under
from metaclip.metadata.wordnet import NUMERALS, load_wordnet
from metaclip.schemas import BUILT_ENTRY
from metaclip.store.job import Job
from metaclip.store.manifest import Reference
from metaclip.store.store import Store
from metaclip.store.writer import OutputWriter

LIST = "entries.json"
REPORT = "report.json"
UNMATCHABLE = "unmatchable.json"


@dataclass(frozen=True)
class BuildJob(Job):
    """Build one list from counted sources."""

    STAGE: ClassVar[str] = "metadata"
    VERSION: ClassVar[int] = 2

    settings: EntrySources
    wordnet_fingerprint: str | None
    words: tuple[Reference, ...]
    pairs: tuple[Reference, ...]
    titles: tuple[Reference, ...]
    space_entries: bool = False
    rule: Rule = "paper"
    group: str = ""
    """The group of languages that the list is for, if there are several; for people only."""
    omw_files: tuple[str, ...] = ()
    """Files of the Open Multilingual Wordnet; their content is in `wordnet_fingerprint`."""
    case: Case = "exact"
    lists: tuple[str, ...] = ()
    """The fingerprints of `metadata.lists`."""

    @property
    def label(self) -> str:
        """The group, if there are several."""
        return self.group or super().label

    def config(self) -> Mapping[str, Any]:
        """Return thresholds, budgets and rules. The files are inputs, and their order does not matter."""
        settings = self.settings
        config: dict[str, Any] = {"kind": "build", "max_entries": settings.max_entries}
        if self.wordnet_fingerprint:
            # What is left out where it is not used changes no key.
            idle = set() if settings.wordnet.under else {"under"}
            config["wordnet"] = settings.wordnet.model_dump(mode="json", exclude={"path", "codes", *idle})
        if self.lists:
            config["lists"] = [{"name": one.name, "budget": one.budget} for one in settings.lists]
        if self.words:
            config["words"] = _without_share(settings.words, {"paths", "segmenter"})
        if self.pairs:
            config["pairs"] = _without_share(settings.pairs, {"paths"})
        if self.titles:
            config["titles"] = {"min_views": settings.titles.min_views, "budget": settings.titles.budget}
            if settings.titles.share is not None:
                config["titles"]["share"] = settings.titles.share
        return {**config, **matching_config(self.space_entries, self.rule, self.case)}

    def inputs(self) -> list[str]:
        """Return WordNet's fingerprint and the keys of the counts, each with its use."""
        parts = {"words": self.words, "pairs": self.pairs, "titles": self.titles}
        keys = sorted(f"{source}:{part.key}" for source, found in parts.items() for part in found)
        given = [f"list:{fingerprint}" for fingerprint in self.lists]
        return [*given, *([f"wordnet:{self.wordnet_fingerprint}"] if self.wordnet_fingerprint else []), *keys]

    def work(self) -> Work:
        """Return the kernels that build the table."""
        return Work(("table",) if self.rule == "paper" else ("table", "tokens"), NEVER)

    def compute(self, store: Store, output: OutputWriter) -> Mapping[str, Any]:
        """Write the entries, the list in MetaCLIP's form, the matcher's table and the report."""
        found = EntryList(self.settings.max_entries)
        for one in self.settings.lists:
            given = load_entries(one.path).entries
            found.add(one.name, Ranked(given, [0.0] * len(given), len(given), {}), one.budget, scored=False)
        if self.wordnet_fingerprint:
            self._add_wordnet(found)
        words = self._add_ngrams(found, store)
        if self.titles:
            corpus = Corpus([titles.open_run(store, part) for part in self.titles])
            settings = self.settings.titles
            budget = _least(settings.budget, settings.share, corpus.distinct)
            ranked = corpus.most_counted(settings.min_views, found.wanted(budget), "below_min_views")
            found.add("titles", ranked, budget)
        if not found.entries:
            raise StageError("the list has no entry: lower the thresholds of metadata, or raise its budgets")
        counts = words.counts_of(found.entries) if words is not None and self.rule == "words" else None
        return self._write(found, counts, store, output)

    def _add_wordnet(self, found: EntryList) -> None:
        settings = self.settings.wordnet
        lemmas = settings.use == "lemmas"
        if settings.under:
            entries = entries_under(settings.under, settings.path, lemmas=lemmas, cut_at_dot=settings.cut_at_dot)
        else:
            names: list[str] = []
            if settings.use == "omw":
                names = omw_lemmas(self.omw_files)
            elif settings.use != "numerals":
                names = load_wordnet(settings.path).entries(lemmas=lemmas, cut_at_dot=settings.cut_at_dot)
            entries = sorted({*names, *NUMERALS})
        ranked = Ranked(entries, [0.0] * len(entries), len(entries), {})
        found.add("wordnet", ranked, settings.budget, scored=False)

    def _add_ngrams(self, found: EntryList, store: Store) -> Corpus | None:
        """Add words and pairs; return the counts of the words if they are a source."""
        words, pairs = self.settings.words, self.settings.pairs
        counted = corpus = self._corpus("words", self.words, store)
        if self.words:
            budget = _least(words.budget, words.share, corpus.distinct)
            found.add("words", corpus.most_counted(words.min_count, found.wanted(budget)), budget)
        if self.pairs:
            if {part.key for part in self.pairs} != {part.key for part in self.words}:
                corpus = self._corpus("pairs", self.pairs, store)
            budget = _least(pairs.budget, pairs.share, found.sources.count("words"))
            join = join_words if self.rule in ("characters", "words") else join_with_space
            ranked = corpus.most_associated(
                pairs.min_pmi, pairs.min_count, found.wanted(budget), pairs.total_words, join
            )
            found.add("pairs", ranked, budget)
        return counted if self.words else None

    def _corpus(self, source: str, parts: Sequence[Reference], store: Store) -> Corpus:
        corpus = Corpus([ngrams.open_run(store, part) for part in parts])
        if parts and not corpus.total:
            raise StageError(f"metadata.{source}.paths: no word is counted in these files; are they the right ones?")
        return corpus

    def _write(
        self, found: EntryList, counts: npt.NDArray[np.int64] | None, store: Store, output: OutputWriter
    ) -> Mapping[str, Any]:
        columns = [
            pa.array(np.arange(len(found.entries), dtype=np.uint32)),
            pa.array(found.entries, pa.string()),
            pa.array(found.sources, pa.string()),
            pa.array(found.scores, pa.float64()),
        ]
        output.parquet(ENTRIES, BUILT_ENTRY, iter([pa.table(columns, schema=BUILT_ENTRY)]))
        with output.file(LIST) as sink:
            sink.write(msgspec.json.format(msgspec.json.encode(found.entries), indent=1))
        duplicates = write_table(found.entries, self.space_entries, output, self.rule, counts, self.case)
        unmatchable = found.unmatchable() if self.rule == "paper" else []
        with output.file(UNMATCHABLE) as sink:
            listed = [[entry_id, found.entries[entry_id]] for entry_id in unmatchable]
            sink.write(msgspec.json.format(msgspec.json.encode(listed), indent=1))
        report = found.report(unmatchable)
        report["space_entries"] = self.space_entries
        report["read"] = {
            "words": _sum_counts(store, self.words),
            "pairs": _sum_counts(store, self.pairs),
            "titles": _sum_counts(store, self.titles),
        }
        with output.file(REPORT) as sink:
            sink.write(msgspec.json.format(msgspec.json.encode(report), indent=1))
        return {
            "entries": len(found.entries),
            "duplicates": duplicates,
            "unmatchable": len(unmatchable),
            "sources": {row["source"]: row["entries"] for row in found.table},
            "table": found.table,
            "read": report["read"],
        }


def _without_share(settings: Words | Pairs, left_out: set[str]) -> dict[str, Any]:
    """Return settings for a key. A share that is not given is left out, so that older lists keep their keys."""
    return settings.model_dump(mode="json", exclude=left_out | (set() if settings.share is not None else {"share"}))


def _least(budget: int | None, share: float | None, of: int) -> int | None:
    """Return the smaller of a budget and a share of a number, None if neither is given."""
    if share is None:
        return budget
    most = int(Fraction(str(share)) * of)
    return most if budget is None else min(budget, most)


def _sum_counts(store: Store, references: Sequence[Reference]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for reference in references:
        total.update(store.manifest(reference.manifest).statistics["counts"])
    return dict(sorted(total.items()))

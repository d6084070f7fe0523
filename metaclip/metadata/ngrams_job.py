"""The ngrams stage: words and word pairs of one dump, of a part of a dump, or of one file of counts."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from metaclip.config.groups import Rule
from metaclip.kernels.ways import NEVER, Work
from metaclip.metadata.languages.segmenters import load_segmenter, segmented
from metaclip.metadata.wikipedia.count_files import read_counts
from metaclip.metadata.wikipedia.dump import read_articles
from metaclip.metadata.wikipedia.ngrams import NgramCounter
from metaclip.metadata.wikipedia.sorted_counts import AnyRun, Merge, Run
from metaclip.metadata.wikipedia.wikitext import strip_markup
from metaclip.schemas import PAIR_COUNT, TEXT_COUNT
from metaclip.store.job import Job
from metaclip.store.manifest import Reference
from metaclip.store.store import Store
from metaclip.store.writer import OutputWriter

WORDS = "words.parquet"
PAIRS = "pairs.parquet"


@dataclass(frozen=True)
class NgramsJob(Job):
    """Count one input file, or the articles that begin in a range of a dump's bytes."""

    STAGE: ClassVar[str] = "ngrams"
    VERSION: ClassVar[int] = 2

    path: str
    fingerprint: str
    kind: Literal["dump", "counts"]
    start: int = 0
    end: int | None = None
    """Byte after the range; None for the end of the file."""
    bytes_read: int | None = None
    """Bytes to read, for progress and rates."""
    memory_bytes: int = 512 << 20
    rule: Rule = "paper"
    """How the words will be found in texts: all but the paper's rule cut words at all punctuation and symbols."""
    segmenter: str | None = None
    segmenter_version: str = ""

    @property
    def label(self) -> str:
        """The file's name, and the start of the range."""
        name = self.path.rsplit("/", 1)[-1]
        return name if not self.start else f"{name} from {self.start / 1e6:,.0f} MB"

    def config(self) -> Mapping[str, Any]:
        """Return how the file is read, and which part of it."""
        config: dict[str, Any] = {"kind": self.kind, "range": [self.start, self.end]}
        if self.kind == "dump" and self.rule != "paper":
            config["spacing"] = "unicode"
        if self.segmenter is not None:
            config["segmenter"] = [self.segmenter, self.segmenter_version]
        return config

    def inputs(self) -> list[str]:
        """Return the file's fingerprint."""
        return [self.fingerprint]

    def work(self) -> Work:
        """Return the kernels that count words."""
        return Work(("words",), NEVER)

    def compute(self, store: Store, output: OutputWriter) -> Mapping[str, Any]:
        """Count; write words sorted by code point, and pairs sorted by the positions of their words."""
        counts: Counter[str] = Counter()
        merge = Merge(self._count(counts))
        counts["words"] = output.parquet(WORDS, TEXT_COUNT, (part.table() for part in merge.texts()))
        counts["pairs"] = output.parquet(PAIRS, PAIR_COUNT, (part.table() for part in merge.pairs()))
        counts["bytes_read"] = self.bytes_read or 0
        return {"counts": dict(sorted(counts.items())), "path": self.path}

    def _count(self, counts: Counter[str]) -> Sequence[AnyRun]:
        if self.kind == "counts":
            return read_counts(self.path, counts)
        counter = NgramCounter(self.memory_bytes, unicode_marks=self.rule != "paper")
        segment = None if self.segmenter is None else load_segmenter(self.segmenter)
        for article in read_articles(self.path, counts, self.start, self.end):
            text = strip_markup(article)
            if text is None:
                counts["skipped.markup"] += 1
                counts["articles"] -= 1
                continue
            counts["text_bytes"] += len(text.encode())
            counter.add(text if segment is None else segmented(text, segment))
        counts["tokens"] = counter.tokens
        counts["too_long"] = counter.too_long
        return counter.runs()


def open_run(store: Store, ngrams: Reference) -> Run:
    """Return the counts of an output as a sorted run."""
    return Run(lambda: store.open_parquet(ngrams, WORDS), lambda: store.open_parquet(ngrams, PAIRS))

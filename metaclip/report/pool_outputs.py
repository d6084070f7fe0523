"""The input of a report: outputs of all stages of a pool, and the statistics in their manifests."""

import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

from metaclip.images.dedup.outputs import ImageOutputs
from metaclip.stages.group_counts import ByLanguage
from metaclip.store.manifest import Reference
from metaclip.store.store import Store

FUNNEL = ("files", "failed_files", "bytes_read", "records", "pages", "images", "texts", "pairs")
"""Steps that the extract stage counts; `pairs` are the texts without repeats within a shard."""

PAGE_KINDS = ("warc", "wat")
"""Kinds of files that hold web pages; the others hold pairs that somebody gathered."""

SURVIVORS = ("uids", "images", "unknown_uids", "unknown_images")
"""Counts of the survive stage: what the lists named, and how much of it is not in the pool."""

_CRAWL = re.compile(r"crawl-data/(CC-MAIN-[0-9-]+)/")


@dataclass(frozen=True)
class PoolOutputs:
    """The outputs of a pool's stages that a report is made from."""

    metadata: Reference
    extracted: tuple[Reference, ...]
    matched: tuple[Reference, ...]
    unique: tuple[Reference, ...]
    counts: Reference
    balanced: tuple[Reference, ...]
    survived: tuple[Reference, ...] = ()
    """Outputs of the survive stage, if the pool consists of survivors."""
    images: ImageOutputs | None = None
    """Outputs of the stages of pictures, if survivors are pairs whose picture stays."""
    lists: tuple[tuple[str, Reference], ...] = ()
    """In a pool by language each group with its list, ascending; `metadata` is then the first of them."""
    by_language: ByLanguage | None = None

    @property
    def by_stage(self) -> dict[str, Reference | tuple[Reference, ...]]:
        """The outputs by the names that a pool's record has for their stages."""
        found: dict[str, Reference | tuple[Reference, ...]] = {
            "metadata": self.metadata,
            "extract": self.extracted,
            "match": self.matched,
            "dedup": self.unique,
            "count": self.counts,
            "balance": self.balanced,
        }
        return found | ({"survive": self.survived} if self.survived else {})


@dataclass(frozen=True)
class SetParts:
    """One set of a pool: the pool's outputs, the curves and surveys made from them, and the set itself."""

    pool: PoolOutputs
    curves: tuple[Reference, ...]
    pool_surveys: tuple[Reference, ...]
    set_surveys: tuple[Reference, ...]
    curated: Reference

    @property
    def keys(self) -> list[str]:
        """The keys of all outputs that a report depends on; the balanced ones determine the curves."""
        pool = self.pool
        lists = [listed.key for _, listed in pool.lists] or [pool.metadata.key]
        single = [*lists, pool.counts.key, self.curated.key]
        shards = (pool.extracted, pool.matched)
        partitions = (pool.unique, pool.survived, self.curves, self.pool_surveys, self.set_surveys)
        images = [] if pool.images is None else pool.images.keys
        return [*single, *(part.key for parts in (*shards, *partitions) for part in parts), *images]


@dataclass
class Extracted:
    """What the extract stage counted over all shards."""

    counts: Counter[str]
    languages: Counter[str]
    failed: list[dict[str, str]]
    kinds: Counter[str]
    crawls: Counter[str]
    settings: dict[str, Any]

    @property
    def from_pages(self) -> bool:
        """Whether some of the files hold web pages."""
        return any(kind in PAGE_KINDS for kind in self.kinds)

    @property
    def from_pairs(self) -> bool:
        """Whether some of the files hold pairs that somebody gathered."""
        return any(kind not in PAGE_KINDS for kind in self.kinds)

    @classmethod
    def read(cls, store: Store, shards: tuple[Reference, ...]) -> "Extracted":
        """Add up the statistics of the manifests, one shard at a time."""
        found = cls(Counter(), Counter(), [], Counter(), Counter(), {})
        for shard in shards:
            manifest = store.manifest(shard.manifest)
            statistics = manifest.statistics
            found.counts.update(statistics["counts"])
            found.languages.update(statistics["languages"])
            found.failed += statistics["failed_files"]
            found.kinds.update(manifest.config["kinds"])
            found.crawls.update(match[1] for path in statistics["file_bytes"] if (match := _CRAWL.search(path)))
            found.settings = {name: manifest.config[name] for name in ("text_keys", "respect_opt_out")}
        return found


def sum_counts(store: Store, parts: tuple[Reference, ...]) -> Counter[str]:
    """Add up the counts of outputs."""
    total: Counter[str] = Counter()
    for part in parts:
        total.update(store.manifest(part.manifest).statistics["counts"])
    return total


def sum_labels(store: Store, matched: tuple[Reference, ...]) -> dict[str, dict[str, int]]:
    """Add up what became of the texts of each label, in a pool by language; labels with most texts first."""
    total: dict[str, Counter[str]] = {}
    for part in matched:
        for label, fates in store.manifest(part.manifest).statistics["by_label"].items():
            total.setdefault(label, Counter()).update(fates)
    ordered = sorted(total.items(), key=lambda item: (-item[1]["texts"], item[0]))
    return {label: dict(sorted(fates.items())) for label, fates in ordered}


def funnel(
    extracted: Extracted,
    matched: Counter[str],
    unique: Counter[str],
    survived: Counter[str] | None,
    curated: int,
    removed: int = 0,
) -> dict[str, Any]:
    """Return the number that is left after each step, and what each step drops, by reason.

    `survived` are the counts of the survive stage, if the pool consists of survivors.
    """
    balanced = unique["unique"] if survived is None else survived["survived"]
    dropped = Counter({name: count for name, count in extracted.counts.items() if name.startswith("dropped.")})
    for reason in ("score", "no_metadata"):  # told apart where there are lists by language
        dropped[f"dropped.pair.{reason}"] = matched[f"dropped.{reason}"]
    apart = matched["dropped.score"] + matched["dropped.no_metadata"]
    dropped["dropped.pair.language"] = matched["pairs"] - matched["kept_by_language"] - apart
    dropped["dropped.pair.no_match"] = matched["kept_by_language"] - matched["matched"]
    repeats = matched["matched"] - unique["unique"]
    dropped["dropped.pair.repeat_in_pool"] = repeats
    dropped["dropped.pair.not_survived"] = unique["unique"] - balanced
    dropped["dropped.pair.balanced"] = balanced - curated - removed
    dropped["dropped.pair.removed"] = removed
    return {
        "funnel": {
            # No page was seen where all files hold pairs that somebody gathered.
            **{name: extracted.counts[name] for name in FUNNEL if name != "pages" or extracted.from_pages},
            "kept_by_language": matched["kept_by_language"],
            "matched": matched["matched"],
            "unique": unique["unique"],
            **({} if survived is None else {"survived": balanced}),
            "curated": curated,
        },
        "dropped": {name.removeprefix("dropped."): count for name, count in sorted(dropped.items()) if count},
        "languages": by_count(extracted.languages),
        "failed_files": extracted.failed,
        **({"removed": removed} if removed else {}),
        **({} if survived is None else {"survivors": {name: survived[name] for name in SURVIVORS}}),
        "duplicates": {
            "texts": extracted.counts["texts"],
            "repeats_in_shards": extracted.counts["dropped.pair.repeat"],
            "matched": matched["matched"],
            "repeats_over_the_pool": repeats,
            "unique": unique["unique"],
        },
    }


def by_count(counts: Counter[str]) -> dict[str, int]:
    """Return counts, largest first, and equal ones by name."""
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

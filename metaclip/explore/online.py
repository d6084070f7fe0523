"""Balance while training: from a stream of pairs, keep the pairs that the curated set would have.

It needs the matcher's table and the entry counts of a pool, but neither a set nor torch.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from metaclip.balance.algorithm import KeepProbability, draws
from metaclip.config.groups import Groups
from metaclip.config.settings import format_t
from metaclip.errors import ConfigError
from metaclip.explore.pool import FinishedPool
from metaclip.language.identifier import LanguageIdentifier
from metaclip.language.model_file import find_model
from metaclip.matching.matcher import Matcher
from metaclip.metadata.list_job import open_matcher
from metaclip.pairs.texts import clean_text
from metaclip.pairs.uids import uids
from metaclip.pairs.urls import Fault, page_base

Sample = TypeVar("Sample")

Identify = Callable[[list[str]], tuple[list[str], npt.NDArray[np.float32]]]
"""Returns label and score of each text."""

BATCH = 4096


class OnlineBalancer:
    """Decides for pairs whether the curated set for t and seed has them.

    Args:
        matcher: the matcher of the pool's entries.
        entry_counts: uint64[n_entries], of the pool.
        t: positive, infinity included.
        seed: 0 to 2^64 - 1. The pool's own seed gives the pool's set. Another seed for each epoch gives
            each epoch its own sample, as another run of Algorithm 1 would.

    Raises:
        ValueError: if t is not positive, or the counts are of another list of entries.
    """

    def __init__(self, matcher: Matcher, entry_counts: npt.NDArray[np.uint64], t: float, seed: int = 0) -> None:
        if len(entry_counts) != matcher.n_entries:
            raise ValueError(f"{len(entry_counts)} counts for {matcher.n_entries} entries: of another list")
        self.matcher = matcher
        self.probability = KeepProbability(entry_counts, t)
        self.seed = seed

    @classmethod
    def from_pool(cls, storage: str, pool: str, t: float | None = None, seed: int | None = None) -> "OnlineBalancer":
        """Use matcher and counts of a finished pool; t and seed are the pool's own by default.

        Raises:
            ConfigError: there is no finished pool of that name, or it has lists by language
                (`OnlineLanguageBalancer`).
            StoreError: an output of the pool is missing.
        """
        finished = FinishedPool.open(storage, pool)
        if finished.by_language is not None:
            raise ConfigError(f"pool {pool!r} has lists by language: use OnlineLanguageBalancer.from_pool")
        return cls(
            open_matcher(finished.store, finished.one("metadata")),
            finished.counts,
            finished.config.balance.threshold if t is None else t,
            finished.config.balance.seed if seed is None else seed,
        )

    def keep(self, urls: Sequence[str], texts: Sequence[str]) -> npt.NDArray[np.bool_]:
        """Return for each pair of image address and text whether it is kept, bool[n].

        Addresses and texts are brought into the form that the pool uses. A pair without an entry, with an
        invalid address or with an empty text is not kept.

        Raises:
            ValueError: if the numbers of addresses and texts differ.
        """
        if len(urls) != len(texts):
            raise ValueError(f"{len(urls)} addresses and {len(texts)} texts")
        cleaned = [clean_text(text) for text in texts]
        addresses = [_address(url) for url in urls]
        high, low = uids([address or "" for address in addresses], cleaned)
        offsets, entry_ids = self.matcher.match(cleaned)
        kept = self.probability.keeps(offsets, entry_ids, draws(high, low, self.seed))
        return kept & np.array([address is not None for address in addresses], np.bool_)

    def __repr__(self) -> str:
        return f"OnlineBalancer({self.matcher.n_entries} entries, t={format_t(self.probability.t)}, seed={self.seed})"


class OnlineLanguageBalancer:
    """Decides the same in a pool by language: each text by the list, the counts and the t of its own language.

    Args:
        identify: returns labels and scores (float32[n]) of texts, such as `LanguageIdentifier(model).identify`.
        groups: the pool's.
        balancers: by group; texts of a group that has none are not kept.
    """

    def __init__(self, identify: Identify, groups: Groups, balancers: Mapping[str, OnlineBalancer]) -> None:
        self.groups = groups
        self.balancers = dict(balancers)
        self._identify = identify

    @classmethod
    def from_pool(
        cls,
        storage: str,
        pool: str,
        t: float | Mapping[str, float] | None = None,
        seed: int | None = None,
        language_model: str | None = None,
    ) -> "OnlineLanguageBalancer":
        """Use lists and counts of a finished pool by language.

        Args:
            storage: root of the store.
            pool: name of the pool.
            t: of the reference language, from which those of the others follow; or the t of each language, where
                one that is not named gets its own from the pool's t. Default: the pool's t.
            seed: of the draws; the pool's own by default.
            language_model: as `extract.language_model`.

        Raises:
            ConfigError: there is no such pool, it has one list for all texts, a language without a list is named, or
                there is no language model.
            StoreError: an output of the pool is missing.
        """
        finished = FinishedPool.open(storage, pool)
        counts, groups = finished.group_counts, counts_groups(finished)
        named = dict(t) if isinstance(t, Mapping) else {}
        if unknown := sorted(set(named) - set(groups.names)):
            raise ConfigError(
                f"{', '.join(unknown)}: no such language in pool {pool!r}; there: {', '.join(groups.names)}"
            )
        reference_t = finished.t(None if isinstance(t, Mapping) else t)
        balancers = {}
        for group in groups.names:
            own = float(named[group]) if group in named else counts.t(group, reference_t)
            if own > 0:  # at 0 nothing is kept
                matcher = open_matcher(finished.store, finished.lists[group])
                balancers[group] = OnlineBalancer(
                    matcher, counts.counts(group), own, finished.config.balance.seed if seed is None else seed
                )
        identifier = LanguageIdentifier(find_model(language_model or finished.config.extract.language_model))
        settings = finished.config.match
        return cls(wanted_labels(identifier, settings.languages, settings.min_lang_score, groups), groups, balancers)

    def keep(self, urls: Sequence[str], texts: Sequence[str]) -> npt.NDArray[np.bool_]:
        """Return for each pair of image address and text whether it is kept, bool[n]; see `OnlineBalancer.keep`.

        Raises:
            ValueError: if the numbers of addresses and texts differ.
        """
        if len(urls) != len(texts):
            raise ValueError(f"{len(urls)} addresses and {len(texts)} texts")
        labels, scores = self._identify([clean_text(text) for text in texts])
        of_row = self.groups.of_rows(pa.array(labels, pa.string()), pa.array(scores, pa.float32()))
        kept = np.zeros(len(texts), np.bool_)
        for position in np.unique(of_row):
            balancer = None if position < 0 else self.balancers.get(self.groups.names[position])
            if balancer is not None:
                rows = np.flatnonzero(of_row == position)
                kept[rows] = balancer.keep([urls[row] for row in rows.tolist()], [texts[row] for row in rows.tolist()])
        return kept

    def __repr__(self) -> str:
        ts = ", ".join(f"{group}: {format_t(one.probability.t)}" for group, one in self.balancers.items())
        return f"OnlineLanguageBalancer({ts})"


def counts_groups(pool: FinishedPool) -> Groups:
    """Return the groups of a pool by language."""
    return pool.group_counts.by_language.groups


def wanted_labels(identifier: LanguageIdentifier, languages: Sequence[str], least: float, groups: Groups) -> Identify:
    """Return a function that labels texts, and gives those that the pool's filter drops an empty label."""

    def identify(texts: list[str]) -> tuple[list[str], npt.NDArray[np.float32]]:
        labels, scores = identifier.identify(texts)
        low = scores < np.float32(least) if groups.other_below is None else np.zeros(len(texts), np.bool_)
        kept = [
            label if not drop and (not languages or label in languages) else ""
            for label, drop in zip(labels, low.tolist(), strict=True)
        ]
        if groups.other_below is not None:  # an unwanted label does not go to `other`
            scores = np.where([bool(label) for label in kept], scores, np.float32(1)).astype(np.float32)
        return kept, scores

    return identify


class BalancedStream(Generic[Sample]):
    """The samples of a stream that are kept, in its order; can be iterated as often as the stream.

    Args:
        balancer: decides which samples are kept.
        samples: any iterable, such as samples of webdataset shards; one batch is in memory at a time.
        pair: returns the image address and the text of a sample.
        batch: number of samples that are matched at once.
    """

    def __init__(
        self,
        balancer: OnlineBalancer | OnlineLanguageBalancer,
        samples: Iterable[Sample],
        pair: Callable[[Sample], tuple[str, str]],
        batch: int = BATCH,
    ) -> None:
        if batch < 1:
            raise ValueError(f"batch must be at least 1, got {batch}")
        self._balancer = balancer
        self._samples = samples
        self._pair = pair
        self._batch = batch
        self.counts: Counter[str] = Counter()
        """Numbers of samples so far: `seen` and `kept`."""

    def __iter__(self) -> Iterator[Sample]:
        samples = iter(self._samples)
        while held := list(islice(samples, self._batch)):
            pairs = [self._pair(sample) for sample in held]
            kept = self._balancer.keep([url for url, _ in pairs], [text for _, text in pairs])
            self.counts.update({"seen": len(held), "kept": int(kept.sum())})
            for position in np.flatnonzero(kept):
                yield held[position]


def _address(url: Any) -> str | None:
    """Return an address in the form that the pool uses."""
    base = page_base(url, None) if isinstance(url, str) else Fault.NONE
    return None if isinstance(base, Fault) else base.origin + base.path + base.query

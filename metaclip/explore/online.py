"""Balance while training: from a stream of pairs, keep the pairs that the curated set would have.

It needs the matcher's table and the entry counts of a pool, but neither a set nor torch.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from metaclip.balance.algorithm import KeepProbability, draws
from metaclip.config.settings import format_t
from metaclip.matching.matcher import Matcher
from metaclip.metadata.list_job import open_matcher
from metaclip.pairs.texts import clean_text
from metaclip.pairs.uids import uids
from metaclip.pairs.urls import Fault, page_base
from metaclip.pool.record import read_record
from metaclip.stages.count import read_counts
from metaclip.store.manifest import Reference
from metaclip.store.store import Store

Sample = TypeVar("Sample")

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
            ConfigError: there is no finished pool of that name.
            StoreError: an output of the pool is missing.
        """
        store = Store(storage)
        record = read_record(store, pool)

        def output(stage: str) -> Reference:
            address = record["stages"][stage]
            manifest = store.manifest(address)
            return Reference(address, manifest.key, manifest.rows)

        balance = record["config"]["balance"]
        return cls(
            open_matcher(store, output("metadata")),
            read_counts(store, output("count")),
            float(balance["t"]) if t is None else t,
            balance["seed"] if seed is None else seed,
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
        balancer: OnlineBalancer,
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

"""How many texts contain each entry, and what follows from it for a choice of t.

Source: MetaCLIP paper (arXiv 2309.16671), Algorithm 1 and section 3; the tail's share of the counts
is what MetaCLIP 2 carries from one language to another.
"""

import numpy as np
import numpy.typing as npt

from metaclip.kernels.jit import frozen, kernel
from metaclip.kernels.types import EntryIds, Int, Words


@kernel
def _add_ids(entry_ids: EntryIds, counts: Words) -> Int:
    """Count ids; return the position of the first that is out of range, or -1."""
    n = counts.size
    for i in range(entry_ids.size):
        entry = entry_ids[i]
        if entry >= n:
            return i
        counts[entry] += np.uint64(1)
    return -1


def entry_counts(entry_ids: npt.NDArray[np.uint32], n_entries: int) -> npt.NDArray[np.uint64]:
    """Count in how many texts each entry occurs; the counts of chunks add up.

    Args:
        entry_ids: uint32[m], the matched entry ids of texts, distinct within each text.
        n_entries: number of entries in the metadata.

    Returns:
        uint64[n_entries].

    Raises:
        ValueError: where an id is not below `n_entries`.
    """
    ids = frozen(entry_ids, np.uint32)
    counts = np.zeros(n_entries, np.uint64)
    wrong = _add_ids(ids, counts)
    if wrong >= 0:
        raise ValueError(f"entry id {ids[wrong]} at {wrong}: the metadata has {n_entries} entries only")
    return counts


def entries_without_match(counts: npt.NDArray[np.uint64]) -> int:
    """Return the number of entries that no text contains; counts uint64[n_entries]."""
    return len(counts) - int(np.count_nonzero(counts))


def keep_probabilities(counts: npt.NDArray[np.uint64], t: float) -> npt.NDArray[np.float64]:
    """Return p = t / max(count, t) for each entry, float64[n_entries]; `inf` for t gives ones.

    Raises:
        ValueError: where t is not positive.
    """
    if not t > 0:
        raise ValueError(f"t must be positive, got {t}")
    if np.isinf(t):
        return np.ones(len(counts))
    return t / np.maximum(np.asarray(counts, np.float64), t)


def tail_share(counts: npt.NDArray[np.uint64], t: float) -> float:
    """Return the share of all counts that belongs to entries with a count of at most t, 0 to 1.

    Raises:
        ValueError: where nothing was counted.
    """
    counts = np.asarray(counts, np.uint64)
    total = int(counts.sum())
    if total == 0:
        raise ValueError("no entry has a match: a share of nothing is not defined")
    return int(counts[counts.astype(np.float64) <= t].sum()) / total


def t_for_tail_share(counts: npt.NDArray[np.uint64], share: float) -> float:
    """Return the smallest t whose tail holds at least this share of all counts.

    It is the count of some entry, so at least 1, even where one entry holds nearly all counts.

    Raises:
        ValueError: where the share is not above 0 and at most 1, or nothing was counted.
    """
    if not 0 < share <= 1:
        raise ValueError(f"the tail's share must be above 0 and at most 1, got {share}")
    ascending = np.sort(np.asarray(counts, np.uint64))
    ascending = ascending[np.searchsorted(ascending, 1) :]
    if not len(ascending):
        raise ValueError("no entry has a match: there is no t to be found")
    held = np.cumsum(ascending)
    # Entries of equal counts are in the tail together, so only the last of a run speaks for it.
    last = np.append(ascending[1:] != ascending[:-1], True)
    shares = held[last] / held[-1]
    return float(ascending[last][np.searchsorted(shares, share)])

"""Entry counts (how many texts contain each entry), and what they mean for the choice of t.

Source: MetaCLIP paper (arXiv 2309.16671), Algorithm 1 and section 3. MetaCLIP 2 transfers the tail
share of the counts from one language to another.
"""

import numpy as np
import numpy.typing as npt

from metaclip.errors import ConfigError
from metaclip.kernels.jit import frozen


def entry_counts(entry_ids: npt.NDArray[np.uint32], n_entries: int) -> npt.NDArray[np.uint64]:
    """Count in how many texts each entry occurs; the counts of chunks can be added up.

    Args:
        entry_ids: uint32[m], the matched entry ids of texts, distinct within each text.
        n_entries: number of entries in the metadata.

    Returns:
        uint64[n_entries].

    Raises:
        ValueError: if an id is not below `n_entries`.
    """
    ids = frozen(entry_ids, np.uint32)
    if len(ids) and int(ids.max()) >= n_entries:
        wrong = int(np.argmax(ids >= n_entries))
        raise ValueError(f"entry id {ids[wrong]} at {wrong}: the metadata has {n_entries} entries only")
    return np.bincount(ids, minlength=n_entries).astype(np.uint64)


def keep_share(count: int, t: float) -> float:
    """Return p = min(1, t / count), the probability that one match of an entry keeps a pair; 1 for a count of 0."""
    return 1.0 if count <= t else t / count


def tail_t(counts: npt.NDArray[np.uint64], share: float) -> float:
    """Return the smallest t whose tail (the entries with at most t matches) has at least this share of all matches.

    MetaCLIP 2 converts a t to its tail share, and this share to the t of another language.

    Args:
        counts: uint64[n_entries], over the whole pool.
        share: above 0, at most 1.

    Raises:
        ConfigError: if `share` is out of range, or there are no matches.
    """
    if not 0 < share <= 1:
        raise ConfigError(f"tail_share must be above 0 and at most 1, got {share}")
    ordered = np.sort(counts[counts > 0])
    if not len(ordered):
        raise ConfigError("no entry has a match, so no t gives a tail")
    held = np.cumsum(ordered, dtype=np.uint64)
    # Shares are compared, not counts, so that the printed share of some t gives exactly this t again.
    first = int(np.searchsorted(held / float(held[-1]), share))
    return float(ordered[first])
